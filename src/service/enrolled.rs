//! A part with a certificate that we keep ourselves.

use std::future::Future;

use super::{Context, Ending};
use crate::enroll::{Keeper, Metrics};

/// Runs a part, if we keep its certificate only once there is one: without it nothing that the part
/// connects to lets it in.
pub(super) async fn enrolled<F, E>(
    context: Context,
    part: impl Fn(Context) -> F,
) -> Result<Ending, E>
where
    F: Future<Output = Result<Ending, E>>,
{
    let Some(settings) = context.config.enroll.clone() else {
        return part(context).await;
    };
    let stop = context.stop.clone();
    let metrics = context.metrics.register("enroll", Metrics::register);
    let keeper = Keeper::new(settings, context.clock.clone(), metrics);
    keeper.begin(&stop).await;
    if stop.is_cancelled() {
        return Ok(Ending::Clean);
    }
    let stop = stop.child_token();
    let keeping = tokio::spawn(keeper.run(stop.clone()));
    let result = part(context).await;
    stop.cancel();
    // It has nothing to hand over: what it was writing is whole or not there.
    drop(keeping.await);
    result
}
