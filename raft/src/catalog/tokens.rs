//! The rules for join tokens: which are good, and for how long.

use proto::limits::TOKENS_MAX;
use proto::{Answer, Event, Refusal, RequestId, Thumbprint, Timestamp};

use super::View;
use super::applied::Applied;
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

/// Why a node that asks with `token` will be refused, if it will: the token is not in `view`, or it
/// had ended by the stamp of the last command.
///
/// A request that has already admitted a node is the one exception: it gets that answer again, and
/// its id cannot be made without the secret of the token. Other requests that have an answer are no
/// exception: a stranger who knows the id of one could have commands proposed with it.
pub(crate) fn foreseen(
    view: &View,
    request: &RequestId,
    token: &Thumbprint,
) -> Result<Option<Refusal>, ReadError> {
    if let Some(Ok(Answer::Admitted { .. })) = view.answer(request)? {
        return Ok(None);
    }
    match check(view, Applied::read(view)?.stamped, Some(token)) {
        Ok(()) => Ok(None),
        Err(NotDecided::Refused(refusal)) => Ok(Some(refusal)),
        Err(NotDecided::Unreadable(error)) => Err(error),
    }
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
