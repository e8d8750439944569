//! What becomes of targets, for people.

use std::fmt::Write as _;
use std::sync::Arc;

use super::duration;
use super::populate::{Origin, Populated, Target, populate};
use super::settings::Config;
use super::targets::targets;
use crate::discover::Group;
use crate::model::labels::RESERVED_PREFIX;
use crate::relabel::{Builder, Step};

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
