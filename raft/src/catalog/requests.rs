//! The answers that were given, by request id, so that a command that arrives again is applied at
//! most once.

use prost::Message as _;
use proto::limits::{ANSWER_LIFETIME, ANSWERS_EXPIRED_PER_APPLY};
use proto::pb::catalog as pb;
use proto::{Outcome, RequestId};
use storage::Batch;

use super::View;
use super::applied::Applied;
use super::keys::Table;
use crate::ReadError;

/// Keeps answers, and removes those that have outlived [`ANSWER_LIFETIME`] by [`Applied::aging`].
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// The key before which no answer's age is left. Only a hint, which spares each removal the
    /// traces of all removals before it: a store passes over deleted keys one by one.
    oldest: Vec<u8>,
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

        let ages = keys.all(Table::AnswerAge);
        let limit = keys.answers_before(applied.aging.minus(ANSWER_LIFETIME));
        let from = self.oldest.clone().max(ages.clone());
        let mut oldest = Vec::new();
        view.visit_from(&from, &ages, ANSWERS_EXPIRED_PER_APPLY, |age, _| {
            oldest.push(age.to_vec());
        })?;
        for age in oldest {
            let key = [ages.as_slice(), &age].concat();
            if key < limit
                && let Some(Ok(request)) = age.get(size_of::<u64>()..).map(RequestId::try_from)
            {
                batch.delete(keys.answer(&request));
                batch.delete(key.as_slice());
                self.oldest = key;
            }
        }
        Ok(())
    }
}
