//! Folders that cannot be used, full disks, read-only disks, and processes that are killed.
//!
//! What needs a disk of its own runs in a mount namespace of its own: this program starts itself
//! there once more with one test and a folder in the environment. Where the system does not let us
//! mount, that is said, and the test passes.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::retry::{Retry, Retryable as _};

/// Names the folder to a test that was started by another.
const FOLDER: &str = "PROMETHEUS_STREAMS_TEST_SPOOL";

/// The folder, if this test was started by another.
fn given_folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// A command that runs one test of this program.
fn this_test(name: &str, folder: &Path) -> String {
    let program = std::env::current_exe().unwrap();
    format!(
        "{FOLDER}='{}' exec '{}' --exact --nocapture spool::tests::disk::{name}",
        folder.display(),
        program.display()
    )
}

/// Runs a test on a disk of its own, if that can be had.
#[track_caller]
#[expect(
    clippy::print_stderr,
    reason = "a test that could not do its work must say so"
)]
fn on_own_disk(name: &str, options: &str) {
    let root = TempDir::new().unwrap();
    let mount = format!(
        "mount -t tmpfs -o {options} none '{}'",
        root.path().display()
    );
    let unshared = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]);
        command.stdin(Stdio::null()).output()
    };
    if !unshared(&mount).is_ok_and(|output| output.status.success()) {
        eprintln!("{name}: not tried, since this system lets us mount nothing");
        return;
    }
    let script = format!("{mount} && {}", this_test(name, root.path()));
    let output = unshared(&script).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "the test was not found: {text}");
}

#[test]
fn a_folder_is_held_by_one_process() {
    let lab = Lab::new(1 << 20);
    let (spool, _) = lab.open();
    let error = Spool::open(lab.settings.clone(), lab.clock.clone()).unwrap_err();
    let expected = format!(
        "cannot use spool folder `{}`: another process holds it",
        lab.dir().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(spool);
    lab.open();
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    #[track_caller]
    fn check(dir: &Path) {
        let settings = Settings::new(dir.to_owned());
        let error = Spool::open(settings, Clock::system()).unwrap_err();
        assert!(matches!(error, SpoolError::Create { .. }), "{error}");
        assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
    }
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, []).unwrap();
    check(&file);
    check(&file.join("spool"));
    check(Path::new("/proc/spool"));
}

#[test]
fn a_full_disk_drops_the_oldest_and_gets_on() {
    on_own_disk("full_disk", "size=1m");
}

#[test]
fn full_disk() {
    let Some(root) = given_folder() else { return };
    let mut lab = Lab::new(8 * 200_000);
    lab.settings.dir = root.join("spool");
    let (mut spool, _) = lab.open();
    let (mut lost, mut first) = (0, 1);
    for number in 1..=300 {
        let dropped = spool.append(&sized(number, 10_000)).unwrap();
        lost += dropped.no_room.total().entries;
        assert_eq!(spool.len() + lost, number);
    }
    assert!(lost > 100, "{lost}");
    first += lost;
    let found: Vec<u64> = read(&mut spool).iter().map(|read| read.1.number).collect();
    assert_eq!(found, (first..=300).collect::<Vec<u64>>());
    drop(spool);
    let (mut spool, recovered) = lab.open();
    assert_eq!((recovered.cut_bytes, recovered.damaged), (0, 0));

    // Somebody else takes all the room there is: no frame fits any more.
    let mut hog = std::fs::File::create(root.join("hog")).unwrap();
    while std::io::Write::write_all(&mut hog, &[1; 4096]).is_ok() {}
    let mut refused = 0;
    for number in 301..400 {
        lost = match spool.append(&sized(number, 200_000)) {
            Ok(dropped) => lost + dropped.no_room.total().entries,
            Err(error) => {
                assert!(matches!(error, AppendError::Full { .. }), "{error}");
                assert_eq!(error.retry(), Retry::Yes);
                refused += 1;
                lost
            }
        };
        // The hog also takes what the spool lets go of.
        while std::io::Write::write_all(&mut hog, &[1; 4096]).is_ok() {}
    }
    assert!(refused > 0);
    lost += spool.take_dropped().no_room.total().entries;
    assert_eq!(spool.len() + lost + refused, 399);

    // Room again: it gets on, and nothing that was refused is there.
    drop(hog);
    std::fs::remove_file(root.join("hog")).unwrap();
    let before = spool.len();
    assert!(spool.append(&sized(400, 10_000)).unwrap().is_empty());
    let found: Vec<u64> = read(&mut spool).iter().map(|read| read.1.number).collect();
    assert_eq!(found.len() as u64, before + 1);
    assert!(found.is_sorted() && found.last() == Some(&400), "{found:?}");
    drop(spool);
    let (_, recovered) = lab.open();
    assert_eq!((recovered.entries, recovered.damaged), (before + 1, 0));
}

