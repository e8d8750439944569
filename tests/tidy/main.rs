//! Rules of the house that no compiler knows.

#![expect(clippy::unwrap_used, reason = "a failed look at a file fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up: each imports only what stands before it, or itself.
const MODULES: [&str; 25] = [
    "model",
    "clock",
    "retry",
    "yaml",
    "exposition",
    "relabel",
    "wire",
    "guard",
    "tls",
    "http",
    "telemetry",
    "discover",
    "scrape",
    "bus",
    "spool",
    "sink",
    "enroll",
    "admin",
    "config",
    "convert",
    "service",
    "inspect",
    "poller",
    "receiver",
    "lib",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder with one of the endings.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The module that a source file belongs to.
fn module_of(path: &Path) -> String {
    let path = path.strip_prefix(root().join("src")).unwrap();
    let first = path.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The modules that a source file names with `crate::`.
fn named_modules(source: &str) -> Vec<&str> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut named = Vec::new();
    for line in code {
        for rest in line.split("crate::").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let name = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
            if MODULES.contains(&name) {
                named.push(name);
            }
        }
    }
    named
}

#[test]
fn a_module_imports_only_what_stands_above_it() {
    let rank = |name: &str| MODULES.iter().position(|known| *known == name);
    let mut wrong = Vec::new();
    for path in files(&root().join("src"), "rs") {
        let module = module_of(&path);
        let own = rank(&module).unwrap_or_else(|| panic!("`{module}` has no place in the list"));
        let source = fs::read_to_string(&path).unwrap();
        for name in named_modules(&source) {
            if rank(name) > Some(own) {
                wrong.push(format!("{} imports {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_library_lists_its_modules_in_that_order() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    let declared: Vec<&str> = declared.map(|name| name.trim_end_matches(';')).collect();
    let known: Vec<&str> = MODULES.into_iter().filter(|name| *name != "lib").collect();
    assert_eq!(declared, known);
}

#[test]
fn every_folder_of_the_library_says_what_it_knows() {
    for path in files(&root().join("src"), "rs") {
        if path.file_name().unwrap() == "mod.rs" && path.components().count() > 0 {
            let source = fs::read_to_string(&path).unwrap();
            let lines = source
                .lines()
                .take_while(|line| line.starts_with("//!"))
                .count();
            assert!(lines > 0, "{} begins without a word", path.display());
        }
    }
}

#[test]
fn no_file_has_grown_out_of_its_room() {
    for path in files(&root().join("src"), "rs") {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= 600,
            "{} has {lines} lines; it wants to be two",
            path.display()
        );
    }
}

#[test]
fn documents_keep_their_size() {
    let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
    assert!(lines(&root().join("docs/ARCHITECTURE.md")) <= 300);
    for path in files(&root().join("docs/decisions"), "md") {
        assert!(lines(&path) <= 80, "{} is more than a page", path.display());
    }
}

#[test]
fn relative_links_of_the_documents_lead_somewhere() {
    let mut documents = files(&root().join("docs"), "md");
    documents.push(root().join("README.md"));
    documents.push(root().join("CHANGELOG.md"));
    let mut broken = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split([')', '#', ' ']).next().unwrap();
            let is_elsewhere = link.is_empty() || link.contains("://");
            if !is_elsewhere && !document.parent().unwrap().join(link).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
