//! The systemd units.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::{PROGRAMS, path, read};

const UNITS: [&str; 2] = [
    "prometheus-streams-poller.service",
    "prometheus-streams-receiver.service",
];

/// The worst that `systemd-analyze security` may say, of 10; docs/packages.md tells what is left.
const EXPOSURE_MAX: f64 = 1.5;

fn unit(name: &str) -> String {
    read(&format!("packaging/systemd/{name}"))
}

/// Runs a tool of systemd, which `scripts/install-deps.sh` installs.
fn analyze(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(arguments).output();
    let output = output.unwrap_or_else(|error| {
        panic!("cannot run systemd-analyze: {error}; `scripts/install-deps.sh` installs it")
    });
    let both = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(both).unwrap())
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("usr/lib/systemd/system");
    let programs = root.path().join("usr/bin");
    fs::create_dir_all(&units).unwrap();
    fs::create_dir_all(&programs).unwrap();
    fs::create_dir_all(root.path().join("bin")).unwrap();
    let executables = PROGRAMS.map(|program| programs.join(program));
    for executable in executables.into_iter().chain([root.path().join("bin/sh")]) {
        fs::write(&executable, "").unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for target in [
        "network-online",
        "sysinit",
        "multi-user",
        "basic",
        "shutdown",
    ] {
        fs::write(units.join(format!("{target}.target")), "[Unit]\n").unwrap();
    }
    for name in UNITS {
        fs::write(units.join(name), unit(name)).unwrap();
    }
    let root = format!("--root={}", root.path().display());
    for name in UNITS {
        let (is_good, said) = analyze(&["verify", "--man=no", &root, name]);
        assert!(is_good && !said.contains(name), "{name}: {said}");
    }
}

#[test]
fn the_sandbox_is_as_tight_as_we_say() {
    for name in UNITS {
        let file = path("packaging/systemd").join(name);
        let file = file.to_str().unwrap();
        let (_, said) = analyze(&["security", "--offline=true", "--no-pager", file]);
        let last = said.lines().last().unwrap_or_default();
        let number = last
            .split_whitespace()
            .find_map(|word| word.parse::<f64>().ok());
        let number = number.unwrap_or_else(|| panic!("no number in `{last}`"));
        assert!(number <= EXPOSURE_MAX, "{name}: {last}");
    }
}

#[test]
fn both_units_differ_in_their_names_only() {
    let [poller, receiver] = UNITS.map(unit);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (poller, receiver) = (lines(&poller), lines(&receiver));
    let different = poller.symmetric_difference(&receiver);
    for line in different {
        let key = line.split('=').next().unwrap();
        assert!(
            ["Description", "Documentation", "ExecStart"].contains(&key),
            "{line}"
        );
    }
}

#[test]
fn every_file_names_the_same_user_and_folders() {
    let user = "prometheus-streams";
    for name in UNITS {
        let unit = unit(name);
        for line in [
            "User=prometheus-streams",
            "Group=prometheus-streams",
            "StateDirectory=prometheus-streams",
            "Type=notify",
            "Environment=CONFIG=/etc/prometheus-streams/prometheus-streams.yaml",
            "EnvironmentFile=-/etc/default/prometheus-streams",
        ] {
            assert!(unit.lines().any(|found| found == line), "{name}: no {line}");
        }
    }
    assert!(read("packaging/systemd/sysusers.conf").contains(&format!("u {user} ")));
    let folders = read("packaging/systemd/tmpfiles.conf");
    let spec = read("packaging/rpm/prometheus-streams.spec");
    let postinst = read("packaging/debian/postinst");
    for folder in [
        "/var/lib/@",
        "/var/lib/@/spool",
        "/var/lib/@/ssl",
        "/var/log/@",
    ] {
        let in_tmpfiles = format!("d {} ", folder.replace('@', user));
        assert!(folders.contains(&in_tmpfiles), "no {in_tmpfiles}");
        let in_spec = format!(" {}\n", folder.replace('@', "%{name}"));
        assert!(spec.contains(&in_spec), "no {in_spec}");
        let in_postinst = format!("\"{}\"", folder.replace('@', "$name"));
        assert!(postinst.contains(&in_postinst), "no {in_postinst}");
    }
}
