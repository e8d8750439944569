//! Catalogs and clusters.

use std::time::Duration;

use super::tests::{bad, good, outcome};
use crate::discover::Settings;
use crate::discover::{consul, nomad, puppetdb};
use crate::http::Auth;
use crate::model::Secret;

#[track_caller]
fn consul(text: &str) -> Box<consul::Settings> {
    match good(&format!("consul_sd_configs: [{text}]")) {
        Settings::Consul(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn nomad(text: &str) -> Box<nomad::Settings> {
    match good(&format!("nomad_sd_configs: [{text}]")) {
        Settings::Nomad(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn puppetdb(text: &str) -> Box<puppetdb::Settings> {
    match good(&format!("puppetdb_sd_configs: [{text}]")) {
        Settings::PuppetDb(settings) => settings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn consul_has_the_defaults_of_prometheus() {
    let settings = consul("{}");
    assert_eq!(settings.server.as_str(), "http://localhost:8500/");
    assert_eq!(settings.refresh_interval, Duration::from_secs(30));
    assert_eq!(
        (settings.allow_stale, &*settings.tag_separator),
        (true, ",")
    );
    assert!(settings.services.is_empty() && settings.filter.is_none());
}

#[test]
fn consul_takes_all_keys() {
    let settings = consul(
        "{server: 'agent:8500', scheme: https, path_prefix: /consul/, token: s3cret, \
         datacenter: dc1, namespace: ns, partition: part, services: [web, db], tags: [a], \
         node_meta: {rack: r1}, filter: a, health_filter: b, tag_separator: '', \
         allow_stale: false, refresh_interval: 1m, username: me, password: pw}",
    );
    assert_eq!(settings.server.as_str(), "https://agent:8500/consul");
    assert_eq!(settings.token, Some(Secret::Inline("s3cret".into())));
    assert_eq!(settings.services, ["web", "db"]);
    assert_eq!(settings.node_meta, [("rack".to_owned(), "r1".to_owned())]);
    assert_eq!(settings.tag_separator, "");
    let expected = Auth::Basic {
        username: Secret::Inline("me".into()),
        password: Some(Secret::Inline("pw".into())),
    };
    assert_eq!(settings.http.auth, Some(expected));
}

#[track_caller]
fn check_consul_server(text: &str, expected: &str) {
    let settings = consul(&format!("{{{text}}}"));
    assert_eq!(settings.server.as_str(), expected);
}

#[test]
fn the_address_of_consul_may_be_a_url() {
    check_consul_server("server: 'https://agent'", "https://agent/");
    check_consul_server("server: 'https://agent', scheme: http", "https://agent/");
    check_consul_server(
        "server: 'http://agent:80/x', scheme: https",
        "https://agent:80/x",
    );
    check_consul_server("server: 'http://agent/x', path_prefix: y", "http://agent/x");
    check_consul_server("server: '[::1]:8500'", "http://[::1]:8500/");
}

#[test]
fn a_bad_consul_is_refused() {
    let check = |text: &str, expected: &str| {
        bad(&format!("consul_sd_configs: [{text}]"), &[expected]);
    };
    check(
        "{server: ' '}",
        "1:30 consul SD configuration requires a server address",
    );
    check("{server: 'unix:///x'}", "a Unix socket is not supported");
    check("{server: 'ftp://x'}", "neither `http` nor `https`");
    check("{server: 'a b'}", "`server` is not an address");
    check(
        "{scheme: gopher}",
        "`scheme` must be `http` or `https`, not `gopher`",
    );
    check("{services: web}", "`services` must be a list");
    check("{node_meta: [a]}", "`node_meta` must be a mapping");
    check(
        "{refresh_interval: 0s}",
        "`refresh_interval` must be at least 1ms",
    );
    check(
        "{service: web}",
        "unknown key `service`; did you mean `services`?",
    );
    check(
        "{token: a, authorization: {credentials: b}}",
        "at most one of consul SD token, authorization, or oauth2 can be configured",
    );
    check(
        "{username: a, basic_auth: {username: b}}",
        "at most one of consul SD configuration username and password and basic auth",
    );
    check(
        "{password: a, authorization: {credentials: b}}",
        "at most one of basic_auth, oauth2 & authorization must be configured",
    );
}

#[test]
fn nomad_has_the_defaults_of_prometheus() {
    let settings = nomad("{}");
    assert_eq!(settings.server.as_str(), "http://localhost:4646/");
    assert_eq!(settings.refresh_interval, Duration::from_secs(60));
    assert_eq!(
        (&*settings.namespace, &*settings.region),
        ("default", "global")
    );
    assert_eq!(
        (settings.allow_stale, &*settings.tag_separator),
        (true, ",")
    );
    let settings = nomad("{server: 'https://n:1', namespace: '*', region: '', allow_stale: no}");
    assert_eq!((&*settings.namespace, &*settings.region), ("*", ""));
    assert!(!settings.allow_stale);
}

#[test]
fn a_bad_nomad_is_refused() {
    let check = |text: &str, expected: &str| {
        bad(&format!("nomad_sd_configs: [{text}]"), &[expected]);
    };
    check(
        "{server: ''}",
        "nomad SD configuration requires a server address",
    );
    check("{server: 'agent:4646'}", "it has no scheme");
    check("{services: [a]}", "unknown key `services`");
}

#[test]
fn puppetdb_has_the_defaults_of_prometheus() {
    let settings = puppetdb("{url: 'http://pdb:8080', query: 'resources { }'}");
    assert_eq!(settings.url.as_str(), "http://pdb:8080/");
    assert_eq!(settings.refresh_interval, Duration::from_secs(60));
    assert_eq!((settings.port, settings.include_parameters), (80, false));
    let settings = puppetdb("{url: 'http://p', query: q, port: 9100, include_parameters: true}");
    assert_eq!((settings.port, settings.include_parameters), (9100, true));
}

#[test]
fn a_bad_puppetdb_is_refused() {
    let check = |text: &str, expected: &[&str]| {
        bad(&format!("puppetdb_sd_configs: [{text}]"), expected);
    };
    check("{}", &["needs `url`", "needs `query`"]);
    check("{url: 'ftp://x', query: q}", &["its scheme is neither"]);
    check("{url: 'http://x', query: ''}", &["needs `query`"]);
    check(
        "{url: 'http://x', query: q, port: 70000}",
        &["`port` must be a whole number"],
    );
}

#[cfg(not(feature = "kubernetes"))]
#[test]
fn a_program_without_kubernetes_says_so() {
    bad(
        "kubernetes_sd_configs: [{role: pod}]",
        &["this program was built without discovery in Kubernetes"],
    );
}

#[cfg(feature = "kubernetes")]
mod kubernetes {
    use super::*;
    use crate::discover::kubernetes::{Access, Role, Settings as Kubernetes};

    #[track_caller]
    fn kubernetes(text: &str) -> Box<Kubernetes> {
        match good(&format!("kubernetes_sd_configs: [{text}]")) {
            Settings::Kubernetes(settings) => settings,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_cluster_that_we_run_in_is_the_default() {
        let settings = kubernetes("{role: endpointslice, namespaces: {own_namespace: true}}");
        assert_eq!(settings.role, Role::EndpointSlice);
        assert_eq!(settings.access, Access::InCluster);
        assert!(settings.own_namespace && settings.namespaces.is_empty());
    }

    #[test]
    fn all_keys_are_taken() {
        let settings = kubernetes(
            "{role: pod, api_server: 'https://k:6443', bearer_token_file: t, \
             namespaces: {names: [a, b]}, attach_metadata: {node: true, cronjob: true}, \
             selectors: [{role: pod, label: 'a in (b)', field: 'x=y'}, {role: node}]}",
        );
        let Access::Server { url, http } = &settings.access else {
            panic!("another way");
        };
        assert_eq!(
            (url.as_str(), http.auth.is_some()),
            ("https://k:6443/", true)
        );
        assert_eq!(settings.namespaces, ["a", "b"]);
        assert!(settings.attach.node && settings.attach.cronjob && !settings.attach.namespace);
        assert_eq!(settings.selectors[0].label, "a in (b)");
        let settings = kubernetes("{role: node, kubeconfig_file: kube/config}");
        let path = "/etc/site/kube/config".into();
        assert_eq!(settings.access, Access::Kubeconfig(path));
    }

    #[track_caller]
    fn check_bad(text: &str, expected: &str) {
        bad(&format!("kubernetes_sd_configs: [{text}]"), &[expected]);
    }

    #[test]
    fn a_bad_cluster_is_refused() {
        check_bad("{}", "`kubernetes_sd_configs[0]` needs `role`");
        check_bad("{role: pods}", "unknown Kubernetes SD role `pods`");
        check_bad(
            "{role: pod, api_server: 'http://k', kubeconfig_file: a}",
            "cannot use 'kubeconfig_file' and 'api_server' simultaneously",
        );
        check_bad(
            "{role: pod, kubeconfig_file: a, bearer_token: b}",
            "cannot use a custom HTTP client configuration together with 'kubeconfig_file'",
        );
        check_bad(
            "{role: pod, tls_config: {insecure_skip_verify: true}}",
            "please provide the 'api_server' URL explicitly",
        );
        check_bad(
            "{role: pod, api_server: 'http://k', namespaces: {own_namespace: true}}",
            "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously",
        );
        check_bad(
            "{role: pod, kubeconfig_file: a, namespaces: {own_namespace: true}}",
            "cannot use 'kubeconfig_file' and 'namespaces.own_namespace' simultaneously",
        );
        check_bad(
            "{role: pod, api_server: 'k:6443'}",
            "`api_server` is not a usable URL",
        );
        check_bad(
            "{role: pod, attach_metadata: {pod: true}}",
            "unknown key `pod`",
        );
    }

    #[test]
    fn bad_selectors_are_refused() {
        check_bad(
            "{role: service, selectors: [{role: pod}]}",
            "service role supports only service selectors",
        );
        check_bad(
            "{role: pod, selectors: [{role: pod}, {role: pod, label: a}]}",
            "duplicated selector role: pod",
        );
        check_bad(
            "{role: pod, selectors: [{label: a}]}",
            "`selectors[0]` needs `role`",
        );
        check_bad(
            "{role: pod, selectors: [{role: pod, label: 'a in b'}]}",
            "`label` is not a selector: `in` is not expected there",
        );
        check_bad(
            "{role: pod, selectors: [{role: pod, field: a}]}",
            "`field` is not a selector: `a` is neither `name=value` nor `name!=value`",
        );
    }

    #[test]
    fn keys_of_the_client_that_do_nothing_are_no_client() {
        let text = "kubernetes_sd_configs: [{role: pod, follow_redirects: true}]";
        assert_eq!(outcome(text).unwrap().0.len(), 1);
    }
}
