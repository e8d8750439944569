//! One odd line at each scrape: what one side takes, the other must take.

use super::super::script::{Answer, Ask};
use super::Case;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, targets| Case {
        name,
        options: "scrape_interval: 2s",
        targets,
    };
    vec![
        case("syntax", &[("syntax", syntax)]),
        case("leading-blank", &[("leading-blank", leading_blank)]),
        case("zero-byte", &[("zero-byte", zero_byte)]),
        case(
            "openmetrics-of-3",
            &[("openmetrics-of-3", open_metrics_of_3)],
        ),
        case("numbers", &[("numbers", numbers)]),
        case(
            "openmetrics-syntax",
            &[("openmetrics-syntax", open_metrics_syntax)],
        ),
        case(
            "openmetrics-numbers",
            &[("openmetrics-numbers", open_metrics_numbers)],
        ),
    ]
}

fn syntax(ask: &Ask<'_>) -> Answer {
    let line: &&[u8] = ask.pick(LINES);
    let head = format!("scrape_count {}\nbefore 1\n", ask.number);
    Answer::text([head.as_bytes(), line, b"\nafter 1\n"].concat())
}

const LINES: &[&[u8]] = &[
    b"a{b=\"c\",} 1",
    b"a{} 1",
    b"a{ b = \"c\" , d = \"e\" } 1",
    b"a {b=\"c\"} 1",
    b"a{b=\"c\"}1",
    b"a\t1",
    b"a  \t 1  ",
    b"timed 1 1600000000000",
    b"a 1 1.5",
    b"a 1 1e3",
    b"a 1 +5",
    b"a 1 -5",
    b"a 1 2 3",
    b"a 1 # comment",
    b"a 1 # {x=\"y\"} 1",
    b"#comment",
    b"#",
    b"# ",
    b"# TYPE a",
    b"# TYPE a counter",
    b"# TYPE a unheard_of",
    b"# TYPE a counter extra",
    b"# TYPE 1a counter",
    b"# HELP a",
    b"# HELP a  two  spaces ",
    b"# HELP a back\\slash \\n",
    b"# UNIT a seconds",
    b"#TYPE a counter",
    b"#  TYPE a counter",
    b"\t# TYPE a counter",
    b"# EOF",
    b"a{b='c'} 1",
    b"a{b=\"c\",,} 1",
    b"a{,} 1",
    b"a{,b=\"c\"} 1",
    b"a{b=\"c\" d=\"e\"} 1",
    b"a{b=\"\\q\"} 1",
    b"a{b=\"\\\\\"} 1",
    b"a{b=\"x\\\"y\"} 1",
    b"a{b=\"two\nlines\"} 1",
    b"{} 1",
    b"{b=\"c\"} 1",
    b"{__name__=\"a\"} 1",
    b"a{__name__=\"b\"} 1",
    b"a{b=\"1\",b=\"2\"} 1",
    b"a{b=\"1\",b=\"1\"} 1",
    b"a{__address__=\"1\"} 1",
    b"a{b:c=\"1\"} 1",
    b"a.b 1",
    b"a-b 1",
    b"a{b=\"c\"} 1\r",
    b"a 1\r",
    b"\n\n",
    b"a{b=\"\xff\"} 1",
    b"a\xff 1",
    b"# HELP a \xff",
    b"a{b=\"c\"",
    b"a{b=\"c\"}",
    b"a{b=\"c",
    b"a{b=}",
    b"a{",
    b"a",
    b"a ",
    b"=1",
    b"a\x00b 1",
    b"a{b=\"\x00\"} 1",
    b"a{b=\"c\"} 1 ",
    b"a;b 1",
    b"a 1;",
];

/// A page with one value as it was written.
fn numbers(ask: &Ask<'_>) -> Answer {
    let number = ask.pick(NUMBERS);
    Answer::text(format!(
        "scrape_count {}\nbefore 1\na {number}\nafter 1\n",
        ask.number
    ))
}

