//! What an endpoint's answer means.
//!
//! As in Prometheus: 5xx and, unless told otherwise, 429 are worth another try; every other 4xx is
//! final. Redirects are not followed, because a POST survives only some of them and credentials
//! would go to a place that nobody configured; they wait until the operator has put the right
//! address into the configuration.

use http::StatusCode;
use http::header::LOCATION;

use crate::http::Answer;
use crate::retry::Retry;
use crate::sink::DeliverError;
use crate::sink::retry_after::retry_after;

/// What an endpoint decided about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has everything.
    Taken,
    /// It will never take the request as it is.
    Refused(Refusal),
}

/// Why an endpoint refuses a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// A label value.
    pub(super) reason: &'static str,
    /// The endpoint's own words.
    pub(super) detail: String,
    /// What was wrong.
    pub(super) cause: Cause,
}

/// What a refusal depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// Some sample in it; a part of the request may be taken.
    Content,
    /// Its size; each part of the request may be taken.
    Size,
    /// Us or the address: each part would be refused as well.
    Endpoint,
}

/// Decides what an answer means.
pub(super) fn classify(
    answer: &Answer,
    retry_on_http_429: bool,
    now_ms: i64,
) -> Result<Verdict, DeliverError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(Verdict::Taken);
    }
    let is_busy = status == StatusCode::TOO_MANY_REQUESTS && retry_on_http_429;
    if status.is_client_error() && !is_busy {
        return Ok(Verdict::Refused(refusal(answer)));
    }
    let (detail, retry) = match answer.headers.get(LOCATION) {
        Some(location) if status.is_redirection() => {
            let location = String::from_utf8_lossy(location.as_bytes());
            let location: String = location.chars().take(LOCATION_CHARS_MAX).collect();
            (
                format!("redirected to `{location}`, which is not followed"),
                Retry::Yes,
            )
        }
        _ => (answer.excerpt(), retry_after(&answer.headers, now_ms)),
    };
    Err(DeliverError::Later {
        status: status.as_u16(),
        detail,
        retry,
    })
}

/// An address longer than this is of no help in a log line.
const LOCATION_CHARS_MAX: usize = 200;

fn refusal(answer: &Answer) -> Refusal {
    let detail = answer.excerpt();
    let (reason, cause) = match answer.status {
        StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
            (reason_in(&detail), Cause::Content)
        }
        StatusCode::PAYLOAD_TOO_LARGE => ("too_large", Cause::Size),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ("unauthorized", Cause::Endpoint),
        StatusCode::NOT_FOUND => ("not_found", Cause::Endpoint),
        _ => ("status", Cause::Endpoint),
    };
    Refusal {
        reason,
        detail,
        cause,
    }
}

/// Finds the reason in the words that Prometheus, Mimir, Thanos and their kin use.
fn reason_in(detail: &str) -> &'static str {
    const WORDS: [(&str, &str); 9] = [
        ("out of order", "out_of_order"),
        ("out-of-order", "out_of_order"),
        ("duplicate", "duplicate"),
        ("too old", "too_old"),
        ("too-old", "too_old"),
        ("too far in the past", "too_old"),
        ("out of bounds", "out_of_bounds"),
        ("out-of-bounds", "out_of_bounds"),
        ("too far in the future", "out_of_bounds"),
    ];
    let detail = detail.to_ascii_lowercase();
    let found = WORDS.iter().find(|(words, _)| detail.contains(words));
    found.map_or("bad_request", |(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName};

    use super::*;

    fn answer(status: u16, header: Option<(HeaderName, &str)>, body: &str) -> Answer {
        let header = header.map(|(name, value)| (name, value.parse().unwrap()));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::from_iter(header),
            body: body.to_owned().into(),
        }
    }

    #[track_caller]
    fn check_refused(status: u16, body: &str, reason: &'static str, cause: Cause) {
        let verdict = classify(&answer(status, None, body), true, 0).unwrap();
        let detail = body.to_owned();
        assert_eq!(
            verdict,
            Verdict::Refused(Refusal {
                reason,
                detail,
                cause
            })
        );
    }

    #[track_caller]
    fn check_later(answer: &Answer, expected: Retry) {
        let error = classify(answer, true, 0).unwrap_err();
        let DeliverError::Later { status, retry, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(status, answer.status.as_u16());
        assert_eq!(retry, expected);
    }

    #[test]
    fn success_is_success() {
        for status in [200, 202, 204] {
            let verdict = classify(&answer(status, None, ""), true, 0).unwrap();
            assert_eq!(verdict, Verdict::Taken);
        }
    }

    #[test]
    fn a_final_answer_has_a_reason() {
        check_refused(400, "snappy: corrupt input", "bad_request", Cause::Content);
        check_refused(400, "out of order sample", "out_of_order", Cause::Content);
        check_refused(
            400,
            "duplicate sample for timestamp",
            "duplicate",
            Cause::Content,
        );
        check_refused(400, "out of bounds", "out_of_bounds", Cause::Content);
        check_refused(400, "too old sample", "too_old", Cause::Content);
        check_refused(
            400,
            "(err-mimir-sample-timestamp-too-old)",
            "too_old",
            Cause::Content,
        );
        check_refused(
            409,
            "Out of order sample: conflict",
            "out_of_order",
            Cause::Content,
        );
        check_refused(422, "", "bad_request", Cause::Content);
        check_refused(413, "", "too_large", Cause::Size);
        check_refused(401, "no", "unauthorized", Cause::Endpoint);
        check_refused(403, "no", "unauthorized", Cause::Endpoint);
        check_refused(404, "404 page not found", "not_found", Cause::Endpoint);
        check_refused(405, "", "status", Cause::Endpoint);
        check_refused(408, "", "status", Cause::Endpoint);
    }

    #[test]
    fn a_passing_failure_waits() {
        for status in [500, 502, 503, 504, 599, 304] {
            check_later(&answer(status, None, "x"), Retry::Yes);
        }
        let after =
            |status, seconds| answer(status, Some((http::header::RETRY_AFTER, seconds)), "");
        check_later(&after(503, "7"), Retry::After(Duration::from_secs(7)));
        check_later(&after(429, "3"), Retry::After(Duration::from_secs(3)));
        check_later(&after(429, "soon"), Retry::Yes);
    }

    #[test]
    fn rate_limiting_is_final_when_told_so() {
        let verdict = classify(&answer(429, None, "slow down"), false, 0).unwrap();
        let (reason, detail, cause) = ("status", "slow down".to_owned(), Cause::Endpoint);
        assert_eq!(
            verdict,
            Verdict::Refused(Refusal {
                reason,
                detail,
                cause
            })
        );
    }

    #[test]
    fn a_redirect_waits_and_names_its_aim() {
        let redirect = answer(308, Some((LOCATION, "https://b/api")), "");
        check_later(&redirect, Retry::Yes);
        let error = classify(&redirect, true, 0).unwrap_err().to_string();
        assert!(error.contains("https://b/api"), "{error}");
    }
}
