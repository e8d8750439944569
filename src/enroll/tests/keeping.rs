//! Enrollment while a program runs.

use tokio::task::JoinHandle;

use super::*;
use crate::enroll::{Keeper, Metrics};
use crate::telemetry;

/// A keeper, its page of metrics, and what stops it.
struct Kept {
    page: telemetry::Metrics,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Kept {
    /// Begins to keep a site enrolled, as a program does.
    fn start(site: &Site) -> Self {
        let page = telemetry::Metrics::new();
        let metrics = page.register("enroll", Metrics::register);
        let keeper = Keeper::new(site.settings.clone(), Clock::system(), metrics);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let running = tokio::spawn(async move {
            keeper.begin(&stopping).await;
            keeper.run(stopping).await;
        });
        Self {
            page,
            stop,
            running,
        }
    }

    fn value(&self, metric: &str) -> f64 {
        let page = self.page.encode().unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("prometheus_streams_enroll_{metric} ")));
        line.unwrap_or_else(|| panic!("no {metric} in {page}"))
            .parse()
            .unwrap()
    }

    async fn end(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(SOON, wait).await;
    assert!(waited.is_ok(), "never: {what}");
}

const EXPIRY: &str = "certificate_expiry_timestamp_seconds";

#[tokio::test]
async fn enrolls_at_the_start_and_counts_what_fails() {
    let mut site = Site::start().await;
    site.settings.wait = Duration::from_secs(1);
    site.answer(&[(500, "starting")]);
    let kept = Kept::start(&site);
    until("a request", || site.ca.has_request(NAME)).await;
    assert!(kept.value("failures_total{step=\"ca\"}") > 0.5);
    assert!(kept.value(EXPIRY) < 0.5);
    site.ca.sign(NAME);
    until("a certificate", || kept.value(EXPIRY) > 0.0).await;
    assert!(site.ssl().cert().exists());
    kept.end().await;
}

#[tokio::test]
async fn starts_without_the_ca_when_all_is_here() {
    let mut site = Site::enrolled().await;
    site.settings.ca = "localhost:1".parse().unwrap();
    let kept = Kept::start(&site);
    until("a certificate", || kept.value(EXPIRY) > 0.0).await;
    assert!(kept.value("failures_total{step=\"ca\"}") < 0.5);
    kept.end().await;
}

#[tokio::test]
async fn refreshes_and_renews_in_time() {
    let mut site = Site::start().await;
    site.ca.state().signs_at_once = true;
    site.ca.state().renews = true;
    // Of 20 days half are over, so it is time however long before the end is wished for.
    site.ca.state().validity = (-11 * DAY, 9 * DAY);
    site.signed().await;
    site.ca.state().validity = (-DAY, 400 * DAY);
    site.settings.refresh = WAIT;
    let kept = Kept::start(&site);
    until("a renewal", || kept.value("renewals_total") > 0.0).await;
    // The lists are too young for that at first.
    until("a refresh", || {
        kept.value("refresh_timestamp_seconds") > 0.0
    })
    .await;
    until("the new end", || {
        let now_ms = u32::try_from(Clock::system().now_ms() / 1000).unwrap();
        kept.value(EXPIRY) > f64::from(now_ms) + 300.0 * 24.0 * 3600.0
    })
    .await;
    assert_eq!(text(site.ssl().cert()), site.ca.certificate(NAME).unwrap());
    site.ca.revoke(NAME);
    let lists = site.ca.lists();
    until("new lists", || text(site.ssl().crl()) == lists).await;
    kept.end().await;
}

#[tokio::test]
async fn a_certificate_that_lives_shortly_is_not_renewed_all_the_time() {
    let mut site = Site::start().await;
    site.ca.state().signs_at_once = true;
    site.ca.state().renews = true;
    site.ca.state().validity = (-DAY, 9 * DAY);
    site.settings.refresh = WAIT;
    let kept = Kept::start(&site);
    let refreshes = || {
        let asked = &site.ca.state().asked;
        asked
            .iter()
            .filter(|asked| asked.ends_with("_list/ca"))
            .count()
    };
    until("some refreshes", || refreshes() > 3).await;
    assert!(kept.value("renewals_total") < 0.5);
    kept.end().await;
}

#[tokio::test]
async fn the_metrics_have_these_names() {
    let page = telemetry::Metrics::new();
    let metrics = page.register("enroll", Metrics::register);
    metrics.expires(2_000_000_000);
    metrics.refreshed(1_900_000_000_500);
    metrics.renewed();
    let page = page.encode().unwrap();
    for line in [
        "prometheus_streams_enroll_certificate_expiry_timestamp_seconds 2000000000.0",
        "prometheus_streams_enroll_refresh_timestamp_seconds 1900000000.5",
        "prometheus_streams_enroll_renewals_total 1",
        "prometheus_streams_enroll_failures_total{step=\"ca\"} 0",
        "prometheus_streams_enroll_failures_total{step=\"crl\"} 0",
        "prometheus_streams_enroll_failures_total{step=\"request\"} 0",
        "prometheus_streams_enroll_failures_total{step=\"certificate\"} 0",
        "prometheus_streams_enroll_failures_total{step=\"renewal\"} 0",
        "prometheus_streams_enroll_failures_total{step=\"files\"} 0",
    ] {
        assert!(page.contains(&format!("{line}\n")), "{page}");
    }
}
