//! `jobs` as `scrape_configs`.
//!
//! What a job means is taken from the configuration that was read; what its author wrote beside
//! it, the comments, from the text.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::emit::{quoted, scalar, string};
use crate::discover::{self, Group};
use crate::http::Auth;
use crate::model::Secret;
use crate::scrape::{Config, Protocol};
use crate::yaml::{Comment, Entry, Kind, Node};

/// What of a job is said in a scrape configuration by the same key.
const SHARED_KEYS: [&str; 3] = ["scrape_interval", "scrape_timeout", "body_size_limit"];

/// Words above the first fallback.
const FALLBACK_NOTE: &str =
    "# As before, a page is also read when the target does not say what kind of page it is.";

/// Labels of one target as discovery would list them.
type Labelled = Vec<(String, String)>;

/// The list that `jobs` is made into: lines with the dashes of its items at the margin.
#[derive(Debug)]
pub(super) struct Jobs {
    lines: Vec<String>,
    has_items: bool,
}

impl Jobs {
    /// Makes the list; `value` is that of the key `jobs`, `configs` is all that is scraped.
    pub(super) fn of(value: &Node, comments: Vec<Comment>, configs: &[Arc<Config>]) -> Self {
        let mut writer = Writer {
            lines: Vec::new(),
            comments: comments.into(),
            configs,
            names: configs
                .iter()
                .map(|config| config.job_name.clone())
                .collect(),
            is_noted: false,
        };
        let entries = match &value.kind {
            Kind::Map(entries) => &**entries,
            _ => &[],
        };
        let mut has_items = false;
        for entry in entries {
            has_items |= writer.job(entry);
        }
        writer.comments_until(u32::MAX, 0);
        Self {
            lines: writer.lines,
            has_items,
        }
    }

    /// The whole block.
    pub(super) fn block(&self) -> Vec<String> {
        let head = if self.has_items {
            "scrape_configs:"
        } else {
            "scrape_configs: []"
        };
        let mut lines = vec![head.to_owned()];
        lines.extend(self.items(2));
        lines
    }

    /// The items, indented.
    pub(super) fn items(&self, indent: usize) -> Vec<String> {
        let pad = " ".repeat(indent);
        let lines = self.lines.iter();
        lines.map(|line| format!("{pad}{line}")).collect()
    }
}

struct Writer<'a> {
    lines: Vec<String>,
    /// Those that have not been written.
    comments: VecDeque<Comment>,
    configs: &'a [Arc<Config>],
    /// Names of jobs that are taken.
    names: Vec<String>,
    is_noted: bool,
}

/// The comments of a job's targets.
#[derive(Default)]
struct Written {
    /// By name.
    named: HashMap<String, Vec<String>>,
    /// Those of targets without a name, in their order.
    others: VecDeque<Vec<String>>,
}

impl Written {
    fn take(&mut self, target: &Labelled) -> Vec<String> {
        let named = self.named.remove(get(target, "instance"));
        named
            .or_else(|| self.others.pop_front())
            .unwrap_or_default()
    }
}

