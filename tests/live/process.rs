//! Starting and ending: arguments, signals, exit codes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{
    Behavior, Endpoint, NatsServer, Process, Program, SiteTarget, Targets, Version, get, nobody,
    poller_config, receiver_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

const PROGRAMS: [&str; 3] = [
    "prometheus-streams",
    "prometheus-streams-poller",
    "prometheus-streams-receiver",
];

#[test]
fn each_program_tells_its_version_and_its_options() {
    for program in PROGRAMS {
        let output = Program::output(program, &["--version"]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
        let output = Program::output(program, &["--help"]);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        for option in ["--config", "--debug", "--pid"] {
            assert!(text.contains(option), "{program} does not tell of {option}");
        }
    }
}

#[test]
fn both_programs_end_in_order_on_a_signal() {
    run(SCENARIO, async |lab| {
        for signal in [Signal::TERM, Signal::INT] {
            let nats = NatsServer::start(lab, Version::Packaged).await;
            let endpoint = Endpoint::start().await;
            let targets = Targets::start(vec![Behavior::Counters(1)]).await;
            let list = [SiteTarget::new("t", targets.url(0))];
            let poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
            let mut config = receiver_config(&nats.url());
            config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
            let receiver = Program::receiver(lab, config);
            wait_until(SOON, "scrapes arrive", async || {
                let samples = endpoint.samples("sim_scrapes_total", "t");
                if samples.is_empty() {
                    Err(String::new())
                } else {
                    Ok(())
                }
            })
            .await;
            for mut program in [poller, receiver] {
                send(&program, signal);
                let status = program.exited(Duration::from_secs(20)).await;
                assert_eq!(status.code(), Some(0), "{}", program.log());
                assert!(program.log().contains("clean"), "{}", program.log());
            }
        }
    });
}

#[test]
fn a_program_that_waits_for_nats_ends_on_a_signal() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::prepare(lab, Version::Packaged);
        let poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &nobody()));
        let mut config = receiver_config(&nats.url());
        config["push_gateway"] = json!({"url": "http://127.0.0.1:9"});
        let receiver = Program::receiver(lab, config);
        for mut program in [poller, receiver] {
            wait_until(SOON, "the program runs", async || {
                let log = program.log();
                if log.is_empty() {
                    Err(log)
                } else {
                    program.alive()
                }
            })
            .await;
            send(&program, Signal::TERM);
            let status = program.exited(Duration::from_secs(20)).await;
            assert_eq!(status.code(), Some(0), "{}", program.log());
        }
    });
}

#[test]
fn the_ancestors_command_line_still_runs_a_poller() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let targets = Targets::start(vec![Behavior::Counters(1)]).await;
        let list = [SiteTarget::new("t", targets.url(0))];
        let config = lab.file("ancestor", "yaml");
        let text = poller_config("USDC1", &nats.url(), &list).to_string();
        fs::write(&config, text).unwrap();
        let pid = lab.file("ancestor", "pid");
        let program = std::env::current_exe().unwrap();
        let program = program.ancestors().nth(2).unwrap().join(PROGRAMS[0]);
        let mut command = Command::new(program);
        command.arg("--config").arg(&config);
        command.arg("--pid").arg(&pid).arg("poller");
        let mut process = Process::spawn(lab, "ancestor", &mut command);
        wait_until(SOON, "it scrapes", async || {
            if targets.served(0) > 0 {
                Ok(())
            } else {
                Err(process.log())
            }
        })
        .await;
        let written = fs::read_to_string(&pid).unwrap();
        assert_eq!(written.trim(), process.id().to_string());
        process.terminate();
        assert!(process.exited(SOON).await.success());
    });
}

#[test]
fn the_own_pages_tell_health_and_metrics() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let endpoint = Endpoint::start().await;
        let poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &nobody()));
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let receiver = Program::receiver(lab, config);
        for program in [&poller, &receiver] {
            for page in ["/-/healthy", "/-/ready"] {
                wait_until(SOON, page, async || get(program.monitor, page).await).await;
            }
            let metrics = program.metrics().await.unwrap();
            let info = metrics.sum("prometheus_streams_build_info", &[]);
            assert_eq!(info, Some(1.0), "{metrics:?}");
        }
        // With a port of its own the poller scrapes itself.
        wait_until(SOON, "the poller's own metrics arrive", async || {
            let found = endpoint.look(|series| {
                series.keys().any(|labels| {
                    labels["__name__"] == "prometheus_streams_build_info"
                        && labels["job"] == "prometheus_streams"
                })
            });
            if found { Ok(()) } else { Err(String::new()) }
        })
        .await;
    });
}

#[test]
fn the_own_pages_are_served_on_all_addresses() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let mut config = poller_config("USDC1", &nats.url(), &nobody());
        config["monitor_address"] = Value::Null;
        let poller = Program::poller(lab, config);
        for address in ["127.0.0.1", "::1"] {
            wait_until(SOON, address, async || {
                let connected = TcpStream::connect((address, poller.monitor)).await;
                connected.map(drop).map_err(|error| error.to_string())
            })
            .await;
        }
    });
}

#[test]
fn a_log_file_is_opened_again_on_a_hangup() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let log = lab.file("own", "log");
        let rotated = lab.file("rotated", "log");
        let mut config = poller_config("USDC1", &nats.url(), &nobody());
        config["logfile"] = log.to_str().into();
        let mut poller = Program::poller(lab, config);
        let logged = async |path: &Path| {
            wait_until(SOON, "something is logged", async || {
                let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
                if text.is_empty() { Err(text) } else { Ok(text) }
            })
            .await
        };
        logged(&log).await;
        fs::rename(&log, &rotated).unwrap();
        send(&poller, Signal::HUP);
        wait_until(SOON, "the file is there again", async || {
            fs::exists(&log)
                .unwrap()
                .then_some(())
                .ok_or_else(String::new)
        })
        .await;
        poller.terminate();
        poller.exited(SOON).await;
        for path in [&rotated, &log] {
            for line in logged(path).await.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(line.is_object(), "{line}");
            }
        }
    });
}

fn send(process: &Process, signal: Signal) {
    let pid = Pid::from_raw(process.id().try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
