//! The rules for join tokens: which are good, and for how long.

use proto::limits::TOKENS_MAX;
use proto::{Event, Refusal, Thumbprint, Timestamp};

use super::View;
use super::decide::NotDecided;
use crate::ReadError;

/// Checks that a node which asks with `token` at `when` may be admitted. Where nodes have no
/// certificates there are no tokens either.
pub(super) fn check(
    view: &View,
    when: Timestamp,
    token: Option<&Thumbprint>,
) -> Result<(), NotDecided> {
    if view.authority()?.is_none() {
        return Ok(());
    }
    let token = token.ok_or(Refusal::TokenUnknown)?;
    let end = view.token(token)?.ok_or(Refusal::TokenUnknown)?;
    if when < end { Ok(()) } else { Err(Refusal::TokenExpired(end).into()) }
}

/// Issues `token`, which is good until `end`. Those from before go when it is to be the only one;
/// else those that have ended, and when there are too many, those that end first.
pub(super) fn issue(
    view: &View,
    when: Timestamp,
    token: Thumbprint,
    end: Timestamp,
    alone: bool,
) -> Result<Vec<Event>, ReadError> {
    let mut others = view.tokens()?;
    others.retain(|(other, _)| *other != token);
    others.sort_by_key(|(other, end)| (*end, *other));
    let too_many = (others.len() + 1).saturating_sub(TOKENS_MAX);
    let mut events = Vec::new();
    for (position, (other, end)) in others.into_iter().enumerate() {
        if alone || end <= when || position < too_many {
            events.push(Event::TokenRevoked { token: other });
        }
    }
    events.push(Event::TokenIssued { token, end });
    Ok(events)
}
