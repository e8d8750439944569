//! Man pages and completions, which a hidden command writes.

use std::fs;
use std::process::Command;

use crate::PROGRAMS;

#[test]
fn every_program_and_command_has_a_man_page_and_completions() {
    let folder = tempfile::tempdir().unwrap();
    let mut generate = Command::new(env!("CARGO_BIN_EXE_prometheus-streams"));
    generate.args(["generate", "--dir"]).arg(folder.path());
    assert!(generate.status().unwrap().success());
    for program in PROGRAMS {
        for file in [
            format!("man/{program}.1"),
            format!("bash/{program}"),
            format!("zsh/_{program}"),
            format!("fish/{program}.fish"),
        ] {
            let text = fs::read_to_string(folder.path().join(&file)).unwrap();
            assert!(text.contains("config"), "{file} does not tell of --config");
        }
    }
    for command in ["check", "decode", "tail"] {
        let file = format!("man/prometheus-streams-{command}.1");
        assert!(folder.path().join(&file).exists(), "{file} is missing");
    }
    // A part's page tells of its own program, not of the subcommand.
    let page = fs::read_to_string(folder.path().join("man/prometheus-streams-poller.1")).unwrap();
    assert!(
        page.contains(r"\fBprometheus\-streams\-poller\fR"),
        "{page}"
    );
    // What is hidden is in no page.
    assert!(
        !folder
            .path()
            .join("man/prometheus-streams-generate.1")
            .exists()
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let mut generate = Command::new(env!("CARGO_BIN_EXE_prometheus-streams"));
    let output = generate.args(["generate", "--dir", "/dev/null/pages"]);
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("cannot make `/dev/null/pages/"), "{text}");
}
