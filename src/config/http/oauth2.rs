//! `oauth2`: a token by client credentials.

use super::proxy;
use crate::config::block::{Block, Value};
use crate::config::problem::Report;
use crate::config::{keys, tls};
use crate::http::OAuth2;
use crate::model::Secret;

/// Scopes of one token; a server knows far fewer.
const SCOPES_MAX: usize = 1000;

/// Parameters of one request.
const PARAMS_MAX: usize = 100;

/// Reads the block.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<OAuth2> {
    let remedy = "write the name that the token's server knows us by";
    let client_id = block.required("client_id", remedy, report);
    let client_id = client_id.and_then(|value| value.scalar("a string", report));
    let remedy = "write the address of the token's server, such as `https://host/oauth2/token`";
    let token_url = block.required("token_url", remedy, report);
    let token_url = token_url.and_then(|value| value.http_url(report));
    let secret = block.secret_or_file("client_secret", "client_secret_file", report);
    grant_type(block, report);
    let tls = block.block("tls_config", &keys::TLS_CONFIG, report);
    let (scopes, endpoint_params) = (scopes(block, report), params(block, report));
    let tls = tls.map(|block| tls::read_tls_config(&block, report));
    let proxy = proxy::read(block, report);
    Some(OAuth2 {
        client_id: client_id?.to_owned(),
        client_secret: secret.unwrap_or_else(|| Secret::Inline("".into())),
        scopes,
        token_url: token_url?,
        endpoint_params,
        tls,
        proxy,
    })
}

fn grant_type(block: &Block<'_>, report: &mut Report) {
    let grant = block.text("grant_type", report);
    if let Some(grant) = grant.filter(|grant| *grant != "client_credentials")
        && let Some(value) = block.value("grant_type")
    {
        let expected = "`client_credentials`, the only grant that is supported";
        value.refuse(grant, expected, "write it, or leave the key out", report);
    }
}

fn scopes(block: &Block<'_>, report: &mut Report) -> Vec<String> {
    let Some(value) = block.value("scopes") else {
        return Vec::new();
    };
    let items = value.items("a list", report);
    if items.len() > SCOPES_MAX {
        let what = format!("`scopes` has more than {SCOPES_MAX} items");
        report.problem(&value.place, what, "remove some");
        return Vec::new();
    }
    let texts = items
        .iter()
        .filter_map(|item| item.scalar("a string", report));
    texts.map(str::to_owned).collect()
}

fn params(block: &Block<'_>, report: &mut Report) -> Vec<(String, String)> {
    let Some(value) = block.value("endpoint_params") else {
        return Vec::new();
    };
    let entries = value.entries("a mapping", report);
    if entries.len() > PARAMS_MAX {
        let what = format!("`endpoint_params` has more than {PARAMS_MAX} parameters");
        report.problem(&value.place, what, "remove some");
        return Vec::new();
    }
    let mut params = Vec::with_capacity(entries.len());
    for entry in entries {
        let value = Value {
            place: value.place.key(&entry.key, entry.value.at),
            node: &entry.value,
        };
        if let Some(text) = value.scalar("a string", report) {
            params.push((entry.key.to_string(), text.to_owned()));
        }
    }
    params
}
