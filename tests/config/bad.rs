//! Files that are refused. Each begins with its problems, one `# expect:` line for each: place and
//! a part of the text. With `UPDATE_EXPECTED=1` these lines are written anew, to be reviewed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use prometheus_streams::config::{self, Config, LoadError, Problem};
use proptest::prelude::*;

use crate::files;

const MARK: &str = "# expect: ";

/// The word that stands for a secret in the files.
const SECRET: &str = "hunter2";

fn problems_of(path: &Path) -> Vec<Problem> {
    match Config::load(path) {
        Ok(_) => Vec::new(),
        Err(LoadError::Problems(problems)) => problems.as_slice().to_vec(),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn expectation(problem: &Problem) -> String {
    let Problem {
        line,
        column,
        what,
        remedy,
        ..
    } = problem;
    // The files know nothing of where they were checked out.
    format!("{line}:{column} {what}; {remedy}").replace(env!("CARGO_MANIFEST_DIR"), "…")
}

#[track_caller]
fn check(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let expected: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix(MARK))
        .collect();
    let found: Vec<String> = problems_of(path).iter().map(expectation).collect();
    let fits = |(expected, found): (&&str, &String)| {
        let (place, part) = expected.split_once(' ').unwrap();
        found
            .split_once(' ')
            .is_some_and(|(at, text)| at == place && text.contains(part))
    };
    let all_fit = found.len() == expected.len() && expected.iter().zip(&found).all(fits);
    assert!(
        all_fit && !found.is_empty(),
        "{}\nexpected:\n{}\nfound:\n{}",
        path.display(),
        expected.join("\n"),
        found.join("\n")
    );
}

/// Writes what is found into the file; its own length moves the lines, so it takes two rounds.
fn update(path: &Path) {
    for _round in 0..2 {
        let bytes = std::fs::read(path).unwrap();
        let mut rest = &*bytes;
        while rest.starts_with(MARK.as_bytes()) {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            rest = &rest[end + 1..];
        }
        let mut head = String::new();
        for problem in problems_of(path) {
            writeln!(head, "{MARK}{}", expectation(&problem)).unwrap();
        }
        std::fs::write(path, [head.as_bytes(), rest].concat()).unwrap();
    }
}

#[test]
fn every_bad_file_gives_the_problems_that_it_names_and_no_others() {
    let files = files("tests/data/config/bad");
    assert!(files.len() >= 40);
    for path in &files {
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            update(path);
        }
        check(path);
    }
}

#[test]
fn every_key_has_a_bad_case() {
    let mut seen = BTreeSet::new();
    for path in files("tests/data/config/bad") {
        seen.extend(
            problems_of(&path)
                .iter()
                .map(|problem| place_of_key(&problem.path)),
        );
    }
    for (block, keys) in config::known_keys() {
        for key in keys {
            let key = (block.to_owned(), (*key).to_owned());
            assert!(seen.contains(&key), "`{}.{}` has no bad case", key.0, key.1);
        }
    }
}

/// Turns `jobs.node.targets[0].url` into `jobs.*.targets` and `url`.
fn place_of_key(path: &str) -> (String, String) {
    let mut steps: Vec<String> = Vec::new();
    for step in path.split('.') {
        let step = step.split('[').next().unwrap_or_default();
        let is_chosen = steps
            .last()
            .is_some_and(|last| ["jobs", "headers", "http_headers"].contains(&&**last));
        steps.push(if is_chosen { "*" } else { step }.to_owned());
    }
    let key = steps.pop().unwrap();
    let shared = [
        "basic_auth",
        "authorization",
        "oauth2",
        "tls_config",
        "queue_config",
        "tls",
        "static_configs",
    ];
    match steps.last() {
        Some(last) if shared.contains(&&**last) => (last.clone(), key),
        Some(last) if last.ends_with("_sd_configs") => (last.clone(), key),
        Some(last) if last.ends_with("relabel_configs") => ("relabel_configs".to_owned(), key),
        Some(star) if star == "*" && steps.contains(&"headers".to_owned()) => {
            ("headers.*".to_owned(), key)
        }
        Some(star) if star == "*" && steps.contains(&"http_headers".to_owned()) => {
            ("http_headers.*".to_owned(), key)
        }
        _ => (steps.join("."), key),
    }
}

