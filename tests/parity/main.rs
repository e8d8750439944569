//! A real Prometheus beside us: one `prometheus.yml`, one set of targets, two databases.
//!
//! `benches/parity.sh` builds and runs it. One Prometheus scrapes the targets; a poller scrapes
//! them with the same file, unchanged, and its scrapes go by way of nats-server and a receiver into
//! a second Prometheus. Afterwards the two databases are compared series by series. What differs
//! and has no reason on the list in `run/justified.rs` makes it fail.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a proof prints its figures, and stops where something is wrong"
)]

mod run;

#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which use the rest"
)]
mod support;

use std::process::ExitCode;
use std::time::Duration;

use run::{Plan, Scope};

/// How long both scrape when nothing else is said.
const SECONDS: u64 = 330;

fn main() -> ExitCode {
    let mut plan = Plan {
        length: Duration::from_secs(SECONDS),
        scope: Scope::All,
        reference: "prometheus".into(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--quick" {
            plan.scope = Scope::Quick;
            continue;
        }
        let value = arguments.next();
        match (argument.as_str(), value) {
            ("--seconds", Some(seconds)) => {
                plan.length = Duration::from_secs(seconds.parse().unwrap());
            }
            ("--reference", Some(program)) => plan.reference = program.into(),
            ("--only", Some(names)) => {
                plan.scope = Scope::Only(names.split(',').map(str::to_owned).collect());
            }
            (argument, _) => panic!(
                "`{argument}`: give `--seconds N`, `--reference PROGRAM`, `--quick` or \
                 `--only JOB,JOB`"
            ),
        }
    }
    let limit = plan.length + Duration::from_secs(240);
    let mut is_same = false;
    support::run(limit, async |lab| {
        let report = run::side_by_side(lab, &plan).await;
        println!("{report}");
        is_same = report.is_same();
    });
    if is_same {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