#[test]
fn a_disk_that_becomes_read_only_is_told_and_gets_on_later() {
    on_own_disk("read_only_disk", "size=8m");
}

#[test]
fn read_only_disk() {
    let Some(root) = given_folder() else { return };
    let mut lab = Lab::new(8 * 300);
    lab.settings.dir = root.join("spool");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let status = command.args(arguments).arg(lab.dir()).status();
        assert!(status.unwrap().success(), "{program} {arguments:?}");
    };
    // The folder is mounted over itself, since a mount with open files cannot become read-only.
    let make_read_only = || {
        run("mount", &["--bind", lab.dir().to_str().unwrap()]);
        run("mount", &["-o", "remount,bind,ro"]);
    };
    let (mut spool, _) = lab.open();
    append(&mut spool, 1..=3);
    drop(spool);
    make_read_only();
    let error = Spool::open(lab.settings.clone(), lab.clock.clone()).unwrap_err();
    assert!(matches!(error, SpoolError::Open { .. }), "{error}");
    run("umount", &[]);

    let (mut spool, _) = lab.open();
    let positions = check_read(&mut spool, 1..=3);
    make_read_only();
    // The three frames fill a segment; the next append needs a new file.
    let error = spool.append(&entry(4)).unwrap_err();
    assert!(matches!(error, AppendError::ReadOnly { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Yes);
    for position in positions {
        spool.confirm(position);
    }
    assert_eq!((spool.len(), lab.segments().len()), (0, 1));
    lab.pass(1000);
    assert!(spool.sync_due());
    spool.sync().unwrap_err();
    run("umount", &[]);
    lab.pass(1000);
    assert!(spool.sync_due());
    spool.sync().unwrap();
    assert!(lab.segments().is_empty());
    append(&mut spool, [4]);
    check_read(&mut spool, [4]);
}

#[test]
fn a_process_that_is_killed_loses_nothing_that_it_appended() {
    let root = TempDir::new().unwrap();
    let script = this_test("append_for_ever", root.path());
    let mut child = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let numbers = lines
        .map_while(Result::ok)
        .filter_map(|line| line.parse::<u64>().ok());
    let told = numbers.take_while(|number| *number < 2000).count() as u64;
    child.kill().unwrap();
    child.wait().unwrap();
    let mut lab = Lab::new(8 * 300_000);
    lab.settings.dir = root.path().join("spool");
    let (mut spool, recovered) = lab.open();
    assert_eq!(recovered.damaged, 0);
    assert!(
        told >= 1999 && recovered.entries > told,
        "{told} {recovered:?}"
    );
    let found: Vec<u64> = std::iter::from_fn(|| {
        let (position, entry) = spool.read().unwrap()?;
        spool.confirm(position);
        Some(entry.number)
    })
    .collect();
    assert_eq!(found, (1..=recovered.entries).collect::<Vec<u64>>());
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the test that started this one reads it"
)]
fn append_for_ever() {
    let Some(root) = given_folder() else { return };
    let mut lab = Lab::new(8 * 300_000);
    lab.settings.dir = root.join("spool");
    let (mut spool, _) = lab.open();
    for number in 1..20_000 {
        spool.append(&sized(number, 50)).unwrap();
        println!("{number}");
    }
}
