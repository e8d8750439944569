//! NATS (to be described).

mod settings;
mod subject;

pub use settings::{Auth, Settings, Storage};
pub use subject::{
    Kind, LaneId, PARTITIONS, Subject, SubjectError, escape_token, partition, unescape_token,
};
