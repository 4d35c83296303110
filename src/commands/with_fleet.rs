//! The one end of every fleet: whatever came of the work, what is to be sent is sent, connections say goodbye, and nothing
//! that was noticed on the way is lost.

use crate::commands::{Context, tell};
use crate::config::Config;
use crate::fleet::{Fleet, Limits};
use crate::model::watch::Notice;

/// Opens the fleet, has `work` use it, and ends it. Where the work fails, on a wrong target or without a confirmation,
/// the notices are said here; else they come back, for the command to say beside its report.
///
/// # Errors
/// The state file's; those of the work.
pub(crate) async fn with_fleet<T>(
    ctx: &Context,
    limits: Limits,
    work: impl AsyncFnOnce(&Fleet<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<Notice>)> {
    with_fleet_of(ctx, &ctx.config, limits, work).await
}

/// Like `with_fleet`, with another configuration than the command began with.
///
/// # Errors
/// As `with_fleet`.
pub(crate) async fn with_fleet_of<T>(
    ctx: &Context,
    config: &Config,
    limits: Limits,
    work: impl AsyncFnOnce(&Fleet<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<(T, Vec<Notice>)> {
    let fleet = Fleet::open(config, &ctx.state, &ctx.ui, limits).await?;
    let result = Box::pin(work(&fleet)).await;
    fleet.send_history().await;
    fleet.close().await;
    let notices = fleet.notices.take();
    match result {
        Ok(done) => Ok((done, notices)),
        Err(error) => {
            for notice in &notices {
                tell(&ctx.ui, notice);
            }
            Err(error)
        }
    }
}
