//! Labels: conflicts, relabelling, requests.

use std::fmt::Write as _;

use super::super::script::{Answer, Ask};
use super::Case;
use super::bodies::plain;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, options, targets| Case {
        name,
        options,
        targets,
    };
    vec![
        case("conflicts", CONFLICT_LABELS, &[("conflicts", conflicts)]),
        case(
            "conflicts-honored",
            CONFLICT_LABELS_HONORED,
            &[("conflicts-honored", conflicts)],
        ),
        case("empty-labels", "", &[("empty-labels", empty_labels)]),
        case(
            "metric-relabel",
            METRIC_RELABEL,
            &[("metric-relabel", to_relabel)],
        ),
        case(
            "relabel-clash",
            RELABEL_CLASH,
            &[("relabel-clash", to_relabel)],
        ),
        case(
            "relabel-honored",
            RELABEL_HONORED,
            &[("relabel-honored", conflicts)],
        ),
        case(
            "relabel-nothing",
            RELABEL_NOTHING,
            &[("relabel-nothing", plain)],
        ),
        case(
            "relabel-nameless",
            RELABEL_NAMELESS,
            &[("relabel-nameless", nameless)],
        ),
        case(
            "relabel",
            RELABEL,
            &[("relabel", request), ("relabel-b", request)],
        ),
        case("request", REQUEST, &[("request", request)]),
        case("twice", TWICE, &[("twice", plain)]),
        case(
            "files",
            FILES,
            &[("files-a", plain), ("files-b", plain), ("files-c", plain)],
        ),
    ]
}

const CONFLICT_LABELS: &str = "\
static_configs: [{targets: [ADDRESS], labels: {t: conflicts, site: here, exported_site: there}}]";

const CONFLICT_LABELS_HONORED: &str = "\
honor_labels: true
static_configs: [{targets: [ADDRESS], labels: {t: conflicts-honored, site: here, exported_site: there}}]";

const METRIC_RELABEL: &str = r#"metric_relabel_configs:
  - {source_labels: [__name__], regex: "drop_.*", action: drop}
  - {source_labels: [__name__], regex: "(old)_(.*)", target_label: __name__, replacement: "new_$2"}
  - {regex: "secret|noise_.+", action: labeldrop}
  - {source_labels: [instance, job], separator: "@", target_label: origin}
  - {source_labels: [user], modulus: 7, target_label: shard, action: hashmod}
  - {regex: "meta_(.+)", replacement: "m_${1}", action: labelmap}
  - {source_labels: [path], regex: "/api/([^/]+)/(.*)", target_label: route, replacement: "$1:$2"}
  - {source_labels: [path], regex: ".*", target_label: empty, replacement: ""}
  - {source_labels: [user], target_label: upper, action: uppercase}
  - {source_labels: [Upper], target_label: Upper, action: lowercase}
  - {source_labels: [user], target_label: owner, action: dropequal}
  - {source_labels: [__name__, le], regex: "seconds_bucket;.*[1-9]$", action: drop}"#;

/// Series become the same: the first of them counts.
const RELABEL_CLASH: &str = r#"metric_relabel_configs:
  - {regex: "user|path", action: labeldrop}
  - {source_labels: [__name__], regex: "(old|drop).*", target_label: __name__, replacement: both}"#;

const RELABEL_HONORED: &str = r#"honor_labels: true
metric_relabel_configs:
  - {source_labels: [job], target_label: job_was}
  - {source_labels: [instance], regex: "", target_label: instance, replacement: none}
  - {source_labels: [exported_job], regex: "(.+)", target_label: job, replacement: "$1"}"#;

const RELABEL_NOTHING: &str = r#"metric_relabel_configs:
  - {source_labels: [__name__], regex: "requests.*|scrape_count", action: keep}
  - {source_labels: [code], regex: "404", action: drop}
  - {source_labels: [t], target_label: t, regex: "(.*)", replacement: "$1"}"#;

/// A series without a name fails its scrape.
const RELABEL_NAMELESS: &str = r#"metric_relabel_configs:
  - {source_labels: [gone], regex: "yes", target_label: __name__, replacement: ""}"#;

const RELABEL: &str = r#"scheme: http
params: {module: [m1, m2], other: [o]}
static_configs:
  - targets: ["one/relabel"]
    labels: {t: relabel, team: core, __meta_x: a, __meta_y: b, __tmp_z: c}
  - targets: ["two/relabel-b"]
    labels: {t: relabel-b, team: edge}
  - targets: ["three/relabel"]
    labels: {t: dropped, team: none}