#[test]
fn no_problem_shows_a_secret() {
    for path in files("tests/data/config/bad") {
        for problem in problems_of(&path) {
            let text = format!("{problem} {problem:?}");
            assert!(!text.contains(SECRET), "{text}");
        }
    }
}

#[test]
fn each_truncation_of_a_good_file_shows_no_secret() {
    let text = std::fs::read_to_string(crate::folder("config/full.yaml")).unwrap();
    let text = text.replace("change-me", SECRET);
    assert!(text.contains(SECRET));
    for (end, _) in text.char_indices().step_by(7) {
        if let Err(problems) = config::check(&text[..end], "full.yaml") {
            assert!(!problems.to_string().contains(SECRET), "{problems}");
        }
    }
}

#[test]
fn a_missing_file_is_no_problem_of_its_text() {
    let error = Config::load(Path::new("/does/not/exist.yaml")).unwrap_err();
    assert!(matches!(error, LoadError::CannotRead { .. }), "{error}");
    assert_eq!(error.to_string(), "cannot read `/does/not/exist.yaml`");
}

#[test]
fn a_folder_is_no_file() {
    let error = Config::load(&crate::folder("config")).unwrap_err();
    assert!(matches!(error, LoadError::CannotRead { .. }), "{error}");
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let text = "# filling\n".repeat(config::FILE_BYTES_MAX / 10 + 1);
    let problems = config::check(&text, "large.yaml").unwrap_err();
    let expected = "large.yaml:1:1: the file is larger than 16 MiB";
    assert!(problems.to_string().starts_with(expected), "{problems}");
}

#[test]
fn too_many_targets_are_refused() {
    let target = "    - {url: 'http://a:1/', name: ''}\n";
    let mut text = "jobs:\n  a:\n    targets:\n".to_owned();
    for index in 0..=100_000 {
        text.push_str(&target.replace("''", &index.to_string()));
    }
    let problems = config::check(&text, "f").unwrap_err();
    assert_eq!(problems.as_slice().len(), 1);
    let expected = "f:2:3: there are more than 100000 targets; share them";
    assert!(problems.to_string().starts_with(expected), "{problems}");
}

#[test]
fn many_problems_are_kept_within_bounds() {
    let lines: Vec<String> = (0..50_000).map(|index| format!("key{index}: 1")).collect();
    let text = lines.join("\n");
    let problems = config::check(&text, "f").unwrap_err();
    let text = config::render(problems.as_slice());
    assert_eq!(text.lines().count(), 101);
    assert!(text.ends_with("and 9900 more\n"), "{text}");
}

/// Pieces that meet each other in wrong places more often than arbitrary text does.
const PIECES: [&str; 40] = [
    "jobs",
    "poller_stream",
    "urls",
    "remote_write",
    "tls",
    "url",
    "targets",
    "headers",
    "max_age",
    "identity",
    ":",
    ": ",
    ":\n",
    "\n",
    "\n  ",
    "\n    ",
    "\n- ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    "\"",
    "|",
    ">",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "!!str ",
    "%",
    "#",
    "---\n",
    "~",
    "60s",
    "0",
    "http://h:1/",
    "\t",
];

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        drop(config::check(&text, "f"));
    }

    #[test]
    fn arbitrary_pieces_never_panic(
        pieces in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..60)
    ) {
        drop(config::check(&pieces.concat(), "f"));
    }

    #[test]
    fn arbitrary_values_never_panic(value in any::<String>(), key in 0_usize..100) {
        let keys: Vec<(&str, &str)> = config::known_keys()
            .flat_map(|(block, keys)| keys.iter().map(move |key| (block, *key)))
            .collect();
        let (block, key) = keys[key % keys.len()];
        let quoted = serde_json::to_string(&value).unwrap();
        let mut text = format!("{key}: {quoted}");
        for step in block.split('.').rev().filter(|step| !step.is_empty()) {
            let is_list =
                matches!(step, "remote_write" | "targets") || step.ends_with("_configs");
            text = if is_list { format!("{step}: [{{{text}}}]") } else { format!("{step}: {{{text}}}") };
        }
        drop(config::check(&text.replace("*:", "x:"), "f"));
    }
}
