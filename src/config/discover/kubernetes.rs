//! `kubernetes_sd_configs`

use super::{keys, texts};
use crate::config::block::{Block, Value};
use crate::config::http;
use crate::config::problem::Report;
use crate::config::values::shown;
use crate::discover::Settings as Source;
use crate::discover::kubernetes::{
    Access, Attach, Role, Selector, Settings, check_field_selector, check_label_selector,
};
use crate::http::Settings as Client;

/// Namespaces of one source: each has some watches of its own.
const NAMESPACES_MAX: usize = 1000;

const ROLES: &str = "`pod`, `service`, `endpoints`, `endpointslice`, `node` or `ingress`";

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let role = block.required(
        "role",
        "write one of these: pod, service, endpoints, endpointslice, node, ingress",
        report,
    );
    let role = role.and_then(|value| read_role(&value, report));
    let namespaces = block.block("namespaces", &keys::KUBERNETES_NAMESPACES, report);
    let own_namespace = namespaces
        .as_ref()
        .and_then(|block| block.boolean("own_namespace", report));
    let own_namespace = own_namespace.unwrap_or(false);
    let access = access(block, own_namespace, report);
    let names = namespaces.as_ref();
    let names = names.map(|block| texts(block, "names", NAMESPACES_MAX, report));
    let attach = block.block("attach_metadata", &keys::KUBERNETES_ATTACH, report);
    let attach = attach.map(|block| read_attach(&block, report));
    let selectors = role.map(|role| selectors(block, role, report));
    Some(Source::Kubernetes(Box::new(Settings {
        role: role?,
        access: access?,
        namespaces: names.unwrap_or_default(),
        own_namespace,
        selectors: selectors.unwrap_or_default(),
        attach: attach.unwrap_or_default(),
    })))
}

fn read_role(value: &Value<'_>, report: &mut Report) -> Option<Role> {
    let text = value.scalar(ROLES, report)?;
    let found = Role::ALL.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let what = format!("unknown Kubernetes SD role `{}`", shown(text));
        report.problem(&value.place, what, format!("write {ROLES}"));
    }
    found.map(|(_, role)| *role)
}

/// Reads how the API server is reached; of the three ways only one may be configured.
fn access(block: &Block<'_>, own_namespace: bool, report: &mut Report) -> Option<Access> {
    let before = report.count();
    let url = block
        .text("api_server", report)
        .and_then(|_| block.value("api_server"));
    let kubeconfig = block.secret_file("kubeconfig_file", report);
    let http = http::read_client(block, report);
    let has_client = http != Client::default();
    let problem = match (&url, &kubeconfig) {
        (Some(_), Some(_)) => Some((
            "kubeconfig_file",
            "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
            "keep one of them",
        )),
        (None, Some(_)) if has_client => Some((
            "kubeconfig_file",
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
            "the kubeconfig says how the server is reached; remove the keys of the client",
        )),
        (None, None) if has_client => Some((
            "",
            "to use custom HTTP client configuration please provide the 'api_server' URL explicitly",
            "add `api_server`, or remove the keys of the client",
        )),
        (Some(_), None) if own_namespace => Some((
            "namespaces",
            "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
            "only in a cluster there is a namespace of our own; list it in `names`",
        )),
        (None, Some(_)) if own_namespace => Some((
            "namespaces",
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
            "only in a cluster there is a namespace of our own; list it in `names`",
        )),
        _ => None,
    };
    // Keys of the client that are wrong themselves are no client.
    if let Some((key, what, remedy)) = problem
        && report.count() == before
    {
        let place = (!key.is_empty()).then(|| block.place_of(key)).flatten();
        let place = place.unwrap_or_else(|| block.place.clone());
        report.problem(&place, what, remedy);
        return None;
    }
    match (url, kubeconfig) {
        (Some(value), _) => Some(Access::Server {
            url: value.http_url(report)?,
            http: Box::new(http),
        }),
        (None, Some(path)) => Some(Access::Kubeconfig(path)),
        (None, None) => Some(Access::InCluster),
    }
}

fn read_attach(block: &Block<'_>, report: &mut Report) -> Attach {
    let mut is_on = |key| block.boolean(key, report).unwrap_or(false);
    Attach {
        node: is_on("node"),
        namespace: is_on("namespace"),
        deployment: is_on("deployment"),
        job: is_on("job"),
        cronjob: is_on("cronjob"),
    }
}

fn selectors(block: &Block<'_>, role: Role, report: &mut Report) -> Vec<Selector> {
    let Some(value) = block.value("selectors") else {
        return Vec::new();
    };
    let mut selectors: Vec<Selector> = Vec::new();
    for item in value.items("a list", report) {
        let Some(block) = Block::open(&item, &keys::KUBERNETES_SELECTOR, report) else {
            continue;
        };
        let Some(selector) = selector(&block, role, report) else {
            continue;
        };
        if selectors.iter().any(|known| known.role == selector.role) {
            let what = format!("duplicated selector role: {}", selector.role.name());
            report.problem(&block.place, what, "join both with a comma");
            continue;
        }
        selectors.push(selector);
    }
    selectors
}

fn selector(block: &Block<'_>, role: Role, report: &mut Report) -> Option<Selector> {
    let names: Vec<&str> = role.selectable().iter().map(|role| role.name()).collect();
    let names = names.join(", ");
    let remedy = format!("write one of: {names}");
    let value = block.required("role", &remedy, report)?;
    let selected = read_role(&value, report)?;
    if !role.selectable().contains(&selected) {
        let what = format!("{} role supports only {names} selectors", role.name());
        report.problem(&value.place, what, remedy);
        return None;
    }
    let label = checked(block, "label", check_label_selector, report);
    let field = checked(block, "field", check_field_selector, report);
    Some(Selector {
        role: selected,
        label,
        field,
    })
}

fn checked(
    block: &Block<'_>,
    key: &str,
    check: fn(&str) -> Result<(), String>,
    report: &mut Report,
) -> String {
    let text = block.text(key, report).unwrap_or_default();
    if let Err(why) = check(text)
        && let Some(value) = block.value(key)
    {
        let what = format!("`{key}` is not a selector: {why}");
        let remedy = "write it as `kubectl` takes it, such as `app=web,tier!=test`";
        report.problem(&value.place, what, remedy);
    }
    text.to_owned()
}
