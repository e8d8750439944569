//! The page that says what of Prometheus works: each line of its tables is tried.

use std::collections::BTreeSet;

use prometheus_streams::config;

use crate::folder;

/// A line of a table.
struct Row {
    key: String,
    here: String,
    example: String,
}

/// Reads the table below a heading.
fn table(page: &str, heading: &str) -> Vec<Row> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").map(str::trim).collect();
        let plain = |cell: &str| {
            let cell = cell.trim_start_matches("| ").trim_end_matches(" |");
            cell.trim_matches('`').to_owned()
        };
        Row {
            key: plain(cells[0]),
            here: plain(cells[1]),
            example: plain(cells[2].trim_end_matches('|').trim_end()),
        }
    })
    .collect()
}

/// A scrape configuration with one more option.
fn with(row: &Row) -> String {
    let mut keys = vec![row.example.clone()];
    for (key, default) in [
        ("job_name", "job_name: example"),
        ("static_configs", "static_configs: [{targets: ['a:1']}]"),
    ] {
        if row.key != key {
            keys.push(default.to_owned());
        }
    }
    format!("scrape_configs: [{{{}}}]\n", keys.join(", "))
}

#[track_caller]
fn check(row: &Row) {
    let text = with(row);
    let result = config::check(&text, "config.yaml");
    let key = format!("`{}`", row.key);
    match (&*row.here, result) {
        ("works", Ok(loaded)) => {
            let warnings = config::render(&loaded.warnings);
            assert!(!warnings.contains(&key), "{text}{warnings}");
        }
        ("no effect", Ok(loaded)) => {
            let warnings = config::render(&loaded.warnings);
            assert!(warnings.contains(&key), "{text}{warnings}");
        }
        ("refused", Err(problems)) => {
            let problems = problems.to_string();
            let is_discovery = row.key.ends_with("_sd_configs");
            let has_advice = !is_discovery || problems.contains("`http_sd_configs`");
            // What is refused by its value is named by what it would do.
            let is_named = problems.contains(&key) || problems.contains("custom buckets");
            assert!(is_named && has_advice, "{text}{problems}");
        }
        (here, result) => panic!("{key} {here}: {text}{result:?}"),
    }
}

fn page() -> String {
    std::fs::read_to_string(folder("docs/prometheus.md")).unwrap()
}

#[test]
fn every_option_does_what_the_page_says() {
    let page = page();
    let options = table(&page, "Scrape options");
    let kinds = table(&page, "Discovery");
    options.iter().chain(&kinds).for_each(check);
    // Whatever the program takes stands there.
    let works = options.iter().chain(&kinds);
    let works = works.filter(|row| row.here != "refused" || row.key.starts_with("convert"));
    let listed: BTreeSet<&str> = works.map(|row| &*row.key).collect();
    let (_, known) = config::known_keys()
        .find(|(block, _)| *block == "scrape_configs")
        .unwrap();
    assert_eq!(listed, known.iter().copied().collect());
}
