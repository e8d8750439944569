//! Configured request headers.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::AuthError;
use super::auth::sensitive;
use crate::model::Secret;

/// Headers as they are sent; those that stand in files are read for each request.
#[derive(Debug, Clone, Default)]
pub(super) struct Headers(Vec<(HeaderName, Value)>);

#[derive(Debug, Clone)]
enum Value {
    Fixed(HeaderValue),
    Read(Secret),
    /// Neither the name nor the value can be helped; each request says so.
    Unfit(String),
}

impl Headers {
    pub(super) fn new(headers: &[(String, Secret)]) -> Self {
        let prepared = headers.iter().map(|(text, secret)| {
            let unfit = || Value::Unfit(text.clone());
            let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
                return (http::header::WARNING, unfit());
            };
            let value = match secret {
                Secret::File(_) => Value::Read(secret.clone()),
                Secret::Inline(value) => sensitive(value).map_or_else(|_| unfit(), Value::Fixed),
            };
            (name, value)
        });
        Self(prepared.collect())
    }

    /// Adds them to those that are there.
    pub(super) fn add_to(&self, headers: &mut HeaderMap) -> Result<(), AuthError> {
        for (name, value) in &self.0 {
            let unfit = || AuthError::Header(name.to_string());
            let value = match value {
                Value::Fixed(value) => value.clone(),
                Value::Read(secret) => {
                    let text = secret.reveal()?;
                    sensitive(&text).map_err(|_secret| unfit())?
                }
                Value::Unfit(name) => return Err(AuthError::Header(name.clone())),
            };
            headers.append(name, value);
        }
        Ok(())
    }

    /// Returns them alone.
    pub(super) fn to_map(&self) -> Result<HeaderMap, AuthError> {
        let mut headers = HeaderMap::new();
        self.add_to(&mut headers)?;
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_name_are_sent_side_by_side_and_never_printed() {
        let pair = |name: &str, value: &str| (name.to_owned(), Secret::Inline(value.into()));
        let headers = Headers::new(&[pair("X-One", "hunter2"), pair("x-one", "b")]);
        let map = headers.to_map().unwrap();
        let values: Vec<_> = map.get_all("X-ONE").iter().collect();
        assert_eq!(values, ["hunter2", "b"]);
        assert!(!format!("{headers:?} {map:?}").contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_sent_is_named_without_its_value() {
        let headers = [("X-One".to_owned(), Secret::Inline("hunter2\n".into()))];
        let error = Headers::new(&headers).to_map().unwrap_err().to_string();
        assert!(
            error.contains("`X-One`") && !error.contains("hunter2"),
            "{error}"
        );
    }
}
