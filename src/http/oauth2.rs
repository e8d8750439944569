//! Tokens of OAuth 2: asked for once for all who need one, kept until shortly before they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use url::form_urlencoded;

use super::auth::{basic, sensitive};
use super::client::read_up_to;
use super::transport::{Ask, Transport};
use super::{AuthError, ClientError, OAuth2};
use crate::retry::{Backoff, Retry};

/// Limit for one request for a token.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A token with a long chain of claims has some kilobytes.
const ANSWER_MAX: usize = 1 << 20;

/// A token is not used in its last moments, as in Go: it could end on its way.
const MARGIN: Duration = Duration::from_secs(10);

/// Longest life of a token that is believed, as in Go: what needs more room is a mistake.
const LIFE_MAX: f64 = 2_147_483_647.0;

/// Even a token that has ended when it comes is used for so long, or each scrape would ask anew.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// Waits after failures: ten thousand targets must not ask anew with each scrape.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The code of an error (RFC 6749, section 5.2) is a short word.
const CODE_MAX: usize = 64;

/// Why there is no token; nothing in it is secret.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The client's secret cannot be read.
    #[error("cannot read the client's secret")]
    Secret(#[from] crate::model::SecretError),
    /// The secret cannot be sent.
    #[error("the client's secret cannot be sent")]
    NotAHeader(#[source] AuthError),
    /// The token's server cannot be reached.
    #[error("cannot ask for a token")]
    Ask(#[source] ClientError),
    /// The token's server refuses.
    #[error("the token's server answered with status {status}{}", quoted(.code.as_deref()))]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its reason, such as `invalid_client`.
        code: Option<String>,
    },
    /// The answer is not understood.
    #[error("the token's server answered with {0}")]
    Answer(&'static str),
    /// The request was given up.
    #[error("the request for a token was given up")]
    GivenUp,
}

fn quoted(code: Option<&str>) -> String {
    code.map(|code| format!(" and error `{code}`"))
        .unwrap_or_default()
}

/// The tokens of one configuration.
#[derive(Debug)]
pub(super) struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: OAuth2,
    transport: Transport,
    state: Mutex<State>,
}

type Asking = Shared<BoxFuture<'static, Result<HeaderValue, Arc<TokenError>>>>;

struct State {
    /// The secret that the rest was got with.
    secret: Box<str>,
    token: Option<Token>,
    /// A request that is under way.
    asking: Option<Asking>,
    /// The last failure, and until when nobody asks again.
    failure: Option<(Arc<TokenError>, Instant)>,
    backoff: Backoff,
    /// How the client's identity is sent, once that is known.
    place: Option<Place>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("State");
        shown.field("has_token", &self.token.is_some());
        shown
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    /// When it must not be used any more; `None`: it has no end.
    end: Option<Instant>,
}

/// Where the client's identity stands in a request for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Header,
    Body,
}

impl Tokens {
    /// Prepares to ask; nothing is sent before a token is needed.
    pub(super) fn new(settings: &OAuth2) -> Result<Self, ClientError> {
        let OAuth2 { tls, proxy, .. } = settings;
        let transport = Transport::build(tls.as_ref(), proxy, true, TIMEOUT)?;
        Ok(Self(Arc::new(Inner {
            settings: settings.clone(),
            transport,
            state: Mutex::new(State {
                secret: Box::default(),
                token: None,
                asking: None,
                failure: None,
                backoff: Backoff::new(WAIT_MIN, WAIT_MAX),
                place: None,
            }),
        })))
    }

    /// Returns the `Authorization` header; asks for a token if there is none that is good.
    pub(super) async fn header(&self) -> Result<HeaderValue, AuthError> {
        let secret = self.0.settings.client_secret.reveal()?;
        let asking = match self.0.known(&secret) {
            Known::Token(header) => return Ok(header),
            Known::Failure(error) => return Err(AuthError::Token(error)),
            Known::Asking(asking) => asking,
        };
        asking.await.map_err(AuthError::Token)
    }
}

/// What can be said without waiting.
enum Known {
    Token(HeaderValue),
    Failure(Arc<TokenError>),
    Asking(Asking),
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(self: &Arc<Self>, secret: &str) -> Known {
        let mut state = self.state();
        if *state.secret != *secret {
            // Another secret may well be a better one; what is under way has the old one.
            state.secret = secret.into();
            state.token = None;
            state.asking = None;
            state.failure = None;
            state.backoff.reset();
        }
        let now = Instant::now();
        if let Some(token) = &state.token
            && token.end.is_none_or(|end| now < end)
        {
            return Known::Token(token.header.clone());
        }
        if let Some(asking) = &state.asking {
            return Known::Asking(asking.clone());
        }
        if let Some((error, until)) = &state.failure
            && now < *until
        {
            return Known::Failure(Arc::clone(error));
        }
        // A task of its own, so that a scrape which times out takes nobody's token with it.
        let (inner, secret) = (Arc::clone(self), secret.to_owned());
        let task = tokio::spawn(async move { inner.ask(secret).await });
        let asking = async {
            task.await
                .unwrap_or_else(|_| Err(Arc::new(TokenError::GivenUp)))
        };
        let asking = asking.boxed().shared();
        state.asking = Some(asking.clone());
        Known::Asking(asking)
    }

