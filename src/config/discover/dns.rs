//! `dns_sd_configs`

use super::{refresh_interval, required_texts};
use crate::config::block::Block;
use crate::config::problem::Report;
use crate::config::values::shown;
use crate::discover::Settings as Source;
use crate::discover::dns::{REFRESH_INTERVAL, Record, Resolver, Settings, is_name};

/// Names of one source; each is a question at each refresh.
const NAMES_MAX: usize = 10_000;

const RECORDS: [(&str, Record); 5] = [
    ("SRV", Record::Srv),
    ("A", Record::A),
    ("AAAA", Record::Aaaa),
    ("MX", Record::Mx),
    ("NS", Record::Ns),
];

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let remedy = "write a list of names, such as `_metrics._tcp.example.com`";
    let names = required_texts(block, "names", NAMES_MAX, remedy, report);
    let names = names
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(value, name)| {
            if is_name(name) {
                return Some(name.to_owned());
            }
            let what = format!("`{}` is not a name that the DNS can have", shown(name));
            let remedy = "write labels of 1 to 63 characters, with dots between them";
            report.problem(&value.place, what, remedy);
            None
        });
    let names = names.collect();
    let record = record(block, report);
    let port = port(block, record, report);
    let refresh_interval = refresh_interval(block, REFRESH_INTERVAL, report);
    Some(Source::Dns(Settings {
        names,
        record: record?,
        port: port?,
        refresh_interval,
        resolver: Resolver::default(),
    }))
}

/// Reads `type`; as in Prometheus, its letters may be large or small.
fn record(block: &Block<'_>, report: &mut Report) -> Option<Record> {
    let Some(text) = block.text("type", report) else {
        return Some(Record::Srv);
    };
    let is_meant = |(name, _): &&(&str, Record)| name.eq_ignore_ascii_case(text);
    let record = RECORDS.iter().find(is_meant).map(|(_, record)| *record);
    if record.is_none()
        && let Some(value) = block.value("type")
    {
        let expected = "`SRV`, `A`, `AAAA`, `MX` or `NS`";
        value.refuse(text, expected, "write one of these", report);
    }
    record
}

/// Reads `port`, which SRV records bring along and all others lack.
fn port(block: &Block<'_>, record: Option<Record>, report: &mut Report) -> Option<u16> {
    let before = report.count();
    let port = block.integer("port", &(0..=u32::from(u16::MAX)), report);
    let port = port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    match record {
        Some(Record::Srv) if port != 0 => {
            block.no_effect("port", "SRV records have their own", report);
        }
        Some(Record::A | Record::Aaaa | Record::Mx | Record::Ns)
            if port == 0 && report.count() == before =>
        {
            let what = "`port` is required for all types of records but SRV";
            let place = block
                .place_of("port")
                .unwrap_or_else(|| block.place.clone());
            report.problem(&place, what, "add the port that the targets listen on");
            return None;
        }
        _ => {}
    }
    Some(port)
}
