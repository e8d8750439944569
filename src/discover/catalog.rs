//! What all catalogs of services have in common: JSON over HTTP, and sets of labels.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use url::Url;

pub(super) use super::ADDRESS;
use super::{DiscoverError, Group, TARGETS_MAX};
use crate::http::{Client, ClientError, redact};

/// The largest answer: 100,000 instances of services take some 500 bytes each.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why a catalog's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The client cannot be set up.
    #[error("cannot set up the HTTP client")]
    Client(#[source] ClientError),
    /// There is no answer.
    #[error("cannot ask `{url}`")]
    NoAnswer {
        /// Where it was asked, without secrets.
        url: String,
        /// The cause.
        source: ClientError,
    },
    /// The answer says that there is none.
    #[error("`{url}` answers {status}: {excerpt}")]
    Status {
        /// Where it was asked, without secrets.
        url: String,
        /// What was answered.
        status: StatusCode,
        /// The start of the body.
        excerpt: String,
    },
    /// The answer is larger than we read.
    #[error("the answer of `{url}` is larger than {} MiB", ANSWER_BYTES_MAX >> 20)]
    TooLarge {
        /// Where it was asked, without secrets.
        url: String,
    },
    /// The answer is of another type than JSON.
    #[error("`{url}` answers with the content type `{found}`, not `application/json`")]
    ContentType {
        /// Where it was asked, without secrets.
        url: String,
        /// What it says to be.
        found: String,
    },
    /// The answer is not the document that was asked for.
    #[error("cannot read the answer of `{url}`")]
    Document {
        /// Where it was asked, without secrets.
        url: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// The answer has a header that cannot be read.
    #[error("`{url}` answers with an unreadable header `{header}`")]
    Header {
        /// Where it was asked, without secrets.
        url: String,
        /// The header's name.
        header: &'static str,
    },
}

/// A question to a catalog.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub(super) url: &'a Url,
    pub(super) headers: HeaderMap,
    /// What is sent along; then the question is a `POST`.
    pub(super) body: Option<Bytes>,
    /// How long the answer may take.
    pub(super) timeout: Duration,
}

/// An answer that was given with success.
#[derive(Debug)]
pub(super) struct Reply {
    url: String,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    /// Reads the body.
    pub(super) fn document<T: DeserializeOwned>(&self) -> Result<T, CatalogError> {
        serde_json::from_slice(&self.body).map_err(|source| CatalogError::Document {
            url: self.url.clone(),
            source,
        })
    }

    /// Refuses a header of the answer.
    pub(super) fn bad_header(&self, header: &'static str) -> CatalogError {
        CatalogError::Header {
            url: self.url.clone(),
            header,
        }
    }

    /// Refuses the answer's type.
    pub(super) fn bad_content_type(&self, found: String) -> CatalogError {
        CatalogError::ContentType {
            url: self.url.clone(),
            found,
        }
    }
}

/// Asks a question, and takes only 200 for an answer. Redirects are followed if the settings of the
/// client say so, but not when something is sent along.
pub(super) async fn ask(client: &Client, question: Question<'_>) -> Result<Reply, CatalogError> {
    let url = redact(question.url);
    let Question {
        url: full_url,
        headers,
        body,
        timeout,
    } = question;
    let sent = match body {
        None => {
            let got = client.get(full_url, &headers, timeout, ANSWER_BYTES_MAX);
            got.await
        }
        Some(body) => {
            // One byte more than allowed tells an answer that is too large from one that just fits.
            let limit = ANSWER_BYTES_MAX.saturating_add(1);
            let full_url = full_url.clone();
            client
                .send(Method::POST, full_url, headers, body, limit)
                .await
        }
    };
    let answer = match sent {
        Ok(answer) => answer,
        Err(ClientError::BodyTooLarge(_)) => return Err(CatalogError::TooLarge { url }),
        Err(source) => return Err(CatalogError::NoAnswer { url, source }),
    };
    if answer.status != StatusCode::OK {
        let excerpt = answer.excerpt();
        return Err(CatalogError::Status {
            url,
            status: answer.status,
            excerpt,
        });
    }
    if answer.body.len() > ANSWER_BYTES_MAX {
        return Err(CatalogError::TooLarge { url });
    }
    Ok(Reply {
        url,
        headers: answer.headers,
        body: answer.body,
    })
}

