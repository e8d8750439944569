//! `nomad_sd_configs`

use std::time::Duration;

use super::{any_text, refresh_interval, tag_separator};
use crate::config::block::Block;
use crate::config::http;
use crate::config::problem::Report;
use crate::discover::Settings as Source;
use crate::discover::nomad::Settings;

/// As in Prometheus.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// Where an agent listens that stands beside us.
const SERVER: &str = "http://localhost:4646";

const SERVER_REMEDY: &str = "write the agent's address, such as `http://nomad.example.com:4646`";

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let server = match block.value("server") {
        None => SERVER.parse().ok(),
        Some(value) => {
            let text = value.scalar("a URL", report);
            if text.is_some_and(|text| text.trim().is_empty()) {
                let what = "nomad SD configuration requires a server address";
                report.problem(&value.place, what, SERVER_REMEDY);
                None
            } else {
                text.and_then(|_| value.http_url(report))
            }
        }
    };
    let namespace = any_text(block, "namespace", report);
    let region = any_text(block, "region", report);
    let settings = Settings {
        http: http::read_client(block, report),
        namespace: namespace.unwrap_or("default").to_owned(),
        region: region.unwrap_or("global").to_owned(),
        tag_separator: tag_separator(block, report),
        allow_stale: block.boolean("allow_stale", report).unwrap_or(true),
        refresh_interval: refresh_interval(block, REFRESH_INTERVAL, report),
        server: server?,
    };
    Some(Source::Nomad(Box::new(settings)))
}
