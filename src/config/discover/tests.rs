use std::path::Path;

use super::*;
use crate::config::problem::Place;
use crate::config::yaml;
use crate::discover::dns::Record;

const SCRAPE: Keys = Keys {
    block: "scrape_configs",
    known: &[
        "consul_sd_configs",
        "dns_sd_configs",
        "file_sd_configs",
        "http_sd_configs",
        "kubernetes_sd_configs",
        "nomad_sd_configs",
        "puppetdb_sd_configs",
    ],
    foreign: &[],
};

/// Reads the sources of a scrape configuration, with problems and warnings as text.
pub(super) fn outcome(text: &str) -> Result<(Vec<Settings>, Vec<String>), Vec<String>> {
    let mut report = Report::new("/etc/site/config.yaml");
    let root = yaml::parse(text, &mut report).unwrap();
    let value = Value {
        place: Place::root(),
        node: &root,
    };
    let block = Block::open(&value, &SCRAPE, &mut report).unwrap();
    let sources = read(&block, &mut report);
    let shown = |problem: &crate::config::Problem| {
        format!(
            "{}:{} {}; {}",
            problem.line, problem.column, problem.what, problem.remedy
        )
    };
    match report.finish() {
        Ok(warnings) => Ok((sources, warnings.iter().map(shown).collect())),
        Err(problems) => Err(problems.as_slice().iter().map(shown).collect()),
    }
}