impl Writer<'_> {
    /// Writes one job; returns whether it has a target.
    fn job(&mut self, entry: &Entry) -> bool {
        self.comments_until(entry.at.line, 0);
        let all = self.configs;
        let mut configs: Vec<&Config> = Vec::new();
        for config in all.iter().filter(|config| config.job_name == *entry.key) {
            configs.push(config);
        }
        if configs.is_empty() {
            let line = "# A job without targets was left out here.";
            self.lines.push(line.to_owned());
            return false;
        }
        let targets_key = entry_of(&entry.value, "targets").map(|entry| entry.at.line);
        let notes = self.take_until(targets_key.unwrap_or_default());
        let mut written = self.written(&entry.value);
        for (index, config) in configs.iter().enumerate() {
            let name = self.name_of(&entry.key, index);
            if index > 0 {
                let line =
                    "# Targets of the job before that take another user or other parameters.";
                self.lines.push(line.to_owned());
            }
            self.lines.push(format!("- job_name: {}", string(&name)));
            if index == 0 {
                let notes = notes.iter().map(|note| format!("  {note}"));
                self.lines.extend(notes);
            }
            self.keys_of(&entry.value);
            let targets = targets_of(config);
            let common = Common::of(&targets);
            common.write(config, &mut self.lines);
            if !self.is_noted {
                self.lines.push(format!("  {FALLBACK_NOTE}"));
                self.is_noted = true;
            }
            let fallback = config.fallback_protocol.map(Protocol::as_str);
            let fallback = fallback.unwrap_or_default();
            self.lines
                .push(format!("  fallback_scrape_protocol: {fallback}"));
            let job = (index > 0).then_some(&*entry.key);
            self.static_configs(&targets, &common, job, &mut written);
        }
        true
    }

    /// Finds a name for the part of a job whose targets have a client of their own.
    fn name_of(&mut self, job: &str, index: usize) -> String {
        if index == 0 {
            return job.to_owned();
        }
        let mut number = index + 1;
        loop {
            let name = format!("{job}-{number}");
            if !self.names.contains(&name) {
                self.names.push(name.clone());
                return name;
            }
            number += 1;
        }
    }

    fn keys_of(&mut self, job: &Node) {
        for key in SHARED_KEYS {
            if let Some(text) = text_of(job, key) {
                self.lines.push(format!("  {key}: {}", scalar(text)));
            }
        }
    }

    fn static_configs(
        &mut self,
        targets: &[&Labelled],
        common: &Common,
        job: Option<&str>,
        written: &mut Written,
    ) {
        self.lines.push("  static_configs:".to_owned());
        let mut last: Option<Vec<(String, String)>> = None;
        for target in targets {
            let labels = common.own_labels(target, job);
            let comments = written.take(target);
            let address = string(get(target, "__address__"));
            if labels.is_empty() && last.as_ref() == Some(&labels) {
                let lines = comments.iter().map(|line| format!("        {line}"));
                self.lines.extend(lines);
                self.lines.push(format!("        - {address}"));
                continue;
            }
            let lines = comments.iter().map(|line| format!("    {line}"));
            self.lines.extend(lines);
            if labels.is_empty() {
                self.lines.push("    - targets:".to_owned());
                self.lines.push(format!("        - {address}"));
            } else {
                let address = quoted(get(target, "__address__"));
                self.lines.push(format!("    - targets: [{address}]"));
                self.lines.push("      labels:".to_owned());
            }
            for (name, value) in &labels {
                let line = format!("        {}: {}", string(name), string(value));
                self.lines.push(line);
            }
            last = Some(labels);
        }
    }

    /// Gathers what stands beside each target of a job.
    fn written(&mut self, job: &Node) -> Written {
        let mut written = Written::default();
        let Some(Kind::List(items)) = value_of(job, "targets").map(|node| &node.kind) else {
            return written;
        };
        for item in items {
            let comments = self.take_until(last_line(item));
            match text_of(item, "name") {
                Some(name) => {
                    written.named.insert(name.to_owned(), comments);
                }
                None => written.others.push_back(comments),
            }
        }
        written
    }

    fn comments_until(&mut self, line: u32, indent: usize) {
        let pad = " ".repeat(indent);
        let comments = self.take_until(line);
        let comments = comments.iter().map(|comment| format!("{pad}{comment}"));
        self.lines.extend(comments);
    }

    fn take_until(&mut self, line: u32) -> Vec<String> {
        let mut taken = Vec::new();
        while self
            .comments
            .front()
            .is_some_and(|comment| comment.at.line <= line)
        {
            let comment = self.comments.pop_front();
            taken.extend(comment.map(|comment| format!("#{}", comment.text)));
        }
        taken
    }
}

/// What all targets of a scrape configuration have in common.
struct Common {
    scheme: Option<String>,
    path: Option<String>,
    params: Option<Vec<(String, String)>>,
}

