//! A Prometheus beside us, for less than a minute; `benches/parity.sh` is the whole of it.

use std::time::Duration;

use crate::side_by_side::{Plan, Scope, side_by_side};
use crate::support::run;

#[test]
fn stores_what_a_prometheus_stores() {
    let plan = Plan {
        length: Duration::from_secs(40),
        scope: Scope::Quick,
        reference: "prometheus".into(),
    };
    run(crate::SCENARIO, async |lab| {
        let report = side_by_side(lab, &plan).await;
        assert!(report.is_same(), "{report}");
    });
}
