//! One connection to a target, driven by whoever uses it.
//!
//! hyper's own pool gives each connection a task, so that every piece of a body costs two wake-ups
//! and a way through two queues; measured, that was more than half of what a scrape costs. A target
//! is scraped by one worker, so here the worker polls the connection itself.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::stream::Stream;

/// Bounds what an idle connection keeps, and the size of an answer's headers.
pub(super) const READ_BUFFER_MAX: usize = 16 * 1024;

/// A connection that is open, as far as we know.
pub(super) enum Connection {
    /// Nobody polls it but we.
    Http1 {
        sender: http1::SendRequest<Empty<Bytes>>,
        driver: Pin<Box<http1::Connection<TokioIo<Stream>, Empty<Bytes>>>>,
    },
    /// It has to answer pings at any time, so it has a task.
    Http2 {
        sender: http2::SendRequest<Empty<Bytes>>,
    },
}

impl Connection {
    /// Begins to speak HTTP; which version, the TLS handshake has decided.
    pub(super) async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        let is_http2 = stream.is_http2();
        let stream = TokioIo::new(stream);
        if is_http2 {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            let (sender, driver) = builder.timer(TokioTimer::new()).handshake(stream).await?;
            // It ends with its sender or its peer; whoever sends sees the error.
            tokio::spawn(async { drop(driver.await) });
            return Ok(Self::Http2 { sender });
        }
        let mut builder = http1::Builder::new();
        let (sender, driver) = builder
            .max_buf_size(READ_BUFFER_MAX)
            .handshake(stream)
            .await?;
        Ok(Self::Http1 {
            sender,
            driver: Box::pin(driver),
        })
    }

    /// Tells whether HTTP/2 is spoken, whose requests name the whole address.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Self::Http2 { .. })
    }

    /// Tells whether another request can be sent, as far as can be seen without waiting.
    pub(super) async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1 { sender, driver } => {
                // It may have been closed while nobody looked.
                let ended = poll_fn(|context| Poll::Ready(driver.as_mut().poll(context))).await;
                ended.is_pending() && sender.is_ready()
            }
            Self::Http2 { sender } => sender.is_ready(),
        }
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        match self {
            Self::Http1 { sender, driver } => {
                let mut answer = pin!(sender.send_request(request));
                poll_fn(|context| {
                    // Only the driver brings it further, and that is polled here.
                    let mut asleep = Context::from_waker(Waker::noop());
                    if let Poll::Ready(answer) = answer.as_mut().poll(&mut asleep) {
                        return Poll::Ready(answer);
                    }
                    // Its end is an error of the answer as well.
                    drop(driver.as_mut().poll(context));
                    answer.as_mut().poll(&mut asleep)
                })
                .await
            }
            Self::Http2 { sender } => sender.send_request(request).await,
        }
    }

    /// Reads a body to its end; `take` gets each piece of it, and may end it by an error.
    pub(super) async fn read<E: From<hyper::Error>>(
        &mut self,
        mut body: Incoming,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        poll_fn(|context| {
            let mut has_polled = false;
            loop {
                let mut asleep = Context::from_waker(Waker::noop());
                let polled = match self {
                    Self::Http1 { .. } => Pin::new(&mut body).poll_frame(&mut asleep),
                    Self::Http2 { .. } => Pin::new(&mut body).poll_frame(context),
                };
                match polled {
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error.into())),
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Some(data) = frame.data_ref()
                            && let Err(error) = take(data)
                        {
                            return Poll::Ready(Err(error));
                        }
                        has_polled = false;
                    }
                    Poll::Pending if has_polled => return Poll::Pending,
                    Poll::Pending => match self {
                        Self::Http1 { driver, .. } => {
                            // Its end is an error of the body as well, unless the body ends there.
                            drop(driver.as_mut().poll(context));
                            has_polled = true;
                        }
                        Self::Http2 { .. } => return Poll::Pending,
                    },
                }
            }
        })
        .await
    }
}
