//! What good targets expose.

use std::fmt::Write as _;

use super::super::script::{Answer, Ask, Way};
use super::Case;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, options, targets| Case {
        name,
        options,
        targets,
    };
    vec![
        case("plain", "", &[("plain", plain)]),
        case("empty", "", &[("empty", |_| Answer::text(""))]),
        case("large", "", &[("large", large)]),
        case("histogram", "", &[("histogram", histogram)]),
        case("whole-bounds", "", &[("whole-bounds", whole_bounds)]),
        case("openmetrics", "", &[("openmetrics", open_metrics)]),
        case(
            "openmetrics-times",
            "",
            &[("openmetrics-times", open_metrics_times)],
        ),
        case("timestamps", "", &[("timestamps", timestamps)]),
        case(
            "timestamps-ignored",
            "honor_timestamps: false",
            &[("timestamps-ignored", timestamps)],
        ),
        case(
            "timed-now-and-then",
            "",
            &[("timed-now-and-then", timed_now_and_then)],
        ),
        case("flapping", "", &[("flapping", flapping)]),
        case("shapes", "", &[("shapes", shapes)]),
        case("order", "", &[("order", order)]),
        case("churn", "", &[("churn", churn)]),
        case("duplicates", "", &[("duplicates", duplicates)]),
        case("special", "", &[("special", special)]),
        case("utf8", "", &[("utf8", utf8)]),
        case("resets", "", &[("resets", resets)]),
        case("gzip", "", &[("gzip", |ask| plain(ask).sent(Way::Gzip))]),
        case(
            "chunked",
            "",
            &[("chunked", |ask| plain(ask).sent(Way::Chunked))],
        ),
        case("slow", "", &[("slow", slow)]),
        case("types-change", "", &[("types-change", types_change)]),
    ]
}

/// Counters, gauges and such as have no type.
pub(super) fn plain(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let mut page = format!(
        "scrape_count {n}\n\
         # HELP requests_total Requests \\\\ so far.\n# TYPE requests_total counter\n"
    );
    for code in [200, 404, 500] {
        let value = n * code / 7;
        writeln!(
            page,
            "requests_total{{code=\"{code}\",method=\"get\"}} {value}"
        )
        .unwrap();
    }
    let level = (ask.value() * 0.7).sin().abs();
    write!(
        page,
        "# TYPE level gauge\nlevel{{tank=\"a\"}} {level}\nlevel{{tank=\"b\"}} -{level}\n\
         constant 42\nrule:level:sum {n}e-3\n_hidden 1\n# A comment.\n\n"
    )
    .unwrap();
    Answer::text(page)
}

/// Thousands of series, few of which move.
fn large(ask: &Ask<'_>) -> Answer {
    let mut page = format!("scrape_count {}\n# TYPE large gauge\n", ask.number);
    for series in 0..3000 {
        let value = if series % 50 == 0 { ask.number } else { series };
        writeln!(
            page,
            "large{{series=\"{series}\",path=\"/a/{}\"}} {value}",
            series % 7
        )
        .unwrap();
    }
    Answer::text(page).sent(Way::Gzip)
}

fn histogram(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::text(format!(
        "scrape_count {n}\n# HELP seconds How long.\n# TYPE seconds histogram\n\
         seconds_bucket{{le=\"0.1\"}} {n}\nseconds_bucket{{le=\"2.5\"}} {}\n\
         seconds_bucket{{le=\"+Inf\"}} {}\nseconds_sum {}.25\nseconds_count {}\n\
         # TYPE size summary\nsize{{quantile=\"0.5\"}} {n}.5\nsize{{quantile=\"0.99\"}} NaN\n\
         size_sum {n}e3\nsize_count {n}\n",
        2 * n,
        3 * n,
        4 * n,
        3 * n,
    ))
}