#[track_caller]
pub(super) fn good(text: &str) -> Settings {
    let (mut sources, warnings) = outcome(text).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

#[track_caller]
pub(super) fn bad(text: &str, expected: &[&str]) {
    let problems = outcome(text).unwrap_err();
    let fits = |(problem, expected): (&String, &&str)| problem.contains(*expected);
    let all_fit = problems.len() == expected.len() && problems.iter().zip(expected).all(fits);
    assert!(
        all_fit,
        "{text}\nexpected {expected:#?}\nfound {problems:#?}"
    );
}

#[test]
fn files_are_relative_to_the_configuration() {
    let Settings::File(files) =
        good("file_sd_configs: [{files: [a/*.json, '/b/c-*-[0-9].yml', d.YAML]}]")
    else {
        panic!("another kind");
    };
    assert_eq!(
        files.files,
        ["/etc/site/a/*.json", "/b/c-*-[0-9].yml", "/etc/site/d.YAML"]
    );
    assert_eq!(files.refresh_interval, Duration::from_secs(300));
}

#[test]
fn servers_have_the_keys_of_a_client() {
    let text = "http_sd_configs:\n- url: http://me:hunter2@Host/a?b\n  refresh_interval: 90s\n  \
                tls_config: {ca_file: ca.pem}\n  follow_redirects: false\n";
    let Settings::Http(server) = good(text) else {
        panic!("another kind");
    };
    assert_eq!(server.written, "http://me:hunter2@Host/a?b");
    assert_eq!(server.refresh_interval, Duration::from_secs(90));
    assert!(!server.client.follow_redirects);
    let ca = server.client.tls.unwrap().ca;
    assert_eq!(
        ca,
        Some(crate::tls::Pem::File(
            Path::new("/etc/site/ca.pem").to_owned()
        ))
    );
}

#[test]
fn names_are_asked_for_srv_records_unless_told_otherwise() {
    let Settings::Dns(names) = good("dns_sd_configs: [{names: [_a._tcp.example, b]}]") else {
        panic!("another kind");
    };
    assert_eq!((names.record, names.port), (Record::Srv, 0));
    assert_eq!(names.names, ["_a._tcp.example", "b"]);
    assert_eq!(names.refresh_interval, Duration::from_secs(30));
    let Settings::Dns(names) = good("dns_sd_configs: [{names: [b], type: aaaa, port: 80}]") else {
        panic!("another kind");
    };
    assert_eq!((names.record, names.port), (Record::Aaaa, 80));
}

#[test]
fn a_port_beside_srv_records_is_passed_over() {
    let (_, warnings) = outcome("dns_sd_configs: [{names: [b], port: 80}]").unwrap();
    assert!(warnings[0].contains("`port` has no effect"), "{warnings:?}");
}

#[test]
fn several_sources_of_several_kinds_are_read() {
    let text = "file_sd_configs: [{files: [a.yml]}, {files: [b.yml]}]\n\
                dns_sd_configs: [{names: [c]}]\nhttp_sd_configs: []\n";
    assert_eq!(outcome(text).unwrap().0.len(), 3);
}

#[test]
fn bad_files_are_refused() {
    bad(
        "file_sd_configs: [{}]",
        &["1:19 `file_sd_configs[0]` needs `files`; write a list of paths"],
    );
    bad("file_sd_configs: [{files: []}]", &["1:27 `files` is empty"]);
    bad(
        "file_sd_configs: [{files: a.json}]",
        &["1:27 `files` must be a list, not a single value"],
    );
    bad("file_sd_configs: [~]", &["1:19 the list has an empty item"]);
    bad(
        "file_sd_configs: {files: [a]}",
        &["must be a list, not a mapping"],
    );
    bad(
        "file_sd_configs: [{files: [[a]]}]",
        &["1:28 `files[0]` must be a string, not a list"],
    );
    bad(
        "file_sd_configs: [{file: [a.yml], files: [b.yml]}]",
        &["unknown key `file`; write `files`"],
    );
    bad(
        "file_sd_configs: [{files: [a.txt, '*/a.json', 'a/*.JsOn', '[.json', b.json]}]",
        &[
            "1:28 `files[0]` must be a path that ends in `.json`, `.yml` or `.yaml`, not `a.txt`",
            "1:35 `files[1]` must be a path with `*` in its last part only, not `*/a.json`",
            "1:47 `files[2]` must be a path that ends in",
            "1:59 `[.json` is not a pattern of paths: a `[` without its `]`",
        ],
    );
    bad(
        "file_sd_configs: [{files: [a.yml], refresh_interval: 0s}]",
        &["1:54 `refresh_interval` must be at least 1ms, not `0s`"],
    );
}

#[test]
fn bad_servers_are_refused() {
    bad(
        "http_sd_configs: [{}]",
        &["`http_sd_configs[0]` needs `url`"],
    );
    bad(
        "http_sd_configs: [{url: 'ftp://host/'}]",
        &["its scheme is neither `http` nor `https`"],
    );
    bad("http_sd_configs: [{url: host/a}]", &["it has no scheme"]);
    bad(
        "http_sd_configs: [{url: 'http://host/', bearer_token: a, basic_auth: {username: b}}]",
        &["at most one of basic_auth"],
    );
    bad(
        "http_sd_configs: [{url: 'http://host/', urls: []}]",
        &["unknown key `urls`; did you mean `url`?"],
    );
}

#[test]
fn bad_names_are_refused() {
    bad(
        "dns_sd_configs: [{}]",
        &["`dns_sd_configs[0]` needs `names`"],
    );
    bad(
        "dns_sd_configs: [{names: [a..b, '']}]",
        &["`a..b` is not a name", "`` is not a name"],
    );
    bad(
        "dns_sd_configs: [{names: [a], type: TXT}]",
        &["`type` must be `SRV`, `A`, `AAAA`, `MX` or `NS`, not `TXT`"],
    );
    bad(
        "dns_sd_configs: [{names: [a], type: A}]",
        &["1:18 `port` is required for all types of records but SRV"],
    );
    bad(
        "dns_sd_configs: [{names: [a], type: A, port: 0}]",
        &["1:40 `port` is required"],
    );
    bad(
        "dns_sd_configs: [{names: [a], type: A, port: 65536}]",
        &["`port` must be a whole number"],
    );
}

#[test]
fn every_kind_has_its_keys_listed() {
    let read: Vec<&str> = KINDS.iter().map(|(key, _, _)| *key).collect();
    let listed = keys::ALL.iter().map(|keys| keys.block);
    // The blocks within a kind have keys of their own.
    let mut listed: Vec<&str> = listed.filter(|block| !block.contains('.')).collect();
    listed.sort_unstable();
    assert_eq!(read, listed);
}
