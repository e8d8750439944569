//! `static_configs`: targets that stand in the configuration itself.

use std::sync::Arc;

use super::Group;
use super::source::{Output, Running, Source};

/// Groups that never change.
pub(super) struct Fixed(pub(super) Vec<Arc<Group>>);

impl Source for Fixed {
    fn kind(&self) -> &'static str {
        "static"
    }

    fn run(self: Box<Self>, mut out: Output) -> Running {
        Box::pin(async move {
            out.succeeded("");
            out.send(self.0).await;
            out.complete().await;
        })
    }
}