/// Labels on their way to a group, each name once; an empty value is as good as none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LabelSet(BTreeMap<String, String>);

impl LabelSet {
    /// Sets a label, or removes it.
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            self.0.remove(&name);
        } else {
            self.0.insert(name, value);
        }
    }

    /// Returns the labels, sorted by name.
    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.0.into_iter().collect()
    }
}

impl IntoIterator for LabelSet {
    type Item = (String, String);
    type IntoIter = std::collections::btree_map::IntoIter<String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Counts the targets of a source that tells its groups one by one, so that it cannot have more than
/// any source may have.
#[derive(Debug, Default)]
pub(super) struct Count {
    by_group: HashMap<Arc<str>, usize>,
    total: usize,
}

impl Count {
    /// Takes a group in place of the one of its name, unless there would be too many targets.
    pub(super) fn admit(&mut self, group: &Group) -> Result<(), DiscoverError> {
        let before = self.by_group.get(&group.source).copied().unwrap_or(0);
        let others = self.total.saturating_sub(before);
        let total = others.saturating_add(group.targets.len());
        if total > TARGETS_MAX && group.targets.len() > before {
            return Err(DiscoverError::TooManyTargets {
                found: total,
                limit: TARGETS_MAX,
            });
        }
        self.total = total;
        if group.targets.is_empty() {
            self.by_group.remove(&group.source);
        } else {
            let name = Arc::clone(&group.source);
            self.by_group.insert(name, group.targets.len());
        }
        Ok(())
    }
}

/// A group without targets: whatever had its name is gone.
pub(super) fn gone(source: &Arc<str>) -> Arc<Group> {
    Arc::new(Group {
        source: Arc::clone(source),
        ..Group::default()
    })
}

/// Makes a part of a label's name of any text (Prometheus's `SanitizeLabelName`).
pub(super) fn sanitize(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}

/// Writes host and port as one address, an IPv6 host in brackets.
pub(super) fn join_host_port(host: &str, port: impl Display) -> String {
    if host.contains([':', '%']) {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Joins tags with the separator around each, so that a pattern need not mind their order.
pub(super) fn surround(tags: &[String], separator: &str) -> String {
    format!("{separator}{}{separator}", tags.join(separator))
}

/// Reads `null` as the default: Go writes it for a list or map that is empty.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_becomes_empty_is_gone() {
        let mut labels = LabelSet::default();
        labels.set("b", "1");
        labels.set("a", "2");
        labels.set("b", "");
        assert_eq!(labels.into_pairs(), [("a".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn groups_are_counted_by_their_last_size() {
        let group = |name: &str, size: usize| Group {
            source: name.into(),
            labels: Vec::new(),
            targets: vec![Vec::new(); size],
        };
        let mut count = Count::default();
        count.admit(&group("a", TARGETS_MAX)).unwrap();
        count.admit(&group("b", 1)).unwrap_err();
        count.admit(&group("a", 1)).unwrap();
        count.admit(&group("b", 1)).unwrap();
        count.admit(&group("a", 0)).unwrap();
        assert_eq!(count.total, 1);
    }

    #[test]
    fn names_keep_only_what_a_label_may_have() {
        assert_eq!(sanitize("app.kubernetes.io/name"), "app_kubernetes_io_name");
        assert_eq!(sanitize("größe-1"), "gr__e_1");
    }

    #[test]
    fn an_ipv6_host_stands_in_brackets() {
        assert_eq!(join_host_port("::1", 80), "[::1]:80");
        assert_eq!(join_host_port("fe80::1%eth0", 80), "[fe80::1%eth0]:80");
        assert_eq!(join_host_port("db", 80), "db:80");
    }
}
