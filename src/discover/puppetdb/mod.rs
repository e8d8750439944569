//! PuppetDB: resources that a query finds in the catalogs of nodes.
//!
//! In: [`Settings`]. Out: one group with a target for each resource, at each refresh interval. This
//! module alone knows PuppetDB's address and documents. If the query fails, what was found before
//! stays.

mod resource;

use std::time::Duration;

use http::{HeaderValue, header};
use url::Url;

use self::resource::{Context, Resource};
use super::catalog::{CatalogError, Question, ask};
use super::refresh::{Part, Refresh, Refresher};
use super::source::Source;
use super::{DiscoverError, Group};
use crate::http::{self as client, Client};

/// How PuppetDB is asked, and for what (`puppetdb_sd_configs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The server's address; the path of queries is added.
    pub url: Url,
    /// How to reach it.
    pub http: client::Settings,
    /// The query, in PQL.
    pub query: String,
    /// Whether parameters become labels; they may hold secrets.
    pub include_parameters: bool,
    /// The port of each target.
    pub port: u16,
    /// The time from one query to the next; no answer may take longer.
    pub refresh_interval: Duration,
}

/// Where queries are answered.
const PATH: &str = "pdb/query/v4";

/// A source that asks one PuppetDB from time to time.
pub(super) struct PuppetDb {
    settings: Settings,
    url: Url,
    client: Client,
}

impl PuppetDb {
    /// Builds the source; nothing is asked until it is run.
    pub(super) fn source(settings: &Settings) -> Result<Box<dyn Source>, CatalogError> {
        let interval = settings.refresh_interval;
        let client = Client::build(settings.http.clone(), interval);
        let puppetdb = Self {
            settings: settings.clone(),
            url: query_url(&settings.url),
            client: client.map_err(CatalogError::Client)?,
        };
        Ok(Box::new(Refresher::new(puppetdb, interval)))
    }

    async fn group(&self) -> Result<Group, DiscoverError> {
        let query = &self.settings.query;
        let body = serde_json::json!({ "query": query }).to_string();
        let json = HeaderValue::from_static("application/json");
        let headers = [(header::ACCEPT, json.clone()), (header::CONTENT_TYPE, json)];
        let question = Question {
            url: &self.url,
            headers: headers.into_iter().collect(),
            body: Some(body.into()),
            timeout: self.settings.refresh_interval,
        };
        let reply = ask(&self.client, question).await?;
        let content_type = reply.headers.get(header::CONTENT_TYPE);
        let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
        let content_type = String::from_utf8_lossy(content_type);
        if !is_json(&content_type) {
            return Err(reply.bad_content_type(content_type.into_owned()).into());
        }
        let resources: Option<Vec<Resource>> = reply.document()?;
        let context = Context {
            query,
            port: self.settings.port,
            include_parameters: self.settings.include_parameters,
        };
        let target = |resource: &Resource| resource.target(context).into_pairs();
        Ok(Group {
            source: format!("{}?query={query}", client::redact(&self.url)).into(),
            labels: Vec::new(),
            targets: resources.iter().flatten().map(target).collect(),
        })
    }
}

impl Refresh for PuppetDb {
    const KIND: &'static str = "puppetdb";

    async fn refresh(&mut self) -> Vec<Part> {
        Part::only(self.group().await.map(|group| vec![group]))
    }
}

fn query_url(server: &Url) -> Url {
    let mut url = server.clone();
    // Cannot fail: an address of an HTTP server always has a path.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(PATH.split('/'));
    }
    url
}

/// Tells whether a content type is JSON in UTF-8.
fn is_json(content_type: &str) -> bool {
    let (media_type, charset) = match content_type.split_once(';') {
        None => (content_type, None),
        Some((media_type, charset)) => (media_type, Some(charset.trim_start())),
    };
    let is_utf8 = charset.is_none_or(|charset| {
        charset.eq_ignore_ascii_case("charset=utf-8")
            || charset.eq_ignore_ascii_case("charset=\"utf-8\"")
    });
    media_type.eq_ignore_ascii_case("application/json") && is_utf8
}

#[cfg(test)]
mod tests;
