//! The `Authorization` header: from settings, files, tokens and addresses.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use super::oauth2::{TokenError, Tokens};
use super::{Auth, ClientError};
use crate::model::{Secret, SecretError};

/// Why a request could not be authorized.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The secret's file cannot be read.
    #[error("cannot read the secret")]
    Secret(#[from] SecretError),
    /// The secret holds characters that no header can carry.
    #[error("the secret holds characters that an HTTP header cannot carry")]
    NotAHeader,
    /// A configured header cannot be sent.
    #[error("cannot send header `{0}`: it holds characters that an HTTP header cannot carry")]
    Header(String),
    /// There is no token; the one error is told to all who asked.
    #[error("cannot get an OAuth2 token")]
    Token(#[source] Arc<TokenError>),
}

/// Makes the header of each request.
#[derive(Debug, Clone)]
pub(super) enum Authorizer {
    /// There is none.
    Nobody,
    /// It never changes.
    Fixed(HeaderValue),
    /// A part of it stands in a file, which may be replaced while we run.
    Read(Auth),
    /// A token that has an end.
    Token(Arc<Tokens>),
}

impl Authorizer {
    /// Prepares what can be prepared; fails as [`Tokens::new`] does.
    pub(super) fn new(auth: Option<Auth>) -> Result<Self, ClientError> {
        let is_file = |secret: &Secret| secret.path().is_some();
        let is_read = match &auth {
            None => return Ok(Self::Nobody),
            Some(Auth::OAuth2(oauth2)) => {
                return Ok(Self::Token(Arc::new(Tokens::new(oauth2)?)));
            }
            Some(Auth::Basic { username, password }) => {
                is_file(username) || password.as_ref().is_some_and(is_file)
            }
            Some(Auth::Credentials { credentials, .. }) => is_file(credentials),
        };
        Ok(match auth {
            None => Self::Nobody,
            // Of a fixed one that cannot be sent each request tells why.
            Some(auth) if is_read => Self::Read(auth),
            Some(auth) => match auth.header() {
                Ok(header) => Self::Fixed(header),
                Err(_unfit) => Self::Read(auth),
            },
        })
    }

    /// Returns the header for a request to the configured host.
    ///
    /// User and password in the address win over what is configured, but for tokens.
    pub(super) async fn header(&self, url: &Url) -> Result<Option<HeaderValue>, AuthError> {
        match self {
            Self::Token(tokens) => tokens.header().await.map(Some),
            _ if has_user(url) => of_address(url).map(Some),
            Self::Nobody => Ok(None),
            Self::Fixed(header) => Ok(Some(header.clone())),
            Self::Read(auth) => auth.header().map(Some),
        }
    }
}

impl Auth {
    /// Returns the value of the `Authorization` header; a token has none before it is asked for.
    pub(super) fn header(&self) -> Result<HeaderValue, AuthError> {
        let value = match self {
            Self::Basic { username, password } => {
                let password = password.as_ref().map(Secret::reveal).transpose()?;
                basic_text(&username.reveal()?, &password.unwrap_or_default())
            }
            Self::Credentials {
                scheme,
                credentials,
            } => format!("{scheme} {}", credentials.reveal()?),
            Self::OAuth2(_) => return Err(AuthError::NotAHeader),
        };
        sensitive(&value)
    }
}

/// Returns the header of basic authorization.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, AuthError> {
    sensitive(&basic_text(user, password))
}

fn basic_text(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Returns a header that nobody prints.
pub(super) fn sensitive(value: &str) -> Result<HeaderValue, AuthError> {
    let header = HeaderValue::from_str(value);
    let mut header = header.map_err(|_secret| AuthError::NotAHeader)?;
    header.set_sensitive(true);
    Ok(header)
}

/// Tells whether an address has a user or a password in it.
pub(super) fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Returns user and password of an address, in plain.
pub(super) fn user_and_password(url: &Url) -> (String, String) {
    let plain = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text);
        decoded.decode_utf8_lossy().into_owned()
    };
    (
        plain(url.username()),
        plain(url.password().unwrap_or_default()),
    )
}

/// Returns the header that user and password of an address make.
pub(super) fn of_address(url: &Url) -> Result<HeaderValue, AuthError> {
    let (user, password) = user_and_password(url);
    basic(&user, &password)
}

/// Returns an address without its user and password.
pub(super) fn without_user(mut url: Url) -> Url {
    if has_user(&url) {
        // Both fail only for addresses without a host, which are refused before.
        url.set_username("").unwrap_or_default();
        url.set_password(None).unwrap_or_default();
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authorization_is_encoded_and_marked_as_sensitive() {
        let auth = Auth::Basic {
            username: Secret::Inline("Aladdin".into()),
            password: Some(Secret::Inline("open sesame".into())),
        };
        let header = auth.header().unwrap();
        let text = header.to_str().unwrap();
        assert_eq!(text, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(header.is_sensitive());
    }

    #[test]
    fn what_an_address_holds_is_decoded() {
        let url = Url::parse("http://us%65r:p%40ss@host/").unwrap();
        let (user, password) = user_and_password(&url);
        assert_eq!((&*user, &*password), ("user", "p@ss"));
        assert_eq!(without_user(url).as_str(), "http://host/");
    }
}
