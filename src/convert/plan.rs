//! What is to change in a file: keys of old, keys without effect, keys of the other role.

use super::Source;
use super::draft::{Change, Draft, Edit};
use super::jobs::{Jobs, last_line};
use crate::config::{self, Loaded, Problem, Role};
use crate::yaml::{self, Entry, Kind, Node};

/// What a receiver has no use for.
const POLLER_ONLY: [&str; 9] = [
    "poller_stream",
    "spool",
    "wire",
    "jobs",
    "scrape_configs",
    "scrape_config_files",
    "scrape_interval",
    "scrape_timeout",
    "body_size_limit",
];

/// What a poller has no use for.
const RECEIVER_ONLY: [&str; 6] = [
    "receiver_stream",
    "push_gateway",
    "remote_write",
    "max_age",
    "site_timeout",
    "external_labels",
];

/// Single values that are secrets, and the keys that name a file instead.
const SECRETS: [(&str, &str); 6] = [
    ("password", "password_file"),
    ("token", "token_file"),
    ("credentials", "credentials_file"),
    ("bearer_token", "bearer_token_file"),
    ("client_secret", "client_secret_file"),
    ("key", "key_file"),
];

/// Mappings whose keys the operator chooses, so that they say nothing about their values.
const CHOSEN: [&str; 8] = [
    "labels",
    "external_labels",
    "params",
    "endpoint_params",
    "headers",
    "http_headers",
    "proxy_connect_header",
    "management",
];

const SPOOL_HINT: [&str; 4] = [
    "",
    "# Where scrapes wait on disk while NATS is away; without it they wait in memory.",
    "# spool:",
    "#   dir: /var/lib/prometheus-streams/spool",
];

const NO_STREAM: [&str; 3] = [
    "# A poller needs `urls` of your NATS servers here.",
    "poller_stream:",
    "",
];

/// What is said above a secret.
pub(super) fn advice(file_key: &str) -> String {
    format!("A secret: it is safer in a file of its own, which `{file_key}` names.")
}

/// Drafts what becomes of a configuration of our own or of the ancestor.
pub(super) fn own(source: &Source<'_>, root: &Node, loaded: &Loaded) -> Draft {
    let entries = entries_of(root);
    let mut draft = Draft {
        dropped: other_role(entries, source.role),
        changes: without_effect(source, &loaded.warnings),
        ..Draft::default()
    };
    let dropped = draft.dropped.clone();
    let is_kept = |entry: &&Entry| !dropped.iter().any(|key| **key == *entry.key);
    let mut changes = Vec::new();
    for entry in entries.iter().filter(is_kept) {
        match &*entry.key {
            "verbose" => {
                let why = "what it asked for is always logged";
                changes.push(left_out(entry, why));
            }
            "management" if has_no_effect("management", loaded) => {
                changes.push(left_out(entry, "it configured the Choria backplane"));
            }
            "max_age" => changes.extend(with_unit(entry)),
            "tls" => changes.extend(scheme(&entry.value)),
            "poller_stream" | "receiver_stream" => stream(&entry.value, &mut changes),
            "jobs" if matches!(entry.value.kind, Kind::Map(_)) => {
                let comments = comments_within(source.text, entries, entry);
                let configs = &loaded.config.scrape.configs;
                draft.jobs = Some(Jobs::of(&entry.value, comments, configs));
            }
            _ => {}
        }
    }
    draft.changes.extend(changes);
    if draft.is_empty() {
        return draft;
    }
    advise(root, &mut draft.changes);
    // A file without any key of ours would be taken for a `prometheus.yml` from now on.
    let has_own_key = entries.iter().filter(is_kept).any(|entry| {
        let (used, _) = config::prometheus_keys();
        &*entry.key != "jobs" && !used.contains(&&*entry.key)
    });
    if !has_own_key {
        draft.first = NO_STREAM.map(str::to_owned).to_vec();
    }
    let has_spool = source.text.contains("spool:");
    if source.role != Some(Role::Receiver) && !has_spool {
        let hint = SPOOL_HINT.map(str::to_owned).to_vec();
        draft.after.push(("poller_stream", hint));
    }
    draft.head.push(made_from(source));
    if !draft.dropped.is_empty()
        && let Some(role) = source.role
    {
        let other = match role {
            Role::Poller => Role::Receiver,
            Role::Receiver => Role::Poller,
        };
        let line = format!("# What only a {other} needs is left out.");
        draft.head.push(line);
    }
    draft
}