relabel_configs:
  - {source_labels: [__address__], regex: "(.*)/(.*)", target_label: __metrics_path__, replacement: "/$2"}
  - {source_labels: [__address__], target_label: __param_target}
  - {source_labels: [__param_target], target_label: instance}
  - {source_labels: [team], regex: none, action: drop}
  - {regex: "__meta_(.+)", action: labelmap}
  - {source_labels: [__tmp_z], target_label: z}
  - {source_labels: [team], regex: edge, target_label: __scrape_interval__, replacement: 5s}
  - {source_labels: [team], regex: edge, target_label: job, replacement: another}
  - {source_labels: [instance], modulus: 13, target_label: shard, action: hashmod}
  - {target_label: __address__, replacement: ADDRESS}"#;

const REQUEST: &str = r#"metrics_path: /request
scrape_timeout: 1500ms
params: {b: ["2", "two words"], a: ["x&y=z"]}
basic_auth: {username: me, password: "pass:word"}"#;

/// The same target in two ways, and one that differs by a label that relabelling takes away.
const TWICE: &str = r#"metrics_path: /twice
static_configs:
  - {targets: [ADDRESS, ADDRESS], labels: {t: twice}}
  - {targets: [ADDRESS], labels: {t: twice, extra: "1"}}
relabel_configs: [{regex: extra, action: labeldrop}]"#;

/// `targets.yml` stands beside the file, and is written anew while both run.
const FILES: &str = "\
scrape_interval: 15s
file_sd_configs: [{files: [\"target*.yml\"], refresh_interval: 5s}]";

fn conflicts(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::text(format!(
        "scrape_count {n}\na{{job=\"other\"}} {n}\na{{instance=\"x\",site=\"y\"}} {n}\n\
         b{{job=\"other\",exported_job=\"older\"}} {n}\n\
         b{{exported_job=\"older\",exported_exported_job=\"oldest\",job=\"j\"}} {n}\n\
         c{{job=\"\",instance=\"\"}} {n}\nc{{exported_instance=\"i\"}} {n}\n\
         d{{site=\"there\",exported_site=\"elsewhere\"}} {n}\nup{{job=\"fake\"}} {n}\n\
         scrape_duration_seconds{{instance=\"fake\"}} {n}\n"
    ))
}

fn empty_labels(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    Answer::text(format!(
        "scrape_count {n}\na{{x=\"\"}} {n}\nb{{x=\"\",y=\"1\"}} {n}\nc{{}} {n}\n\
         d{{x=\"\"}} {n}\nd {}\n",
        n + 1
    ))
}

fn to_relabel(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let mut page = format!("scrape_count {n}\ndrop_this {n}\nold_name{{path=\"/x\"}} {n}\n");
    for user in 0..10 {
        writeln!(
            page,
            "requests_total{{user=\"u{user}\",path=\"/api/v{}/x/y\",secret=\"s\",noise_a=\"1\",\
             meta_zone=\"z{}\",owner=\"U{user}\",Upper=\"ABC\"}} {n}",
            user % 3,
            n % 4,
        )
        .unwrap();
    }
    page.push_str("owned{user=\"me\",owner=\"me\"} 1\n");
    page.push_str("# TYPE seconds histogram\n");
    for bound in ["0.1", "0.5", "+Inf"] {
        writeln!(page, "seconds_bucket{{le=\"{bound}\"}} {n}").unwrap();
    }
    writeln!(page, "seconds_sum {n}\nseconds_count {n}").unwrap();
    Answer::text(page)
}

fn nameless(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let gone = ask.pick(&["no", "no", "yes"]);
    Answer::text(format!(
        "scrape_count {n}\na 1\nb{{gone=\"{gone}\"}} 2\nc 3\n"
    ))
}

/// Tells what was asked for.
fn request(ask: &Ask<'_>) -> Answer {
    let n = ask.number;
    let timeout = ask.header("x-prometheus-scrape-timeout-seconds");
    let (path, user) = (ask.path, ask.header("authorization"));
    let (host, encoding) = (ask.header("host"), ask.header("accept-encoding"));
    Answer::text(format!(
        "scrape_count {n}\n\
         asked{{path=\"{path}\",timeout=\"{timeout}\",user=\"{user}\",\
         host=\"{host}\",encoding=\"{encoding}\"}} {n}\n"
    ))
}
