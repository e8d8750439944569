//! `http_sd_configs`

use super::refresh_interval;
use crate::config::block::Block;
use crate::config::http;
use crate::config::problem::Report;
use crate::discover::Settings as Source;
use crate::discover::http::{REFRESH_INTERVAL, Settings};

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let remedy = "write the address of the server, such as `https://host/targets`";
    let value = block.required("url", remedy, report);
    let client = http::read_client(block, report);
    let refresh_interval = refresh_interval(block, REFRESH_INTERVAL, report);
    let value = value?;
    Some(Source::Http(Box::new(Settings {
        url: value.http_url(report)?,
        written: value.scalar("a URL", report)?.to_owned(),
        client,
        refresh_interval,
    })))
}