/// Drafts what becomes of a `prometheus.yml`.
pub(super) fn prometheus(
    source: &Source<'_>,
    role: Role,
    root: &Node,
    warnings: &[Problem],
) -> Draft {
    let entries = entries_of(root);
    let (_, ignored) = config::prometheus_keys();
    let present = |key: &&str| entries.iter().any(|entry| &*entry.key == *key);
    let ignored: Vec<&str> = ignored.iter().copied().filter(present).collect();
    let mut dropped = other_role(entries, Some(role));
    let mut head = vec![made_from(source)];
    if !ignored.is_empty() {
        let names = ignored.join("`, `");
        head.push(format!(
            "# Left out, for it concerns neither scraping nor writing: `{names}`."
        ));
    }
    dropped.extend(ignored.iter().map(|key| (*key).to_owned()));
    match role {
        Role::Poller => {
            if present(&"remote_write") {
                let line = "# `remote_write` belongs in the receiver's file: \
                    `prometheus-streams convert --role receiver`.";
                head.push(line.to_owned());
            }
            if has_external_labels(entries) {
                let line = "# `external_labels` are the receiver's, too, and there for all sites; \
                    what tells sites apart is `publisher`.";
                head.push(line.to_owned());
            }
        }
        Role::Receiver => {
            let line = "# With `publisher_label: true` an endpoint keeps equal targets of two \
                sites apart.";
            head.push(line.to_owned());
        }
    }
    let mut draft = Draft {
        head,
        first: skeleton(role),
        dropped,
        changes: without_effect(source, warnings),
        ..Draft::default()
    };
    advise(root, &mut draft.changes);
    draft
}

/// What a `prometheus.yml` does not say.
pub(super) fn skeleton(role: Role) -> Vec<String> {
    let identity = [
        "# The name of this site. Without it: the host's name.",
        "# identity: USDC1",
        "",
        "# Our own metrics and health, for this machine only.",
        "# monitor_port: 10000",
        "# monitor_address: 127.0.0.1",
        "",
    ];
    let stream: &[&str] = match role {
        Role::Poller => &[
            "# Where this poller publishes: your NATS servers.",
            "poller_stream:",
            "  urls: nats://localhost:4222",
        ],
        Role::Receiver => &[
            "# Where this receiver reads: your NATS servers.",
            "receiver_stream:",
            "  urls: nats://localhost:4222",
            "  # The beginning of the names of its durable consumers.",
            "  client_id: prometheus_receiver",
            "",
        ],
    };
    let spool: &[&str] = match role {
        Role::Poller => &SPOOL_HINT,
        Role::Receiver => &[],
    };
    let last: &[&str] = match role {
        Role::Poller => &[""],
        Role::Receiver => &[],
    };
    let lines = [&identity, stream, spool, last].concat();
    lines.into_iter().map(str::to_owned).collect()
}

/// Says where the file comes from.
fn made_from(source: &Source<'_>) -> String {
    let name = source.file.rsplit('/').next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    format!("# Made from `{name}` by `prometheus-streams convert`.")
}

fn entries_of(node: &Node) -> &[Entry] {
    match &node.kind {
        Kind::Map(entries) => entries,
        _ => &[],
    }
}

fn has_external_labels(entries: &[Entry]) -> bool {
    let global = entries.iter().find(|entry| &*entry.key == "global");
    let inner = global.map_or(&[][..], |global| entries_of(&global.value));
    inner.iter().any(|entry| &*entry.key == "external_labels")
}

/// The keys at the top level that are there and that only the other role has a use for.
fn other_role(entries: &[Entry], role: Option<Role>) -> Vec<String> {
    let other = |key: &str| match role {
        None => false,
        Some(Role::Poller) => RECEIVER_ONLY.contains(&key),
        Some(Role::Receiver) if key == "global" => !has_external_labels(entries),
        Some(Role::Receiver) => POLLER_ONLY.contains(&key),
    };
    let others = entries.iter().filter(|entry| other(&entry.key));
    others.map(|entry| entry.key.to_string()).collect()
}

fn left_out(entry: &Entry, why: &str) -> Change {
    Change {
        key: entry.at,
        edit: Edit::LeaveOut(why.to_owned()),
    }
}

