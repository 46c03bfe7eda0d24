//! The audit log: who has logged in or failed to, who was refused, and who has changed what, as
//! events of the target `audit`. There is no secret in it. What went wrong is of the level INFO,
//! for the operator's eyes; what went right is of DEBUG, since there is much of it.

use std::fmt::Display;

use proto::limits::ACCESS_NAME_BYTES_MAX;
use proto::{Actor, Command, Refusal, excerpt};
use tracing::{debug, info};

use crate::client::Origin;
use crate::error::Error;

/// Somebody has shown who they are, by `with`.
pub(crate) fn logged_in(from: Origin, account: &dyn Display, with: &dyn Display) {
    debug!(target: "audit", client = %from, %account, %with, "logged in");
}

/// Somebody called themselves `account` and could not show it.
pub(crate) fn login_failed(from: Origin, account: &str) {
    // As much as a real name can have, and as Debug: nothing that is made up can forge a line.
    let account = excerpt(account, ACCESS_NAME_BYTES_MAX);
    info!(target: "audit", client = %from, ?account, "login failed");
}

/// Somebody may not even try to log in as `account` now.
pub(crate) fn login_refused(from: Origin, account: &str) {
    let account = excerpt(account, ACCESS_NAME_BYTES_MAX);
    info!(target: "audit", client = %from, ?account, "login refused: too many attempts");
}

/// Somebody has shown a token that is no good.
pub(crate) fn token_refused(from: Origin) {
    info!(target: "audit", client = %from, "token refused");
}

/// `actor` may not do what they have tried.
pub(crate) fn denied(from: Origin, actor: &Actor, need: &dyn Display) {
    info!(target: "audit", client = %from, %actor, %need, "denied");
}

/// So many more were refused than is recorded of one address.
pub(crate) fn not_recorded(from: Origin, count: u64) {
    info!(target: "audit", client = %from, count, "refusals not recorded: too many");
}

/// The cluster has decided what `actor` asked for, or not in time.
pub(crate) fn decided<T>(from: Origin, actor: &Actor, asked: &Command, outcome: &Result<T, Error>) {
    match outcome {
        Ok(_) => changed(from, actor, asked),
        Err(Error::Refused(Refusal::Access(refusal))) => denied(from, actor, refusal),
        Err(reason @ (Error::Refused(_) | Error::WouldLoseQuorum(_)))
            if matches!(asked, Command::RemoveNode { .. }) =>
        {
            info!(target: "audit", client = %from, %actor, change = %asked, %reason, "refused");
        }
        Err(Error::OutcomeUnknown) => {
            info!(target: "audit", client = %from, %actor, change = %asked, "outcome unknown");
        }
        Err(_) => {}
    }
}

/// What `actor` asked for is done.
fn changed(from: Origin, actor: &Actor, change: &dyn Display) {
    debug!(target: "audit", client = %from, %actor, %change, "changed");
}