impl Common {
    fn of(targets: &[&Labelled]) -> Self {
        let common = |name: &str| {
            let mut values = targets.iter().map(|target| get(target, name));
            let first = values.next()?;
            values.all(|value| value == first).then(|| first.to_owned())
        };
        let mut params = targets.iter().map(|target| params_of(target));
        let first = params.next().unwrap_or_default();
        Self {
            scheme: common("__scheme__"),
            path: common("__metrics_path__"),
            params: params.all(|params| params == first).then_some(first),
        }
    }

    /// Writes what is not the default.
    fn write(&self, config: &Config, lines: &mut Vec<String>) {
        if let Some(scheme) = self.scheme.as_deref().filter(|scheme| *scheme != "http") {
            lines.push(format!("  scheme: {scheme}"));
        }
        if let Some(path) = self.path.as_deref().filter(|path| *path != "/metrics") {
            lines.push(format!("  metrics_path: {}", string(path)));
        }
        let single = self.params.iter().flatten();
        let single = single.map(|(name, value)| (name, std::slice::from_ref(value)));
        let several = config.params.iter();
        let several = several.map(|(name, values)| (name, &**values));
        let params: Vec<(&String, &[String])> = single.chain(several).collect();
        if !params.is_empty() {
            lines.push("  params:".to_owned());
        }
        for (name, values) in params {
            lines.push(format!("    {}:", string(name)));
            let values = values.iter();
            lines.extend(values.map(|value| format!("      - {}", string(value))));
        }
        if let Some(Auth::Basic { username, password }) = &config.client.auth {
            lines.push("  basic_auth:".to_owned());
            if let Secret::Inline(name) = username {
                lines.push(format!("    username: {}", string(name)));
            }
            if let Some(Secret::Inline(password)) = password {
                lines.push(format!("    # {}", super::plan::advice("password_file")));
                lines.push(format!("    password: {}", string(password)));
            }
        }
    }

    /// The labels that a target has for itself.
    fn own_labels(&self, target: &Labelled, job: Option<&str>) -> Vec<(String, String)> {
        let mut labels = Vec::new();
        let mut add = |name: &str, value: &str| labels.push((name.to_owned(), value.to_owned()));
        if let Some(job) = job {
            add("job", job);
        }
        let instance = get(target, "instance");
        if instance != get(target, "__address__") {
            add("instance", instance);
        }
        let (scheme, path) = (get(target, "__scheme__"), get(target, "__metrics_path__"));
        if self.scheme.is_none() && scheme != "http" {
            add("__scheme__", scheme);
        }
        if self.path.is_none() && path != "/metrics" {
            add("__metrics_path__", path);
        }
        if self.params.is_none() {
            for (name, value) in params_of(target) {
                add(&format!("__param_{name}"), &value);
            }
        }
        labels
    }
}

fn targets_of(config: &Config) -> Vec<&Labelled> {
    let fixed = config.discovery.iter().filter_map(|source| match source {
        discover::Settings::Static(groups) => Some(groups),
        _ => None,
    });
    let groups: Vec<&Arc<Group>> = fixed.flatten().collect();
    groups
        .into_iter()
        .flat_map(|group| &group.targets)
        .collect()
}

fn get<'a>(target: &'a Labelled, name: &str) -> &'a str {
    let label = target.iter().find(|(known, _)| known == name);
    label.map_or("", |(_, value)| value)
}

fn params_of(target: &Labelled) -> Vec<(String, String)> {
    let labels = target.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("__param_")?;
        Some((name.to_owned(), value.clone()))
    });
    labels.collect()
}

fn entry_of<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    entries.iter().find(|entry| &*entry.key == key)
}

fn value_of<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    Some(&*entry_of(node, key)?.value)
}

fn text_of<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match &value_of(node, key)?.kind {
        Kind::Scalar(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// The last line on which something of a node begins.
pub(super) fn last_line(node: &Node) -> u32 {
    let below = match &node.kind {
        Kind::Null | Kind::Scalar(_) => None,
        Kind::List(items) => items.iter().map(|item| last_line(item)).max(),
        Kind::Map(entries) => entries.iter().map(|entry| last_line(&entry.value)).max(),
    };
    below.map_or(node.at.line, |below| below.max(node.at.line))
}
