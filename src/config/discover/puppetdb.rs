//! `puppetdb_sd_configs`

use std::time::Duration;

use super::refresh_interval;
use crate::config::block::Block;
use crate::config::http;
use crate::config::problem::Report;
use crate::discover::Settings as Source;
use crate::discover::puppetdb::Settings;

/// As in Prometheus.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// As in Prometheus, too.
const PORT: u16 = 80;

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let remedy = "write the server's address, such as `https://puppetdb.example.com:8081`";
    let url = block.required("url", remedy, report);
    let url = url.and_then(|value| value.http_url(report));
    let remedy = "write a query of resources in PQL, such as \
                  `resources { type = \"Class\" and title = \"Prometheus::Node_exporter\" }`";
    let query = block.required("query", remedy, report);
    let query = query.and_then(|value| value.scalar("a string", report));
    let port = block.integer("port", &(0..=u32::from(u16::MAX)), report);
    let include_parameters = block.boolean("include_parameters", report);
    let http = http::read_client(block, report);
    let refresh_interval = refresh_interval(block, REFRESH_INTERVAL, report);
    Some(Source::PuppetDb(Box::new(Settings {
        url: url?,
        http,
        query: query?.to_owned(),
        include_parameters: include_parameters.unwrap_or(false),
        port: port
            .and_then(|port| u16::try_from(port).ok())
            .unwrap_or(PORT),
        refresh_interval,
    })))
}
