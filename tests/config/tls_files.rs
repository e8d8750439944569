//! The files of certificates that a configuration names, in its own file and in others.

use std::fs;

use prometheus_streams::config::{Config, Overrides};

/// Returns what is wrong with the files of a configuration whose `prometheus.yml` has this text.
fn problems(prometheus: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    write("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    write("prometheus.yml", prometheus);
    let path = write("config.yaml", "prometheus_config: prometheus.yml\n");
    let loaded = Config::load_with(&path, Overrides::default()).unwrap();
    match loaded.verify_files() {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn those_of_a_whole_prometheus_yml_are_looked_at() {
    for text in [
        "remote_write:\n- url: https://a/write\n  tls_config: {ca_file: bad.pem}\n",
        "scrape_configs:\n- job_name: a\n  tls_config: {ca_file: bad.pem}\n",
    ] {
        let problems = problems(text);
        assert!(problems.contains("prometheus.yml:3:"), "{problems}");
        assert!(problems.contains("bad.pem"), "{problems}");
    }
    assert_eq!(problems("remote_write: [{url: https://a/write}]\n"), "");
}
