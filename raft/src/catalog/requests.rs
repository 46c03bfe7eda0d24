//! The answers that were given, by request id, so that a command that arrives again is applied at
//! most once.

use std::collections::VecDeque;

use prost::Message as _;
use proto::limits::{ANSWER_LIFETIME, ANSWERS_EXPIRED_PER_APPLY};
use proto::pb::catalog as pb;
use proto::{Outcome, RequestId, Timestamp};
use storage::Batch;

use super::View;
use super::applied::Applied;
use super::keys::Table;
use crate::ReadError;

/// How many ages are read at once. To look for one costs as much as to read dozens.
const AGES_READ_AHEAD: usize = 64;

/// Keeps answers, and removes those that have outlived [`ANSWER_LIFETIME`] by [`Applied::aging`].
///
/// Which are removed follows from the rows alone, on every node and after every start. What is
/// kept here are the same rows, read ahead.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The keys of the oldest ages, in order. New answers are never older than these, so the queue
    /// stays sorted.
    oldest: VecDeque<Vec<u8>>,
    /// The last key that was read. Before it are only those that are kept here, and the traces of
    /// what was removed, which a store would pass over one by one.
    read: Vec<u8>,
}

impl Answers {
    /// Adds the answer to `request`, and removes some of the oldest when they have expired.
    pub(crate) fn remember(
        &mut self,
        view: &View,
        applied: &Applied,
        request: &RequestId,
        outcome: &Outcome,
        batch: &mut Batch,
    ) -> Result<(), ReadError> {
        let keys = view.keys();
        let row =
            pb::AnswerRow { when_millis: applied.when.as_millis(), outcome: Some(outcome.into()) };
        batch.put(keys.answer(request), row.encode_to_vec());
        batch.put(keys.answer_age(applied.aging, request), []);

        if self.oldest.len() < ANSWERS_EXPIRED_PER_APPLY {
            self.read_ahead(view, applied.aging)?;
        }
        let limit = keys.answers_before(applied.aging.minus(ANSWER_LIFETIME));
        for _ in 0..ANSWERS_EXPIRED_PER_APPLY {
            let Some(age) = self.oldest.pop_front_if(|age| *age < limit) else { break };
            if let Some(Ok(request)) = age.get(limit.len()..).map(RequestId::try_from) {
                batch.delete(keys.answer(&request));
                batch.delete(age);
            }
        }
        Ok(())
    }

    /// Reads further ages. Answers as old as `now` are left for later: more of that age may come,
    /// and sort before them.
    fn read_ahead(&mut self, view: &View, now: Timestamp) -> Result<(), ReadError> {
        let ages = view.keys().table(Table::AnswerAge);
        let now = view.keys().answers_before(now);
        let from = self.read.clone().max(ages.clone());
        view.visit_from(&from, &ages, AGES_READ_AHEAD, |age, _| {
            let key = [ages.as_slice(), age].concat();
            if key > self.read && key < now {
                self.read.clone_from(&key);
                self.oldest.push_back(key);
            }
        })
    }
}
