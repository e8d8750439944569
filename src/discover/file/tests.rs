use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::tests::metrics;
use super::super::{Discovery, Groups, Settings as Source};
use super::*;

/// How long to wait for what should be a moment, on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(30);

/// Files of targets in a folder of their own, and what is discovered from them.
struct Lab {
    folder: TempDir,
    groups: watch::Receiver<Option<Groups>>,
    registry: crate::telemetry::Metrics,
    _stop: tokio_util::sync::DropGuard,
}

impl Lab {
    /// Watches everything in a folder that holds these files already.
    fn start(files: &[(&str, &str)], refresh_interval: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let pattern = |ending: &str| format!("{}/*.{ending}", folder.path().display());
        let settings = Settings {
            files: vec![pattern("json"), pattern("yml")],
            refresh_interval,
        };
        let (metrics, registry) = metrics();
        let discovery = Discovery::new("job", &[Source::File(settings)], metrics)
            .unwrap()
            .publishing_every(OFTEN);
        let (sender, groups) = watch::channel(None);
        let stop = CancellationToken::new();
        tokio::spawn(discovery.run(sender, stop.clone()));
        Self {
            folder,
            groups,
            registry,
            _stop: stop.drop_guard(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Waits until these are the addresses of all targets.
    #[track_caller]
    fn wait_for(&mut self, addresses: &[&str]) -> impl Future<Output = Groups> {
        let caller = std::panic::Location::caller();
        async move {
            let fits = |groups: &Option<Groups>| {
                groups
                    .as_ref()
                    .is_some_and(|groups| found(groups) == addresses)
            };
            let groups = timeout(LIMIT, self.groups.wait_for(fits)).await;
            let groups = groups.map(|groups| groups.unwrap().clone().unwrap());
            let last = self.groups.borrow().as_ref().map(found);
            groups.unwrap_or_else(|_| panic!("{caller}: {addresses:?} never come, but {last:?}"))
        }
    }

    /// Waits until the page of metrics has a line.
    async fn wait_for_metric(&self, line: &str) {
        let seen = async {
            while !self.registry.encode().unwrap().contains(line) {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(LIMIT, seen).await.is_ok(), "{line} never comes");
    }
}

fn found(groups: &Groups) -> Vec<String> {
    let targets = groups.iter().flat_map(|group| &group.targets);
    targets.map(|labels| labels[0].1.clone()).collect()
}

/// How often changes are published here.
const OFTEN: Duration = Duration::from_millis(1);

const NEVER: Duration = Duration::from_secs(3600);

const BAD: &str = "[\n {\"targets\": \"a\"}]";

#[tokio::test]
async fn files_are_read_with_their_labels() {
    let json = r#"[{"targets": ["a:1"], "labels": {"zone": "x"}}, {"targets": ["b:1"]}]"#;
    let mut lab = Lab::start(
        &[("one.json", json), ("two.yml", "- targets: [c:1]\n")],
        NEVER,
    );
    let groups = lab.wait_for(&["a:1", "b:1", "c:1"]).await;
    let path = lab.path("one.json").display().to_string();
    assert_eq!(&*groups[0].source, format!("{path}:0"));
    let labels = [("__meta_filepath", &*path), ("zone", "x")];
    assert_eq!(
        groups[0].labels,
        labels.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(groups[1].labels.len(), 1);
}

#[tokio::test]
async fn changes_are_seen_long_before_the_refresh_interval() {
    let mut lab = Lab::start(&[("a.json", r#"[{"targets": ["a"]}]"#)], NEVER);
    lab.wait_for(&["a"]).await;
    lab.write("b.yml", "- targets: [b]");
    lab.wait_for(&["a", "b"]).await;
    lab.write("a.json", r#"[{"targets": ["c"]}, {"targets": ["d"]}]"#);
    lab.write("new", "- targets: [e]");
    std::fs::rename(lab.path("new"), lab.path("b.yml")).unwrap();
    lab.wait_for(&["c", "d", "e"]).await;
    lab.write("a.json", r#"[{"targets": ["c"]}]"#);
    lab.wait_for(&["c", "e"]).await;
    std::fs::remove_file(lab.path("a.json")).unwrap();
    lab.wait_for(&["e"]).await;
}

#[tokio::test]
async fn a_bad_file_keeps_its_last_groups_until_it_is_good_or_gone() {
    let good = r#"[{"targets": ["a"]}]"#;
    let mut lab = Lab::start(&[("a.json", good), ("b.json", good)], NEVER);
    lab.wait_for(&["a", "a"]).await;
    lab.write("a.json", BAD);
    lab.wait_for_metric(r#"failures_total{job="job",kind="file"} 1"#)
        .await;
    lab.write("b.json", r#"[{"targets": ["b"]}]"#);
    lab.wait_for(&["a", "b"]).await;
    lab.write("a.json", r#"[{"targets": ["c"]}]"#);
    lab.wait_for(&["c", "b"]).await;
    lab.write("a.json", BAD);
    lab.write("b.json", r#"[{"targets": ["d"]}]"#);
    lab.wait_for(&["c", "d"]).await;
    std::fs::remove_file(lab.path("a.json")).unwrap();
    lab.wait_for(&["d"]).await;
}

#[tokio::test]
async fn a_link_that_is_turned_elsewhere_is_seen() {
    // As Kubernetes replaces the files of a config map.
    let mut lab = Lab::start(&[], NEVER);
    lab.wait_for(&[]).await;
    for version in ["v1", "v2"] {
        std::fs::create_dir(lab.path(version)).unwrap();
        lab.write(
            &format!("{version}/a.json"),
            &format!(r#"[{{"targets": ["{version}"]}}]"#),
        );
    }
    std::os::unix::fs::symlink("v1", lab.path("data")).unwrap();
    std::os::unix::fs::symlink("data/a.json", lab.path("a.json")).unwrap();
    lab.wait_for(&["v1"]).await;
    std::os::unix::fs::symlink("v2", lab.path("data.new")).unwrap();
    std::fs::rename(lab.path("data.new"), lab.path("data")).unwrap();
    lab.wait_for(&["v2"]).await;
}

#[tokio::test]
async fn a_folder_that_comes_later_is_seen_at_a_refresh() {
    let folder = tempfile::tempdir().unwrap();
    let files = vec![format!("{}/late/a.yml", folder.path().display())];
    let refresh_interval = Duration::from_millis(20);
    let settings = Settings {
        files,
        refresh_interval,
    };
    let discovery = Discovery::new("job", &[Source::File(settings)], metrics().0)
        .unwrap()
        .publishing_every(OFTEN);
    let (sender, mut groups) = watch::channel(None);
    tokio::spawn(discovery.run(sender, CancellationToken::new()));
    groups
        .wait_for(|groups: &Option<Groups>| groups.as_ref().is_some_and(|all| all.is_empty()))
        .await
        .unwrap();
    std::fs::create_dir(folder.path().join("late")).unwrap();
    std::fs::write(folder.path().join("late/a.yml"), "- targets: [a]").unwrap();
    let comes = groups.wait_for(|groups| groups.as_ref().is_some_and(|all| found(all) == ["a"]));
    timeout(LIMIT, comes).await.unwrap().unwrap();
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let parts = read_all(&[path.display().to_string()]);
    let error = parts.into_iter().next().unwrap().groups.unwrap_err();
    let expected = format!("cannot use `{}`: {expected}", path.display());
    assert_eq!(chain(&error), expected);
}

#[test]
fn a_bad_file_is_named_with_the_place_and_the_reason() {
    refused(
        "a.json",
        BAD.as_bytes(),
        "line 2, column 16: invalid type: string \"a\", expected a sequence",
    );
    refused(
        "a.YML",
        b"- targets: [a]\n  label: x\n",
        "line 2, column 3: unknown key `label`; a group has `targets` and `labels`",
    );
    refused("a.json", b"", "line 1, column 1: EOF while parsing a value");
    refused(
        "a.json",
        &vec![b' '; FILE_BYTES_MAX + 1],
        "it is larger than 16 MiB",
    );
    let targets = format!("[{{\"targets\": [{}\"\"]}}]", "\"\",".repeat(TARGETS_MAX));
    refused(
        "a.json",
        targets.as_bytes(),
        "it lists 100001 targets, more than 100000",
    );
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a.json")).unwrap();
    let error = read(&folder.path().join("a.json")).unwrap_err();
    assert!(matches!(error, FileError::NotAFile), "{error:?}");
    let pipe = folder.path().join("pipe.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    assert!(matches!(read(&pipe), Err(FileError::NotAFile)));
}

#[test]
fn a_file_that_two_patterns_find_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), "[]").unwrap();
    let pattern = |name: &str| format!("{}/{name}", folder.path().display());
    assert_eq!(read_all(&[pattern("*.json"), pattern("a.json")]).len(), 1);
}

#[tokio::test]
async fn asked_once_it_returns_groups_and_failures() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.json"), r#"[{"targets": ["a"]}]"#).unwrap();
    std::fs::write(folder.path().join("b.json"), BAD).unwrap();
    let files = vec![format!("{}/*.json", folder.path().display())];
    let refresh_interval = NEVER;
    let settings = Settings {
        files,
        refresh_interval,
    };
    let discovery = Discovery::new("job", &[Source::File(settings)], metrics().0).unwrap();
    let (groups, failures) = discovery.once(LIMIT).await;
    assert_eq!(found(&groups), ["a"]);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, "file");
}
