//! The CA's HTTP interface: `/puppet-ca/v1`.
//!
//! | request | answers |
//! | --- | --- |
//! | `GET certificate/ca` | 200 the bundle |
//! | `GET certificate_revocation_list/ca` | 200 the lists |
//! | `GET certificate/NAME` | 200 the certificate, 404 not signed |
//! | `GET certificate_request/NAME` | 200 the request, 404 none |
//! | `PUT certificate_request/NAME` | 200 taken, 400 refused: words say why |
//! | `POST certificate_renewal` | 200 the certificate, 403 or 404 not offered |

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::error::{Document, EnrollError};
use super::files::FILE_MAX;
use super::{Address, Settings};
use crate::http::{Answer, Client, ClientError, Settings as HttpSettings};
use crate::tls;

/// The longest that the CA may take for one answer; it reads and writes small files.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest certificate, request or bundle: some hundred kilobytes would be 32 certificates.
const CERTIFICATE_MAX: usize = 256 << 10;

/// Where the CA's certificates are.
pub(super) const AUTHORITY: &str = "certificate/ca";

/// Where the revocation lists are.
pub(super) const REVOCATIONS: &str = "certificate_revocation_list/ca";

/// A CA that we can ask.
#[derive(Debug)]
pub(super) struct Ca<'s> {
    address: &'s Address,
    client: Client,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Submitted {
    /// The CA took it.
    Taken,
    /// The CA has one of this name already.
    Waiting,
    /// The CA has a certificate of this name already.
    Signed {
        /// In its words.
        words: String,
    },
    /// The CA has revoked a certificate of this name.
    Revoked,
}

/// What became of a wish for the next certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Renewed {
    /// Here it is.
    Certificate(String),
    /// The CA offers no such thing, or not to us.
    NotOffered,
}

impl<'s> Ca<'s> {
    /// Prepares to ask; `tls` says whom to trust and who we are.
    pub(super) fn new(
        settings: &'s Settings,
        tls: tls::Settings,
        document: Document,
    ) -> Result<Self, EnrollError> {
        let http = HttpSettings {
            tls: Some(tls),
            follow_redirects: false,
            // The server speaks HTTP/1.1 only.
            enable_http2: false,
            ..HttpSettings::default()
        };
        let client = Client::build(http, TIMEOUT).map_err(|source| EnrollError::Ask {
            document,
            url: settings.ca.to_string(),
            source: Box::new(source),
        })?;
        Ok(Self {
            address: &settings.ca,
            client,
        })
    }

    /// Fetches the CA's certificates.
    pub(super) async fn authority(&self) -> Result<String, EnrollError> {
        let ask = self.get(Document::Authority, AUTHORITY, CERTIFICATE_MAX);
        ask.await?.good()
    }

    /// Fetches the revocation lists.
    pub(super) async fn revocations(&self) -> Result<String, EnrollError> {
        let ask = self.get(Document::Revocations, REVOCATIONS, FILE_MAX);
        ask.await?.good()
    }

    /// Fetches a certificate; `None` if it is not signed.
    pub(super) async fn certificate(&self, name: &str) -> Result<Option<String>, EnrollError> {
        let path = format!("certificate/{name}");
        let ask = self.get(Document::Certificate, &path, CERTIFICATE_MAX);
        ask.await?.good_or_missing()
    }

    /// Fetches a request that the CA has not signed; `None` if there is none, or it does not say.
    pub(super) async fn request(&self, name: &str) -> Result<Option<String>, EnrollError> {
        let path = format!("certificate_request/{name}");
        let reply = self.get(Document::Request, &path, CERTIFICATE_MAX).await?;
        if reply.answer.status == StatusCode::FORBIDDEN {
            return Ok(None);
        }
        reply.good_or_missing()
    }

    /// Submits a request.
    pub(super) async fn submit(&self, name: &str, text: &str) -> Result<Submitted, EnrollError> {
        let path = format!("certificate_request/{name}");
        let body = Bytes::copy_from_slice(text.as_bytes());
        let reply = self
            .send(Document::Request, Method::PUT, &path, body)
            .await?;
        if reply.answer.status.is_success() {
            return Ok(Submitted::Taken);
        }
        if reply.answer.status == StatusCode::BAD_REQUEST {
            let words = reply.answer.excerpt();
            let has = |status: &str| words.contains(&format!("already has a {status} certificate"));
            if has("requested") {
                return Ok(Submitted::Waiting);
            }
            if has("signed") {
                return Ok(Submitted::Signed { words });
            }
            if has("revoked") {
                return Ok(Submitted::Revoked);
            }
        }
        Err(reply.refused())
    }

    /// Asks for the next certificate with the one that we have.
    pub(super) async fn renew(&self) -> Result<Renewed, EnrollError> {
        let path = "certificate_renewal";
        let ask = self.send(Document::Renewal, Method::POST, path, Bytes::new());
        let reply = ask.await?;
        match reply.answer.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                Ok(Renewed::NotOffered)
            }
            _ => reply.good().map(Renewed::Certificate),
        }
    }

    /// Returns where a document is, as errors name it.
    pub(super) fn place(&self, path: &str) -> String {
        match self.address.url(path) {
            Ok(url) => format!("`{url}`"),
            Err(_unfit) => format!("`{}`", self.address),
        }
    }

    async fn get(
        &self,
        document: Document,
        path: &str,
        body_max: usize,
    ) -> Result<Reply, EnrollError> {
        let url = self.url(document, path)?;
        let answer = self.client.get(&url, &headers(), TIMEOUT, body_max).await;
        Reply::new(document, url, answer)
    }

    async fn send(
        &self,
        document: Document,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Reply, EnrollError> {
        let url = self.url(document, path)?;
        let mut headers = headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let sent = self
            .client
            .send(method, url.clone(), headers, body, CERTIFICATE_MAX);
        Reply::new(document, url, sent.await)
    }

    fn url(&self, document: Document, path: &str) -> Result<Url, EnrollError> {
        self.address.url(path).map_err(|error| EnrollError::Ask {
            document,
            url: self.address.to_string(),
            source: Box::new(ClientError::Connection(error.to_string())),
        })
    }
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("text/plain"));
    // The server translates its words, which we read.
    headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
    headers
}

/// An answer, and what was asked.
struct Reply {
    document: Document,
    url: Url,
    answer: Answer,
}

impl Reply {
    fn new(
        document: Document,
        url: Url,
        answer: Result<Answer, ClientError>,
    ) -> Result<Self, EnrollError> {
        match answer {
            Ok(answer) if answer.status.is_redirection() => Err(EnrollError::Redirected {
                document,
                url: url.to_string(),
            }),
            Ok(answer) => Ok(Self {
                document,
                url,
                answer,
            }),
            Err(source) => Err(EnrollError::Ask {
                document,
                url: url.to_string(),
                source: Box::new(source),
            }),
        }
    }

    fn good(self) -> Result<String, EnrollError> {
        if self.answer.status != StatusCode::OK {
            return Err(self.refused());
        }
        // What is no text is no PEM either, and whoever reads it says so.
        Ok(String::from_utf8_lossy(&self.answer.body).into_owned())
    }

    fn good_or_missing(self) -> Result<Option<String>, EnrollError> {
        if self.answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.good().map(Some)
    }

    fn refused(self) -> EnrollError {
        EnrollError::Refused {
            document: self.document,
            url: self.url.to_string(),
            status: self.answer.status,
            words: self.answer.excerpt(),
        }
    }
}