const NUMBERS: &[&str] = &[
    "1e5",
    "+1",
    ".5",
    "5.",
    "1E+5",
    "inf",
    "Infinity",
    "-infinity",
    "+INF",
    "NAN",
    "nan",
    "+nan",
    "-NaN",
    "1_000",
    "0x1F",
    "0x1p4",
    "0b1",
    "1e",
    "1e+",
    "--1",
    "+-1",
    "1e309",
    "-1e309",
    "1e-500",
    "00012",
    "-00",
    "0.0e5",
    "1,5",
    "1d5",
    "1f",
    "1.2.3",
    "1e1.5",
    "Inf1",
    "infinit",
    "nano",
    "0x",
    "9007199254740993",
    "179769313486231580793728971405303415079934132710037826936173778980444968292\
     764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708\
     38367627385484581771153176447573027006985557136695962284291481986083493647529271907416844436551\
     07043427115596995080930428801779041744977919.9",
    "2.2250738585072011e-308",
    "1 ",
    "",
    "'1'",
    "\"1\"",
    "e5",
    ".",
    "-",
    "+",
    "+.e1",
    "0.1e-6",
    "1e0005",
    "true",
    "1٠",
    "½",
];

fn leading_blank(ask: &Ask<'_>) -> Answer {
    let line = ask.pick(&["a 1", " a 1", "a 2", "\ta 1"]);
    Answer::text(format!(
        "scrape_count {}\nbefore 1\n{line}\nafter 1\n",
        ask.number
    ))
}

fn zero_byte(ask: &Ask<'_>) -> Answer {
    let line = ask.pick(&["a 1", "\0", "a 2", "\0a 1"]);
    Answer::text(format!(
        "scrape_count {}\nbefore 1\n{line}\nafter 1\n",
        ask.number
    ))
}

/// Lines that only Prometheus 3 takes.
fn open_metrics_of_3(ask: &Ask<'_>) -> Answer {
    let line = ask.pick(&[
        "a 1",
        "a{b=\"c\",} 1",
        "a 2",
        "a 1 1600000000 # {x=\"y\"} 1",
        "a 3",
        "a 1 # {x=\"y\"} 1",
    ]);
    let number = ask.number;
    Answer::open_metrics(format!(
        "# TYPE scrape_count gauge\nscrape_count {number}\nbefore 1\n{line}\nafter 1\n# EOF\n"
    ))
}

fn open_metrics_syntax(ask: &Ask<'_>) -> Answer {
    let line = ask.pick(OPEN_METRICS_LINES);
    let number = ask.number;
    Answer::open_metrics(format!(
        "# TYPE scrape_count gauge\nscrape_count {number}\nbefore 1\n{line}\nafter 1\n# EOF\n"
    ))
}

const OPEN_METRICS_LINES: &[&str] = &[
    "a{b=\"c\"} 1",
    "a{} 1",
    "a {b=\"c\"} 1",
    "a{ b=\"c\"} 1",
    "a{b=\"c\"}  1",
    "a{b=\"c\"} 1 ",
    "a 1 1600000000.5",
    "a 1 1600000000.5 ",
    "a 1 1.6e9",
    "a 1 NaN",
    "a_total 1 # {x=\"y\"} 1 1600000000.25",
    "a_total 1 # {} 1",
    "a_total 1 # {x=\"y\"}",
    "a_total 1 # {x=\"y\"} 1 NaN",
    "a_total 1 # {x=\"y\"} one",
    "a_total 1 # x",
    "a_bucket{le=\"1\"} 1 # {x=\"y\"} 1",
    "",
    "# comment",
    "#",
    "# TYPE a counter",
    "# TYPE a untyped",
    "# TYPE a unheard_of",
    "# TYPE a",
    "# TYPE a info\na_info{x=\"y\"} 1",
    "# UNIT a_seconds seconds",
    "# UNIT a seconds",
    "# UNIT a ",
    "# HELP a some \\n help",
    "# HELP a",
    "#HELP a b",
    "# TYPE  a counter",
    "a\t1",
    " a 1",
    "a 1\r",
    "a{b='c'} 1",
    "{b=\"c\"} 1",
    "a{b=\"1\",b=\"2\"} 1",
    "a{b=\"c\"}",
    "a{b=\"\\q\"} 1",
    "a:b 1",
    "a.b 1",
    "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"+Inf\"} 1",
    "# TYPE h histogram\nh_bucket{le=\"4.0\"} 1\nh_bucket{le=\"+Inf\"} 1",
    "# TYPE a counter\na_total 1\na_created 1600000000",
    "# TYPE a counter\na 1",
];

fn open_metrics_numbers(ask: &Ask<'_>) -> Answer {
    let number = ask.pick(NUMBERS);
    Answer::open_metrics(format!(
        "scrape_count {}\nbefore 1\na {number}\nafter 1\n# EOF\n",
        ask.number
    ))
}
