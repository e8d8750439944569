//! What becomes of targets, for people.

use std::fmt::Write as _;
use std::sync::Arc;

use tokio::sync::watch;

use super::duration;
use super::populate::{Origin, Populated, Target, populate};
use super::settings::Config;
use super::targets::targets;
use super::{Means, Metrics, Order, Shapes, Tools, Worker};
use crate::clock::Clock;
use crate::discover::Group;
use crate::http;
use crate::model::Outcome;
use crate::model::labels::RESERVED_PREFIX;
use crate::relabel::{Builder, Step};
use crate::tls::TlsError;
use crate::wire::Body;

/// Writing to a string cannot fail.
type Written = Result<(), std::fmt::Error>;

/// Lists the targets of a scrape configuration, and says of all others why they are none.
pub fn list(config: &Arc<Config>, groups: &[Arc<Group>]) -> String {
    let mut text = String::new();
    // A string takes everything.
    write_list(&mut text, config, groups).unwrap_or_default();
    text
}

fn write_list(text: &mut String, config: &Arc<Config>, groups: &[Arc<Group>]) -> Written {
    let found = targets(config, groups);
    writeln!(
        text,
        "job `{}`: {} kept, {} dropped, {} invalid",
        config.job_name,
        found.kept.len(),
        found.dropped_count,
        found.invalid.len()
    )?;
    if found.is_over_limit {
        let limit = config.limits.targets.unwrap_or_default();
        writeln!(text, "  `target_limit` is {limit}: every scrape fails")?;
    }
    for target in &found.kept {
        writeln!(text, "  {}", shown(target))?;
    }
    for origin in &found.dropped {
        let discovered = origin.discovered(config);
        let steps = config.relabel.explain(&discovered);
        write!(text, "  dropped")?;
        if let Some(Step { number, rule, .. }) = steps.last() {
            write!(text, " by rule {number}, {rule}")?;
        }
        writeln!(text, ": {}", braced(&discovered))?;
    }
    let hidden = found.dropped_count.saturating_sub(found.dropped.len());
    if hidden > 0 {
        writeln!(text, "  and {hidden} more that were dropped")?;
    }
    for invalid in &found.invalid {
        let discovered = invalid.origin.discovered(config);
        writeln!(
            text,
            "  invalid: {}: {}",
            invalid.error,
            braced(&discovered)
        )?;
    }
    Ok(())
}

/// Tells step by step what the rules do to each target that has an address or an instance;
/// `None` if there is no such target.
pub fn relabelling(config: &Arc<Config>, groups: &[Arc<Group>], name: &str) -> Option<String> {
    let mut text = String::new();
    for group in groups {
        for index in 0..group.targets.len() {
            let origin = Origin {
                group: Arc::clone(group),
                index,
            };
            write_steps(&mut text, config, &origin, name).unwrap_or_default();
        }
    }
    (!text.is_empty()).then_some(text)
}

fn write_steps(text: &mut String, config: &Arc<Config>, origin: &Origin, name: &str) -> Written {
    let discovered = origin.discovered(config);
    let populated = populate(config, origin);
    let is_instance = matches!(
        &populated,
        Ok(Populated::Target(target)) if target.labels.instance() == name
    );
    let is_meant =
        is_instance || discovered.get("__address__") == name || discovered.get("instance") == name;
    if !is_meant {
        return Ok(());
    }
    writeln!(text, "job `{}`, before relabelling:", config.job_name)?;
    for (name, value) in discovered.iter() {
        writeln!(text, "   {name}={value:?}")?;
    }
    for step in config.relabel.explain(&discovered) {
        writeln!(text, "{step}")?;
    }
    match populated {
        Ok(Populated::Target(target)) => writeln!(text, "target: {}", shown(&target)),
        Ok(Populated::Dropped) => writeln!(text, "no target: dropped"),
        Err(error) => writeln!(text, "no target: {error}"),
    }
}

fn shown(target: &Target) -> String {
    let mut labels = Builder::from_labels(&target.labels);
    // What tells a receiver how to read the series is no label of theirs.
    labels.retain(|name| !name.starts_with(RESERVED_PREFIX));
    format!(
        "{} every {} within {} {}",
        target.url,
        duration::format(target.interval),
        duration::format(target.timeout),
        braced(&labels)
    )
}

fn braced(labels: &Builder) -> String {
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}
/// Scrapes one target of those that discovery has found, and shows what would be published; `None`
/// if there is no such target. The second is whether the scrape was good.
pub async fn scrape_once(
    config: &Arc<Config>,
    groups: &[Arc<Group>],
    name: &str,
) -> Result<Option<(String, bool)>, TlsError> {
    let found = targets(config, groups);
    let is_it = |target: &Target| {
        let address = target.origin.discovered(config);
        target.labels.instance() == name || address.get("__address__") == name
    };
    let Some(target) = found.kept.into_iter().find(is_it) else {
        return Ok(None);
    };
    let metrics = Metrics::default();
    let tools = Tools {
        clock: Clock::system(),
        shapes: Shapes::new(metrics.clone()),
        metrics,
    };
    let (labels, url) = (Arc::clone(&target.labels), http::redact(&target.url));
    let order = Order {
        target: Arc::new(target),
        means: Arc::new(Means::new(config)?),
        is_over_limit: found.is_over_limit,
    };
    let (_orders, orders) = watch::channel(order);
    let probe = Worker::new(orders, tools).probe().await;
    let mut text = format!("# {labels:?}\n# {url}: {}\n", probe.summary);
    match &probe.outcome {
        Outcome::Exposed { body, .. } => {
            let mut exposition = Vec::new();
            match body {
                Body::Columns(columns) => {
                    columns.shape.write_text(&columns.column, &mut exposition);
                    for histogram in columns.column.histograms() {
                        let line = format!("# native histogram {}\n", histogram.series);
                        exposition.extend_from_slice(line.as_bytes());
                    }
                }
                Body::Text(body) => exposition.extend_from_slice(&body.text),
            }
            text.push_str(&String::from_utf8_lossy(&exposition));
        }
        Outcome::Failed { reason, .. } => {
            let error = probe.error.as_deref().unwrap_or_default();
            text.push_str("# up 0, ");
            text.push_str(reason.as_str());
            text.push_str(": ");
            text.push_str(error);
            text.push('\n');
        }
        Outcome::Gone | Outcome::Noted(_) => {}
    }
    let is_good = probe.error.is_none();
    Ok(Some((text, is_good)))
}