/// As many client libraries write them: bounds without a fraction.
fn whole_bounds(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::text(format!(
        "scrape_count {n}\n# TYPE seconds histogram\n\
         seconds_bucket{{le=\"1\"}} {n}\nseconds_bucket{{le=\"10\"}} {}\n\
         seconds_bucket{{le=\"+Inf\"}} {}\nseconds_sum {n}\nseconds_count {}\n\
         # TYPE size summary\nsize{{quantile=\"0\"}} {n}\nsize{{quantile=\"1\"}} {n}\n\
         size_sum {n}\nsize_count {n}\n# TYPE other gauge\nother{{le=\"1\",quantile=\"1\"}} {n}\n",
        2 * n,
        3 * n,
        3 * n,
    ))
}

fn open_metrics(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::open_metrics(format!(
        "# TYPE scrape_count gauge\nscrape_count {n}\n\
         # HELP requests Requests so far.\n# TYPE requests counter\n\
         requests_total{{code=\"200\"}} {n}.0 # {{trace_id=\"{n:x}\"}} 1.0\n\
         requests_created{{code=\"200\"}} 1600000000.125\n\
         # TYPE temperature_celsius gauge\n# UNIT temperature_celsius celsius\n\
         temperature_celsius{{room=\"a \\\"b\\\" \\\\ \\n\"}} {n}.5\n\
         # TYPE seconds histogram\n\
         seconds_bucket{{le=\"0.5\"}} {n} # {{trace_id=\"a{n}\"}} 0.25 1600000000.5\n\
         seconds_bucket{{le=\"2.5\"}} {n}\nseconds_bucket{{le=\"+Inf\"}} {n}\n\
         seconds_sum {n}.75\nseconds_count {n}\nseconds_created 1600000000\n\
         # TYPE state stateset\nstate{{state=\"on\"}} {}\nstate{{state=\"off\"}} {}\n\
         # TYPE build info\nbuild_info{{version=\"1.{}\"}} 1\n\
         # TYPE depth gaugehistogram\ndepth_bucket{{le=\"0.5\"}} {n}\n\
         depth_bucket{{le=\"+Inf\"}} {n}\ndepth_gsum {n}\ndepth_gcount {n}\n\
         # TYPE mystery unknown\nmystery {n}\n# EOF\n",
        n % 2,
        (n + 1) % 2,
        n / 20,
    ))
}

fn open_metrics_times(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let (seconds, rest) = (ask.time_ms() / 1000, ask.time_ms() % 1000);
    Answer::open_metrics(format!(
        "scrape_count {n}\nevents_total {n} {seconds}.{rest:03}\n\
         whole {n} {seconds}\nexact {n} {seconds}.{rest:03}456\n\
         exemplary_total {n} {seconds}.{rest:03} # {{a=\"b\"}} 2 {seconds}.{rest:03}\n# EOF\n"
    ))
}

/// Series with times of their own, good ones and such as cannot be stored.
fn timestamps(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let now = ask.time_ms();
    let held = now - i64::try_from(n % 4).unwrap() * 3000;
    let back = now - i64::try_from(n % 3).unwrap() * 60_000;
    let ahead = now + 3_600_000;
    let gone = if n % 5 < 3 {
        format!("comes_and_goes {n} {now}\n")
    } else {
        String::new()
    };
    Answer::text(format!(
        "scrape_count {n}\ntimed {n} {now}\nearlier {n} {}\nheld {held} {held}\n\
         restated {n} {held}\nback {n} {back}\nahead {n} {ahead}\nslightly_ahead {n} {}\n\
         {gone}",
        now - 60_000,
        now + 30_000,
    ))
}

/// A series that has a time of its own in every second scrape.
fn timed_now_and_then(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let time = if n.is_multiple_of(2) {
        format!(" {}", ask.time_ms() - 60_000)
    } else {
        String::new()
    };
    Answer::text(format!("scrape_count {n}\nsometimes {n}{time}\n"))
}

fn flapping(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let mut page = format!("scrape_count {n}\n");
    for period in 2..6 {
        if n.is_multiple_of(period) {
            writeln!(page, "flapping{{period=\"{period}\"}} {n}").unwrap();
        }
        if n % (2 * period) < period {
            writeln!(page, "half{{period=\"{period}\"}} {n}").unwrap();
        }
    }
    Answer::text(page)
}