fn has_no_effect(key: &str, loaded: &Loaded) -> bool {
    let mut warnings = loaded.warnings.iter();
    warnings.any(|warning| warning.path == key && warning.what.contains("no effect"))
}

/// Leaves out what the reader of the configuration says to have no effect.
fn without_effect(source: &Source<'_>, warnings: &[Problem]) -> Vec<Change> {
    let of_file = warnings
        .iter()
        .filter(|warning| warning.is_no_effect() && *warning.file == *source.file);
    let changes = of_file.map(|warning| {
        let why = warning.what.split_once(": ");
        Change {
            key: yaml::Position {
                line: warning.line,
                column: warning.column,
            },
            edit: Edit::LeaveOut(why.map_or("", |(_, why)| why).to_owned()),
        }
    });
    changes.collect()
}

/// Gives a number of seconds its unit.
fn with_unit(entry: &Entry) -> Option<Change> {
    let Kind::Scalar(text) = &entry.value.kind else {
        return None;
    };
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && **text != *"0").then(|| Change {
        key: entry.at,
        edit: Edit::SetValue {
            at: entry.value.at,
            old: text.to_string(),
            new: format!("{text}s"),
        },
    })
}

fn stream(node: &Node, changes: &mut Vec<Change>) {
    let entries = entries_of(node);
    let has_value = |entry: &&Entry| !matches!(entry.value.kind, Kind::Null);
    let find = |key: &str| {
        let mut given = entries.iter().filter(has_value);
        given.find(|entry| &*entry.key == key)
    };
    if find("stream").is_none()
        && let Some(entry) = find("cluster_id")
    {
        let note = "The stream on JetStream, called as the cluster was; create it on NATS, or let \
             it be created.";
        changes.push(Change {
            key: entry.at,
            edit: Edit::Rename {
                to: "stream",
                note: note.to_owned(),
            },
        });
    }
    if let Some(tls) = find("tls") {
        changes.extend(scheme(&tls.value));
    }
}

/// `manual` was the ancestor's word for certificates in files.
fn scheme(node: &Node) -> Option<Change> {
    let entry = entries_of(node)
        .iter()
        .find(|entry| &*entry.key == "scheme")?;
    let is_manual = matches!(&entry.value.kind, Kind::Scalar(text) if **text == *"manual");
    is_manual.then(|| Change {
        key: entry.at,
        edit: Edit::SetValue {
            at: entry.value.at,
            old: "manual".to_owned(),
            new: "file".to_owned(),
        },
    })
}

/// Finds secrets, and says what would be better.
fn advise(node: &Node, changes: &mut Vec<Change>) {
    match &node.kind {
        Kind::Null | Kind::Scalar(_) => {}
        Kind::List(items) => {
            for item in items {
                advise(item, changes);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                let secret = SECRETS.iter().find(|(key, _)| **key == *entry.key);
                match (&entry.value.kind, secret) {
                    // The ancestor's `key` is a path.
                    (Kind::Scalar(text), Some(("key", _))) if !text.contains("-----BEGIN") => {}
                    (Kind::Scalar(text), Some((_, file_key))) if !text.is_empty() => {
                        let edit = Edit::Advise(advice(file_key));
                        let known = |change: &Change| {
                            change.key == entry.at && matches!(change.edit, Edit::Advise(_))
                        };
                        // What an alias repeats stands in one place only.
                        if !changes.iter().any(known) {
                            changes.push(Change {
                                key: entry.at,
                                edit,
                            });
                        }
                    }
                    _ if CHOSEN.contains(&&*entry.key) => {}
                    _ => advise(&entry.value, changes),
                }
            }
        }
    }
}

/// The comments that stand within a block of the top level.
fn comments_within(text: &str, entries: &[Entry], block: &Entry) -> Vec<yaml::Comment> {
    let first = block.at.line;
    let after = entries.iter().map(|entry| entry.at.line);
    let next = after.filter(|line| *line > first).min().unwrap_or(u32::MAX);
    let last = last_line(&block.value);
    let mut comments = yaml::comments(text);
    comments.retain(|comment| {
        let line = comment.at.line;
        // At the margin behind the last value it is about what follows.
        (first..next).contains(&line) && (line <= last || comment.at.column > 1)
    });
    comments
}
