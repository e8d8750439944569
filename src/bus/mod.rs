//! NATS: one connection, one stream, durable consumers.
//!
//! In: [`Settings`], frames to publish, acknowledgements. Out: confirmed publishes, and messages
//! in the order of the stream. This module alone knows async-nats, subjects and what a server of
//! which version can do. It never looks into a payload, and never alters a stream that exists.
//!
//! | token of a subject | meaning |
//! | --- | --- |
//! | `<topic>` | one or more tokens of the operator's choice |
//! | `<publisher>` | the site, escaped ([`escape_token`]); its permissions end here |
//! | `<partition>` | 0 to 31, a hash of site and lane |
//! | `<lane>` | number of the lane within the site |
//! | `<kind>` | `s` shape, `k` key frame, `d` delta frame, `t` plain exposition text |
//!
//! A poller is asked for a key frame on `<topic>-request.<publisher>.<lane>`, which is no subject of
//! the stream.
//!
//! Dead letters go to `<topic>.dead.<publisher>.<partition>.<lane>.<kind>`: one token more, so
//! that no consumer of frames ever sees them.

mod attempts;
mod connection;
mod consumer;
mod credentials;
mod follow;
mod history;
mod publish;
mod request;
mod settings;
mod stream;
mod subject;

pub use connection::{Bus, BusError};
pub use consumer::{Ack, Acknowledgement, Consumer, Incoming, Phase, Sequence, acknowledge};
pub use follow::FollowError;
pub use publish::PublishError;
pub use request::{KeyRequests, RequestError};
pub use settings::{Auth, Settings, Storage};
pub use stream::StreamError;
pub use subject::{
    Kind, LaneId, PARTITIONS, Subject, SubjectError, escape_token, partition, request_subject,
    unescape_token,
};
