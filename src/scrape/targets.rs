use super::{Config, Target};
use std::sync::Arc;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct InvalidError;
pub struct Invalid {
    pub error: InvalidError,
}
pub struct Targets {
    pub kept: Vec<Target>,
    pub invalid: Vec<Invalid>,
    pub dropped_count: usize,
    pub is_over_limit: bool,
}
pub fn targets(_config: &Arc<Config>, _groups: &[Arc<crate::discover::Group>]) -> Targets {
    Targets {
        kept: vec![],
        invalid: vec![],
        dropped_count: 0,
        is_over_limit: false,
    }
}
