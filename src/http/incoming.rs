//! An answer that is read as it comes, for those that have no end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};

use super::ClientError;
use super::transport::failed;

/// The body of an answer that is read as it comes. It has no limit but its time.
#[derive(Debug)]
pub struct Incoming {
    pub(super) body: reqwest::Body,
    pub(super) timeout: std::time::Duration,
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        let timeout = self.timeout;
        let polled = Pin::new(&mut self.body).poll_frame(context);
        polled.map_err(|error| failed(&error, timeout))
    }
}
