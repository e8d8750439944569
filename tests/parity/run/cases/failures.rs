//! Targets that fail now and then, each in its way.

use std::fmt::Write as _;

use super::super::script::{Answer, Ask, Way};
use super::Case;
use super::bodies::plain;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, options, targets| Case {
        name,
        options,
        targets,
    };
    vec![
        case("status", "", &[("status", status)]),
        case("reset", "", &[("reset", reset)]),
        case("refused", REFUSED, &[("refused", refused)]),
        case(
            "silent",
            "scrape_timeout: 1s",
            &[("silent", |ask| now_and_then(ask, Way::Silent))],
        ),
        case(
            "stalls",
            "scrape_timeout: 1s",
            &[("stalls", |ask| now_and_then(ask, Way::Stalls))],
        ),
        case(
            "truncated",
            "",
            &[("truncated", |ask| now_and_then(ask, Way::Truncated))],
        ),
        case("bad-line", "", &[("bad-line", bad_line)]),
        case(
            "body-limit",
            "body_size_limit: 2KB",
            &[("body-limit", grows)],
        ),
        case(
            "sample-limit",
            "sample_limit: 12",
            &[("sample-limit", grows)],
        ),
        case(
            "sample-limit-relabel",
            SAMPLE_LIMIT,
            &[("sample-limit-relabel", grows)],
        ),
        case("label-limit", "label_limit: 7", &[("label-limit", labeled)]),
        case(
            "label-name-limit",
            "label_name_length_limit: 20",
            &[("label-name-limit", labeled)],
        ),
        case(
            "label-value-limit",
            "label_value_length_limit: 30",
            &[("label-value-limit", labeled)],
        ),
        case("wrong-type", "", &[("wrong-type", wrong_type)]),
        case("no-type", "", &[("no-type", no_type)]),
        case("html", "", &[("html", html)]),
        case("redirect", "", &[("redirect", redirect)]),
        case(
            "redirect-refused",
            "follow_redirects: false",
            &[("redirect-refused", redirect)],
        ),
        case("no-end", "", &[("no-end", no_end)]),
    ]
}

const REFUSED: &str = "\
metrics_path: /refused
static_configs: [{targets: [REFUSED], labels: {t: refused}}]";

/// What relabelling drops does not count.
const SAMPLE_LIMIT: &str = r#"sample_limit: 12
metric_relabel_configs: [{source_labels: [series], regex: "1.*", action: drop}]"#;

fn status(ask: &Ask<'_>) -> Answer {
    let status = match ask.number % 20 {
        5..=7 => 500,
        11 => 404,
        13 => 204,
        15 => 503,
        _ => 200,
    };
    Answer {
        status,
        ..plain(ask)
    }
}

fn reset(ask: &Ask<'_>) -> Answer {
    let way = match ask.number % 15 {
        4..=6 | 9 => Way::Reset,
        _ => Way::Whole,
    };
    Answer {
        is_last: true,
        ..plain(ask).sent(way)
    }
}

fn refused(ask: &Ask<'_>) -> Answer {
    Answer {
        is_last: true,
        ..plain(ask)
    }
}

fn now_and_then(ask: &Ask<'_>, way: Way) -> Answer {
    match ask.number % 9 {
        4 | 5 | 7 => plain(ask).sent(way),
        _ => plain(ask),
    }
}

/// A page whose middle is wrong in many ways, one for each second scrape.
fn bad_line(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let line = ask.pick(&[
        "good 1",
        "bad one",
        "good 2",
        "bad",
        "good 3",
        "bad{a=\"b} 1",
        "good 4",
        "bad{1a=\"b\"} 1",
        "good 5",
        "1bad 1",
        "good 6",
        "bad 1 2 3",
        "good 7",
        "bad{a=b} 1",
    ]);
    Answer::text(format!(
        "scrape_count {n}\nbefore{{n=\"{}\"}} 1\n{line}\nafter 1\nlater 2\n",
        n / 2
    ))
}

/// More of everything with each scrape, up to a point.
fn grows(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let mut page = format!("scrape_count {n}\n");
    for series in 0..(n % 8) * 3 {
        writeln!(
            page,
            "grows{{series=\"{series}\",text=\"{}\"}} {n}",
            "x".repeat(100)
        )
        .unwrap();
    }
    Answer::text(page)
}

fn labeled(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let more = ask.pick(&[
        "a=\"1\"",
        "a=\"1\",b=\"2\",c=\"3\"",
        "a=\"1\",b=\"2\",c=\"3\",d=\"4\"",
        "a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\"",
        "a_name_of_20_letters=\"1\"",
        "a_name_of_21_letters_=\"1\"",
        "a=\"a value of 30 bytes: abcdefghi\"",
        "a=\"a value of 31 bytes: abcdefghij\"",
        "a=\"äöüäöüäöüäöüäöü\"",
        "a=\"äöüäöüäöüäöüäöüä\"",
    ]);
    Answer::text(format!(
        "scrape_count {n}\nbefore 1\nlabeled{{{more}}} {n}\nafter 1\n"
    ))
}

fn wrong_type(ask: &Ask<'_>) -> Answer {
    Answer {
        content_type: Some("application/json"),
        ..plain(ask)
    }
}

fn no_type(ask: &Ask<'_>) -> Answer {
    Answer {
        content_type: None,
        ..plain(ask)
    }
}

fn html(ask: &Ask<'_>) -> Answer {
    match ask.number % 3 {
        2 => Answer {
            content_type: Some("text/html"),
            ..Answer::text("<!DOCTYPE html>\n<html><body><h1>It works!</h1></body></html>\n")
        },
        _ => plain(ask),
    }
}

fn redirect(ask: &Ask<'_>) -> Answer {
    if ask.path.contains("/again") || ask.number % 4 == 1 {
        return plain(ask);
    }
    let name = ask.path.trim_start_matches('/');
    let status = *ask.pick(&[301, 302, 307, 308]);
    Answer {
        status,
        location: Some(format!("/{name}/again")),
        ..Answer::text("")
    }
}

/// OpenMetrics without its end.
fn no_end(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let end = ask.pick(&["# EOF\n", "# EOF", "", "# EOF\nmore 1\n", "# EOF\n\n"]);
    Answer::open_metrics(format!("scrape_count {n}\na 1\n{end}"))
}