/// A page whose families are others every few scrapes.
fn shapes(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let mut page = format!("scrape_count {n}\n");
    let shape = n / 3 % 5;
    for series in 0..=shape * 4 {
        writeln!(page, "shape_{shape}{{series=\"{series}\"}} {n}").unwrap();
        writeln!(page, "always{{series=\"{series}\"}} {n}").unwrap();
    }
    Answer::text(page)
}

/// The same series in another order at each scrape.
fn order(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let mut page = format!("scrape_count {n}\n");
    for step in 0..11 {
        let series = (step * (n % 10 + 1) + n) % 11;
        writeln!(page, "ordered{{series=\"{series}\"}} {}", n * series).unwrap();
    }
    Answer::text(page)
}

/// Series that are never seen again.
fn churn(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::text(format!(
        "scrape_count {n}\nonce{{request=\"{n}\"}} 1\nonce{{request=\"{n}-b\"}} {n}\n\
         stays 1\nlately{{request=\"{}\"}} 1\n",
        n / 2
    ))
}

fn duplicates(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let now = ask.time_ms();
    let third = if n.is_multiple_of(3) {
        "twice{a=\"b\"} 3\n"
    } else {
        ""
    };
    Answer::text(format!(
        "scrape_count {n}\ntwice{{a=\"b\"}} {n}\ntwice{{a=\"b\"}} {}\nsame 1\nsame 1\n\
         order{{a=\"1\",b=\"2\"}} 1\norder{{b=\"2\",a=\"1\"}} 2\n{third}\
         timed {n} {now}\ntimed {n} {}\n",
        n + 1,
        now + 1000,
    ))
}

fn special(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let turning = ask.pick(&["NaN", "+Inf", "-Inf", "0", "-0", "1", "nan", "Inf"]);
    Answer::text(format!(
        "scrape_count {n}\nnan NaN\nplus_inf +Inf\nminus_inf -Inf\nminus_zero -0\n\
         tiny 1e-300\nsubnormal 4.9e-324\nhuge 1.7976931348623157e+308\n\
         precise 0.{n}2345678901234567\ndigits {n}234567890123456789\nthird 0.3333333333333333\n\
         turning {turning}\nlong 1.{n}0000000000000000000000000000000000000000000001\n\
         underflow 1e-400\nfraction {n}.10000000000000001\n"
    ))
}

fn utf8(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::text(format!(
        "scrape_count {n}\n# HELP city Städte 東京\ncity{{name=\"Zürich\"}} {n}\n\
         city{{name=\"東京\"}} {n}\ncity{{name=\"🦀\",note=\"a\\\\b\\\"c\\nd\"}} {n}\n\
         city{{name=\"tab\tand space \"}} {n}\ncity{{name=\"{{}},=#\"}} {n}\n\
         city{{name=\"\u{e9}\"}} 1\ncity{{name=\"e\u{301}\"}} 2\n"
    ))
}

/// A program that restarts every 15 scrapes: its counters begin again, with one of them missing.
fn resets(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let age = n % 15;
    let mut page = format!("scrape_count {n}\n# TYPE work_total counter\nwork_total {age}\n");
    if age > 2 {
        writeln!(page, "work_total{{kind=\"late\"}} {age}").unwrap();
    }
    writeln!(page, "process_start_time_seconds {}", n / 15).unwrap();
    Answer {
        is_last: age == 14,
        ..Answer::text(page)
    }
}

fn slow(ask: &Ask<'_>) -> Answer {
    Answer {
        delay: std::time::Duration::from_millis(500),
        ..plain(ask)
    }
}

/// Now OpenMetrics, now classic text; now a counter, now a gauge.
fn types_change(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let kind = ask.pick(&["counter", "gauge", "untyped"]);
    if n % 4 < 2 {
        Answer::text(format!(
            "scrape_count {n}\n# TYPE thing_total {kind}\nthing_total {n}\n"
        ))
    } else {
        Answer::open_metrics(format!(
            "scrape_count {n}\nthing_total {n}\nother 1\n# EOF\n"
        ))
    }
}
