use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::refresh::{Part, Refresh, Refresher};
use super::source::{Event, Output, Source as _};
use super::{DiscoverError, Discovery, Group, Groups, Metrics, Settings, TARGETS_MAX};
use crate::clock::Clock;

/// A group whose targets have these addresses.
pub(crate) fn group(source: &str, addresses: &[&str]) -> Group {
    let target = |address: &&str| vec![("__address__".to_owned(), (*address).to_owned())];
    Group {
        source: source.into(),
        labels: Vec::new(),
        targets: addresses.iter().map(target).collect(),
    }
}

pub(super) fn metrics() -> (Metrics, crate::telemetry::Metrics) {
    let registry = crate::telemetry::Metrics::new();
    let register = |registry: &mut Registry| Metrics::register(registry, Clock::fixed(1_500));
    (registry.register("discover", register), registry)
}

/// Answers what it is given, one after the other, and then nothing more.
struct Scripted(VecDeque<Vec<Part>>);

impl Refresh for Scripted {
    const KIND: &'static str = "static";

    async fn refresh(&mut self) -> Vec<Part> {
        match self.0.pop_front() {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }
}

fn part(name: &str, groups: Vec<Group>) -> Part {
    let (name, groups) = (name.into(), Ok(groups));
    Part { name, groups }
}

fn only(groups: Vec<Group>) -> Vec<Part> {
    Part::only(Ok(groups))
}

fn failing(name: &str) -> Part {
    let groups = Err(DiscoverError::NoAnswer(Duration::from_secs(1)));
    let name = name.into();
    Part { name, groups }
}

/// What a refresher tells of scripted answers: a word for each group with its number of targets,
/// `!` for a failure, `.` for the end of a pass.
async fn told(answers: Vec<Vec<Part>>) -> String {
    let (sender, mut events) = mpsc::channel(100);
    let (metrics, _registry) = metrics();
    let out = Output::new(0, "static", &"job".into(), &metrics, sender);
    let passes = answers.len();
    let refresher = Refresher::new(Scripted(answers.into()), Duration::from_secs(60));
    let running = tokio::spawn(Box::new(refresher).run(out));
    let mut words = Vec::new();
    while words.iter().filter(|word| *word == ".").count() < passes {
        match events.recv().await.unwrap().1 {
            Event::Groups(mut groups) => {
                groups.sort_by(|a, b| a.source.cmp(&b.source));
                let word = |group: &Arc<Group>| format!("{}={}", group.source, group.targets.len());
                words.extend(groups.iter().map(word));
            }
            Event::Failed(_) => words.push("!".to_owned()),
            Event::Complete => words.push(".".to_owned()),
        }
    }
    running.abort();
    words.join(" ")
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_is_told() {
    let first = only(vec![group("a", &["x"]), group("b", &["y"])]);
    let second = only(vec![group("a", &["x"]), group("b", &["y", "z"])]);
    assert_eq!(told(vec![first, second]).await, "a=1 b=1 . b=2 .");
}

#[tokio::test(start_paused = true)]
async fn what_has_not_changed_is_not_told_again() {
    let answer = || only(vec![group("a", &["x"])]);
    assert_eq!(told(vec![answer(), answer()]).await, "a=1 . .");
}

#[tokio::test(start_paused = true)]
async fn groups_that_vanish_are_emptied() {
    let first = only(vec![group("a", &["x"]), group("b", &["y"])]);
    let second = only(vec![group("a", &["x"])]);
    assert_eq!(told(vec![first, second]).await, "a=1 b=1 . b=0 .");
}

#[tokio::test(start_paused = true)]
async fn a_part_that_fails_keeps_its_groups_and_one_that_vanishes_loses_them() {
    let both = || {
        vec![
            part("p", vec![group("a", &["x"])]),
            part("q", vec![group("b", &["y"])]),
        ]
    };
    let fails = vec![failing("p"), part("q", vec![group("b", &["y"])])];
    let without = vec![part("q", vec![group("b", &["y"])])];
    let answers = vec![both(), fails, both(), without];
    assert_eq!(told(answers).await, "a=1 b=1 . ! . . a=0 .");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_lists_too_much_keeps_what_it_had() {
    let addresses = vec!["x"; TARGETS_MAX + 1];
    let first = only(vec![group("a", &["x"])]);
    let second = only(vec![group("a", &addresses)]);
    assert_eq!(told(vec![first, second]).await, "a=1 . ! .");
}

#[tokio::test(start_paused = true)]
async fn refreshes_come_within_a_tenth_of_their_interval() {
    let begun = tokio::time::Instant::now();
    told((0..11).map(|_| only(Vec::new())).collect()).await;
    let taken = begun.elapsed();
    let range = Duration::from_secs(540)..=Duration::from_secs(600);
    assert!(range.contains(&taken), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn successes_and_failures_are_counted() {
    let (metrics, registry) = metrics();
    let (sender, _events) = mpsc::channel(100);
    let mut out = Output::new(0, "static", &"node".into(), &metrics, sender);
    out.succeeded("");
    out.failed("", DiscoverError::NoAnswer(Duration::from_secs(1)))
        .await;
    out.failed("", DiscoverError::NoAnswer(Duration::from_secs(1)))
        .await;
    metrics.discovered("node", 7);
    let page = registry.encode().unwrap();
    for line in [
        r#"discover_refreshes_total{job="node",kind="static"} 3"#,
        r#"discover_failures_total{job="node",kind="static"} 2"#,
        r#"discover_last_success_timestamp_seconds{job="node",kind="static"} 1.5"#,
        r#"discover_targets{job="node"} 7"#,
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    metrics.forget("node");
    assert!(!registry.encode().unwrap().contains("node"));
}

fn statics(groups: &[Group]) -> Settings {
    Settings::Static(groups.iter().cloned().map(Arc::new).collect())
}

#[tokio::test(start_paused = true)]
async fn static_groups_are_there_at_once() {
    let (metrics, _registry) = metrics();
    let settings = [
        statics(&[group("0", &["x"])]),
        statics(&[group("0", &["y"])]),
    ];
    let discovery = Discovery::new("job", &settings, metrics).unwrap();
    let (sender, mut receiver) = watch::channel::<Option<Groups>>(None);
    let stop = CancellationToken::new();
    let begun = tokio::time::Instant::now();
    let running = tokio::spawn(discovery.run(sender, stop.clone()));
    let groups = receiver
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_without_sources_has_no_targets() {
    let (metrics, _registry) = metrics();
    let discovery = Discovery::new("job", &[], metrics).unwrap();
    let (groups, failures) = discovery.once(Duration::from_secs(1)).await;
    assert!(groups.is_empty() && failures.is_empty());
}
