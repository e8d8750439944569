//! `scrape_configs`, as in Prometheus 3.

use std::sync::Arc;

use super::block::{Block, Value};
use super::global::{self, Global, JobNames};
use super::problem::Report;
use super::{discover, fixed, http, keys, relabel};
use crate::exposition::{NameEscaping, Protocol};
use crate::model::NameValidation;
use crate::scrape::Config;

/// Reads the list; configurations that are wrong are reported and left out.
pub(super) fn read(
    value: &Value<'_>,
    global: &Global,
    names: &mut JobNames,
    report: &mut Report,
) -> Vec<Arc<Config>> {
    let mut configs = Vec::new();
    for item in value.items("a list", report) {
        let Some(block) = Block::open(&item, &keys::SCRAPE, report) else {
            continue;
        };
        let job_name = job_name(&block, names, report);
        configs.push(Arc::new(config(&block, job_name, global, report)));
    }
    configs
}

fn job_name(block: &Block<'_>, names: &mut JobNames, report: &mut Report) -> String {
    let value = block.required("job_name", "name the job", report);
    let Some(value) = value else {
        return String::new();
    };
    let name = value.scalar("a string", report).unwrap_or_default();
    if !name.is_empty() {
        global::check_job_name(name, &value.place, report);
        names.take(name, &value.place, report);
    }
    name.to_owned()
}

fn config(block: &Block<'_>, job_name: String, global: &Global, report: &mut Report) -> Config {
    let times = global.times.read(block, report);
    let scheme = [("http", "http"), ("https", "https")];
    let scheme = block.choice("scheme", &scheme, report).unwrap_or("http");
    let (names, escaping) = names(block, global, report);
    let relabel = match block.value("relabel_configs") {
        Some(value) => relabel::read(&value, names, report),
        None => crate::relabel::Rules::default(),
    };
    let metric_relabel = match block.value("metric_relabel_configs") {
        Some(value) => relabel::read(&value, names, report),
        None => crate::relabel::Rules::default(),
    };
    global::refuse_custom_buckets(block, report);
    global::warn_of_bucket_limits(block, report);
    if block.text("scrape_failure_log_file", report).is_some() {
        let why = "failures are in our own log and in our metrics";
        block.no_effect("scrape_failure_log_file", why, report);
    }
    let or = |key, default, report: &mut Report| block.boolean(key, report).unwrap_or(default);
    let native = or("scrape_native_histograms", global.native_histograms, report);
    let fallback = block.value("fallback_scrape_protocol");
    Config {
        job_name,
        interval: times.interval,
        timeout: times.timeout,
        metrics_path: block
            .text("metrics_path", report)
            .unwrap_or("/metrics")
            .to_owned(),
        scheme: scheme.to_owned(),
        params: params(block, report),
        honor_labels: or("honor_labels", false, report),
        honor_timestamps: or("honor_timestamps", true, report),
        track_timestamps_staleness: or("track_timestamps_staleness", false, report),
        protocols: protocols(block, global, native, report),
        fallback_protocol: fallback.and_then(|value| global::protocol(&value, report)),
        enable_compression: or("enable_compression", true, report),
        limits: global::limits(block, global.limits, report),
        name_validation: names,
        name_escaping: escaping,
        native_histograms: native,
        always_scrape_classic_histograms: or(
            "always_scrape_classic_histograms",
            global.always_scrape_classic_histograms,
            report,
        ),
        extra_scrape_metrics: or("extra_scrape_metrics", global.extra_scrape_metrics, report),
        client: http::read_client(block, report),
        discovery: {
            // Where rules could still make an address of a URL, it is not looked at.
            let mut sources = fixed::read(block, !block.has("relabel_configs"), report);
            sources.extend(discover::read(block, report));
            sources
        },
        relabel,
        metric_relabel,
    }
}

/// Reads which names are valid and how they are asked for; who says the one says the other.
fn names(
    block: &Block<'_>,
    global: &Global,
    report: &mut Report,
) -> (NameValidation, NameEscaping) {
    let choices = global::validation_choices();
    let own = block.choice("metric_name_validation_scheme", &choices, report);
    let names = own.unwrap_or(global.names);
    let by_names = match names {
        NameValidation::Utf8 => NameEscaping::AllowUtf8,
        NameValidation::Legacy => NameEscaping::Underscores,
    };
    let inherited = match own {
        None => global.escaping.unwrap_or(by_names),
        Some(_) => by_names,
    };
    let escaping = global::escaping(block, names, report);
    (names, escaping.unwrap_or(inherited))
}

fn protocols(
    block: &Block<'_>,
    global: &Global,
    native_histograms: bool,
    report: &mut Report,
) -> Vec<Protocol> {
    let own = global::protocols(block, report);
    own.or_else(|| global.protocols.clone()).unwrap_or_else(|| {
        if native_histograms {
            Protocol::DEFAULT_NATIVE.to_vec()
        } else {
            Protocol::DEFAULT.to_vec()
        }
    })
}

/// Reads the mapping `params`: of each name a list of values.
fn params(block: &Block<'_>, report: &mut Report) -> Vec<(String, Vec<String>)> {
    let Some(value) = block.value("params") else {
        return Vec::new();
    };
    let mut params = Vec::new();
    for entry in value.entries("a mapping", report) {
        let list = Value {
            place: value.place.key(&entry.key, entry.at).at(entry.value.at),
            node: &entry.value,
        };
        let items = list.items("a list", report);
        let values = items
            .iter()
            .filter_map(|item| item.scalar("a string", report));
        let values: Vec<String> = values.map(str::to_owned).collect();
        params.push((entry.key.to_string(), values));
    }
    params
}
