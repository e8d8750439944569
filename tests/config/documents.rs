//! Samples and reference: what an operator reads must be what the program takes.

use prometheus_streams::config::{self, Config, Role};

use crate::{files, folder};

#[test]
fn every_sample_loads_without_a_warning() {
    let samples = files("config");
    assert_eq!(samples.len(), 4);
    for path in samples {
        let loaded = Config::load(&path).unwrap();
        assert_eq!(
            config::render(&loaded.warnings).trim(),
            "",
            "{}",
            path.display()
        );
    }
}

#[test]
fn each_sample_has_what_its_role_needs() {
    let check = |name: &str, roles: &[Role]| {
        let loaded = Config::load(&folder("config").join(name)).unwrap();
        for role in [Role::Poller, Role::Receiver] {
            let is_complete = loaded.config.require(role).is_ok();
            assert_eq!(is_complete, roles.contains(&role), "{name} as {role:?}");
        }
    };
    check("prometheus-streams.yaml", &[Role::Poller, Role::Receiver]);
    check("full.yaml", &[Role::Poller, Role::Receiver]);
    check("poller.yaml", &[Role::Poller]);
    check("receiver.yaml", &[Role::Receiver]);
}

#[test]
fn the_full_sample_has_every_key() {
    let text = std::fs::read_to_string(folder("config/full.yaml")).unwrap();
    let is_key = |line: &str, key: &str| {
        let line = line.trim_start().trim_start_matches("# ").trim_start();
        line.trim_start_matches("- ")
            .starts_with(&format!("{key}:"))
    };
    for (block, keys) in config::known_keys() {
        for key in keys {
            let is_there = text.lines().any(|line| is_key(line, key));
            assert!(is_there, "`{key}` of `{block}` is missing");
        }
    }
}

/// What a page on sources of targets calls the keys of an HTTP client.
const CLIENT_KEYS: [&str; 13] = [
    "basic_auth",
    "authorization",
    "bearer_token",
    "bearer_token_file",
    "oauth2",
    "http_headers",
    "tls_config",
    "proxy_url",
    "no_proxy",
    "proxy_from_environment",
    "proxy_connect_header",
    "follow_redirects",
    "enable_http2",
];

#[test]
fn the_reference_lists_every_key_of_every_block_and_no_other() {
    // Where targets come from has a page of its own.
    let pages = ["docs/configuration.md", "docs/discovery.md"];
    let pages = pages.map(|page| std::fs::read_to_string(folder(page)).unwrap());
    let text = pages.concat();
    let mut listed: Vec<(String, String)> = Vec::new();
    let mut blocks: Vec<String> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            // Words in backticks name the blocks that the section is about.
            blocks = heading
                .split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect();
            if heading == "Top level" {
                blocks.push(String::new());
            }
        } else if line.starts_with("| keys of an HTTP client |") {
            let keys = |block: &String| CLIENT_KEYS.map(|key| (block.clone(), key.to_owned()));
            listed.extend(blocks.iter().flat_map(keys));
        } else if let Some(key) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split('`').next())
            .filter(|key| !key.starts_with("__meta_"))
        {
            listed.extend(blocks.iter().map(|block| (block.clone(), key.to_owned())));
        }
    }
    let mut known: Vec<(String, String)> = config::known_keys()
        .flat_map(|(block, keys)| {
            keys.iter()
                .map(move |key| (block.to_owned(), (*key).to_owned()))
        })
        .collect();
    listed.sort();
    known.sort();
    assert_eq!(listed, known);
}
