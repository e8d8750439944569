//! What a gateway's answer means.
//!
//! A refusal that only an operator can end (authorization, a wrong address, a redirect) hits every
//! push alike, so the pushes wait for the operator, until they are too old. A refusal of a push
//! itself is final.

use http::StatusCode;

use crate::http::Answer;
use crate::retry::Retry;
use crate::sink::retry_after::retry_after;
use crate::sink::{DeliverError, State};

/// What was asked of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// To replace a group.
    Push,
    /// To delete a group.
    Delete,
}

/// Decides what an answer means.
pub(super) fn classify(
    request: Request,
    answer: &Answer,
    now_ms: i64,
) -> Result<State, DeliverError> {
    let rejected = |reason| {
        Ok(State::Rejected {
            reason,
            detail: answer.excerpt(),
        })
    };
    let later = |retry| {
        Err(DeliverError::Later {
            status: answer.status.as_u16(),
            detail: answer.excerpt(),
            retry,
        })
    };
    match answer.status {
        StatusCode::OK | StatusCode::ACCEPTED => Ok(State::Delivered),
        StatusCode::NOT_FOUND if request == Request::Delete => Ok(State::Delivered),
        StatusCode::BAD_REQUEST => rejected("bad_request"),
        StatusCode::PAYLOAD_TOO_LARGE => rejected("too_large"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => {
            later(Retry::Yes)
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            later(retry_after(&answer.headers, now_ms))
        }
        status if status.is_client_error() => rejected("status"),
        // What answers 204 or a page of another kind is not the gateway.
        _ => later(retry_after(&answer.headers, now_ms)),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    /// What a status means: `delivered`, `later`, or the reason of a rejection.
    #[track_caller]
    fn check(request: Request, status: u16, expected: &str) {
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: "own words\n".into(),
        };
        let found = match classify(request, &answer, 0) {
            Ok(State::Delivered) => "delivered",
            Ok(State::Rejected { reason, detail }) => {
                assert_eq!(detail, "own words");
                reason
            }
            Ok(state) => panic!("{state:?}"),
            Err(_) => "later",
        };
        assert_eq!(found, expected, "{request:?} {status}");
    }

    #[test]
    fn old_and_new_gateways_answer_differently() {
        for request in [Request::Push, Request::Delete] {
            check(request, 200, "delivered");
            check(request, 202, "delivered");
        }
    }

    #[test]
    fn a_refused_push_is_final() {
        check(Request::Push, 400, "bad_request");
        check(Request::Push, 413, "too_large");
        check(Request::Push, 405, "status");
        check(Request::Push, 422, "status");
    }

    #[test]
    fn what_an_operator_can_mend_waits() {
        for status in [204, 301, 308, 401, 403, 404, 408, 429, 500, 502, 503, 504] {
            check(Request::Push, status, "later");
        }
    }

    #[test]
    fn a_group_that_is_not_there_needs_no_deletion() {
        check(Request::Delete, 404, "delivered");
        check(Request::Delete, 503, "later");
        check(Request::Delete, 403, "later");
    }
}