    /// Asks, and writes down what came of it.
    async fn ask(&self, secret: String) -> Result<HeaderValue, Arc<TokenError>> {
        let known = self.state().place;
        let mut place = known.unwrap_or(Place::Header);
        let mut result = self.ask_at(place, &secret).await;
        if known.is_none() && matches!(result, Err(TokenError::Refused { .. })) {
            // Some servers read the body only, and some the header only.
            place = Place::Body;
            result = self.ask_at(place, &secret).await;
        }
        let mut state = self.state();
        let is_current = *state.secret == *secret;
        if is_current {
            state.asking = None;
        }
        match result {
            Ok(token) => {
                let header = token.header.clone();
                state.place = Some(place);
                if is_current {
                    state.backoff.reset();
                    state.failure = None;
                    state.token = Some(token);
                }
                Ok(header)
            }
            Err(error) => {
                let error = Arc::new(error);
                if is_current {
                    let until = Instant::now() + state.backoff.next(Retry::Yes);
                    state.failure = Some((Arc::clone(&error), until));
                }
                Err(error)
            }
        }
    }

    async fn ask_at(&self, place: Place, secret: &str) -> Result<Token, TokenError> {
        let began = Instant::now();
        let ask = self
            .request(place, secret)
            .map_err(TokenError::NotAHeader)?;
        let sent = self.transport.send(ask).await;
        let mut response = sent.map_err(TokenError::Ask)?;
        let (body, is_whole) = read_up_to(&mut response, TIMEOUT, ANSWER_MAX)
            .await
            .map_err(TokenError::Ask)?;
        if !is_whole {
            return Err(TokenError::Answer("far too much"));
        }
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Granted::read(kind, &body).token(response.status(), began)
    }

    fn request(&self, place: Place, secret: &str) -> Result<Ask, AuthError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        let OAuth2 {
            client_id,
            scopes,
            endpoint_params,
            ..
        } = &self.settings;
        let is_given = |key: &str| endpoint_params.iter().any(|(name, _)| name == key);
        if !is_given("grant_type") {
            form.append_pair("grant_type", "client_credentials");
        }
        if !scopes.is_empty() && !is_given("scope") {
            form.append_pair("scope", &scopes.join(" "));
        }
        form.extend_pairs(endpoint_params);
        let mut headers = HeaderMap::new();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form_type);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match place {
            Place::Header => {
                // Both are encoded as in a form (RFC 6749, section 2.3.1).
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                headers.insert(AUTHORIZATION, basic(&encoded(client_id), &encoded(secret))?);
            }
            Place::Body => {
                form.append_pair("client_id", client_id);
                if !secret.is_empty() {
                    form.append_pair("client_secret", secret);
                }
            }
        }
        Ok(Ask {
            method: Method::POST,
            url: self.settings.token_url.clone(),
            headers,
            body: Bytes::from(form.finish()),
            timeout: TIMEOUT,
        })
    }
}

/// What an answer says, as far as it is of use.
#[derive(Default)]
struct Granted {
    is_readable: bool,
    access_token: String,
    token_type: String,
    expires_in: Option<f64>,
    error: Option<String>,
}

impl Granted {
    /// Reads JSON, or a form, which some servers answer with.
    fn read(kind: &str, body: &[u8]) -> Self {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let is_form = ["application/x-www-form-urlencoded", "text/plain"]
            .iter()
            .any(|form| kind.eq_ignore_ascii_case(form));
        let mut granted = Self::default();
        if is_form && !body.trim_ascii_start().starts_with(b"{") {
            granted.is_readable = true;
            for (name, value) in form_urlencoded::parse(body) {
                granted.take(&name, value.into_owned());
            }
        } else if let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(body) {
            granted.is_readable = true;
            for (name, value) in fields {
                match value {
                    serde_json::Value::String(text) => granted.take(&name, text),
                    serde_json::Value::Number(number) => granted.take(&name, number.to_string()),
                    _ => {}
                }
            }
        }
        granted
    }

    fn take(&mut self, name: &str, value: String) {
        match name {
            "access_token" => self.access_token = value,
            "token_type" => self.token_type = value,
            // Nothing and zero mean that it has no end.
            "expires_in" => {
                let seconds = value.parse().ok();
                self.expires_in =
                    seconds.filter(|seconds: &f64| *seconds != 0.0 && !seconds.is_nan());
            }
            "error" => self.error = Some(value),
            _ => {}
        }
    }

    fn token(self, status: StatusCode, began: Instant) -> Result<Token, TokenError> {
        if !status.is_success() || self.error.as_ref().is_some_and(|error| !error.is_empty()) {
            let is_word = |code: &String| {
                let is_part = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                (1..=CODE_MAX).contains(&code.len()) && code.bytes().all(is_part)
            };
            let code = self.error.filter(is_word);
            return Err(TokenError::Refused { status, code });
        }
        if !self.is_readable {
            return Err(TokenError::Answer("something that is no JSON object"));
        }
        if self.access_token.is_empty() {
            return Err(TokenError::Answer("no `access_token`"));
        }
        let kind = match self.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer",
            "basic" => "Basic",
            "mac" => "MAC",
            _ => &self.token_type,
        };
        let header = sensitive(&format!("{kind} {}", self.access_token));
        let header = header.map_err(|_unfit| TokenError::Answer("a token that cannot be sent"))?;
        let end = self.expires_in.map(|seconds| {
            let life = Duration::from_secs_f64(seconds.clamp(0.0, LIFE_MAX));
            // One that lives hardly longer than the margin serves for half its life.
            began + life.saturating_sub(MARGIN).max(life / 2).max(LIFE_MIN)
        });
        Ok(Token { header, end })
    }
}
