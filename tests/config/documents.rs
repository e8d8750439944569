//! Samples and reference: what an operator reads must be what the program takes.

use prometheus_streams::config::{self, Config, Role};

use crate::{files, folder};

#[test]
fn every_sample_loads_without_a_warning() {
    let samples = [files("config"), files("config/hub")].concat();
    assert_eq!(samples.len(), 7);
    for path in samples {
        // The modes with which they were checked out are not theirs.
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = config::check(&text, &path.to_string_lossy()).unwrap();
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
    check("hub/poller.yaml", &[Role::Poller]);
    check("hub/receiver.yaml", &[Role::Receiver]);
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

#[test]
fn the_reference_lists_every_key_of_every_block_and_no_other() {
    let text = std::fs::read_to_string(folder("docs/configuration.md")).unwrap();
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
        } else if let Some(key) = line
            .strip_prefix("| `")
            .and_then(|rest| rest.split('`').next())
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

#[test]
fn every_test_that_the_page_on_security_names_is_there() {
    let page = std::fs::read_to_string(folder("docs/security.md")).unwrap();
    let mut sources = String::new();
    for name in ["tests", "src"] {
        add_sources(&folder(name), &mut sources);
    }
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        // The last column, in tables that have tests there.
        let column = line.trim_end_matches([' ', '|']).rsplit(" | ").next();
        for name in column.unwrap().split('`').skip(1).step_by(2) {
            let is_name = name
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
            if !is_name {
                continue;
            }
            count += 1;
            let is_test = sources.contains(&format!("fn {name}()"));
            let is_fuzzed = folder("fuzz/fuzz_targets")
                .join(name)
                .with_extension("rs")
                .exists();
            assert!(is_test || is_fuzzed, "there is no test `{name}`");
        }
    }
    assert!(count >= 30, "{count}");
}

/// Adds the text of all sources below a folder.
fn add_sources(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
