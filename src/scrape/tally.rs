//! What is reported of a body that fails its scrape.
//!
//! Prometheus counts samples while it reads, and reports what it has counted when it gives up: so
//! an alert on too many samples knows how many there are.

use super::series::{Fate, SeriesRules};
use crate::exposition::{Entry, Parser, Reason};
use crate::model::{Tally, Text};

/// Counts the samples of a body up to the first that is bad or refused.
pub(super) fn tally(text: &Text, rules: &SeriesRules) -> Tally {
    let mut tally = Tally::default();
    let mut parser = Parser::new(&text.text, text.format);
    while let Some(entry) = parser.next() {
        let sample = match entry {
            Ok(Entry::Sample(sample)) => sample,
            Ok(_) => continue,
            Err(error) => {
                // Prometheus looks at labels only after it has counted.
                tally.scraped += u64::from(matches!(error.reason, Reason::DuplicateLabel(_)));
                break;
            }
        };
        tally.scraped += 1;
        if !rules.are_trivial() {
            match rules.decide(&sample) {
                Ok(Fate::Dropped) => continue,
                Ok(Fate::Kept(_) | Fate::Rewritten(..)) => {}
                Err(_refused) => break,
            }
        }
        tally.kept += 1;
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Format, Labels};
    use crate::relabel::{Action, Rule, RuleSettings, Rules};
    use crate::scrape::tests::config;

    #[track_caller]
    fn check(body: &'static str, format: Format, scraped: u64, kept: u64) {
        let mut config = config();
        config.limits.labels = Some(3);
        let rule = Rule::new(RuleSettings {
            action: Action::Drop,
            source_labels: vec!["__name__".into()],
            regex: Some("drop.*".into()),
            ..RuleSettings::default()
        });
        config.metric_relabel = Rules::new(vec![rule.unwrap()]);
        let rules = SeriesRules::new(&Labels::of_target("j", "i"), config.into());
        let text = Text {
            text: body.into(),
            format,
        };
        assert_eq!(tally(&text, &rules), Tally { scraped, kept });
    }

    #[test]
    fn counts_up_to_where_it_fails() {
        check("a 1\nb 2\nc\nd 4\n", Format::Text, 2, 2);
        check("a 1\ndrop_b 2\nc x\n", Format::Text, 2, 1);
        check("a 1\nb{x=\"1\",y=\"2\"} 2\nc 3\n", Format::Text, 2, 1);
        check("a 1\nb 2\n", Format::OpenMetrics, 2, 2);
        check("a 1\nb{x=\"1\",x=\"2\"} 2\n", Format::Text, 2, 1);
        check("bad", Format::Text, 0, 0);
    }
}
