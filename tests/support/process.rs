//! One process that we started, and its log.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{Lab, wait_until};

/// Ticks of the kernel's CPU accounting in a second; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process, killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, everything that it prints going to a log in the lab.
    pub(crate) fn spawn(lab: &Lab, name: &str, command: &mut Command) -> Self {
        let log = lab.log(name);
        Self::spawn_with_log(lab, name, command, log)
    }

    /// As [`Process::spawn`], adding to a log that exists.
    pub(crate) fn spawn_with_log(
        lab: &Lab,
        name: &str,
        command: &mut Command,
        log: PathBuf,
    ) -> Self {
        let output = File::options().create(true).append(true).open(&log);
        let output = output.unwrap();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        if !lab.shares_terminal {
            command.process_group(0);
        }
        let child = command.spawn().unwrap_or_else(|error| {
            let program = command.get_program().display();
            panic!("cannot start `{program}`: {error}; `scripts/install-deps.sh` installs it")
        });
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Returns the process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the path of its log.
    pub(crate) fn log_path(&self) -> &Path {
        &self.log
    }

    /// Returns all that it has printed.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Stops it where it is, as if its machine stood still.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself, which is what we want.
        drop(self.child.kill());
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn exited(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        wait_until(limit, &what, async || {
            let status = self.child.try_wait().unwrap();
            status.ok_or_else(|| "still running".to_owned())
        })
        .await
    }

    /// Returns an error if it has ended.
    pub(crate) fn alive(&mut self) -> Result<(), String> {
        match self.child.try_wait().unwrap() {
            None => Ok(()),
            Some(status) => Err(format!("{} has ended: {status}", self.name)),
        }
    }

    /// Returns the CPU time that it has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // The name in parentheses may hold anything; user and system time are the 12th and 13th
        // field behind it.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks = ticks
            .map(|field| field.parse::<f64>().unwrap())
            .sum::<f64>();
        ticks / TICKS_PER_SECOND
    }

    /// Returns the resident memory that it has now, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// Returns the largest resident memory that it has had, in bytes.
    pub(crate) fn resident_bytes_max(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line
            .and_then(|line| line.split_whitespace().next())
            .unwrap();
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
