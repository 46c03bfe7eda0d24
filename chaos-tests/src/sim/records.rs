//! What all clients share: where they write down what they see, and what they show to be let in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};

use super::access::Subjects;
use super::chronicle::Chronicle;
use super::client::{Ask, Situation, allowed};
use super::history::History;
use super::http::{Lost, Pass, leave, send};
use super::invariant::Invariant;
use super::invariants::Removals;
use super::ledger::{Ledger, Source};
use super::sweeping::Sweeping;

/// What all clients write down.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) history: History,
    /// Rights that come and go.
    pub(crate) rights: History,
    pub(crate) ledger: Ledger,
    pub(crate) chronicle: Chronicle,
    pub(crate) sweeping: Sweeping,
    /// What they show to be let in.
    pub(crate) pass: Pass,
    /// Those who show something else, whose rights come and go.
    pub(crate) subjects: Subjects,
    /// Where the upload goes on that a client has begun last: others get hold of that.
    pub(crate) upload: Rc<RefCell<Option<String>>>,
    pub(crate) removals: Removals,
    /// Since when all has healed, while nothing is wrong: nobody is alone then.
    pub(crate) well_since: Rc<Cell<Option<u64>>>,
    /// Whether a node is being removed: what was asked for may still happen.
    pub(crate) is_removing: Rc<Cell<bool>>,
}

impl Records {
    pub(crate) fn new(chronicle: Chronicle, sweeping: Sweeping) -> Self {
        let [history, rights] = [&chronicle; 2].map(|chronicle| History::new(chronicle.clone()));
        let ledger = Ledger::new(chronicle.clone());
        let removals = Removals::new(chronicle.clone());
        Self {
            history,
            rights,
            ledger,
            chronicle,
            sweeping,
            pass: Pass::default(),
            subjects: Subjects::default(),
            upload: Rc::default(),
            removals,
            well_since: Rc::default(),
            is_removing: Rc::default(),
        }
    }

    /// Sends `request` to `node`, with what clients show.
    pub(crate) async fn send(
        &self,
        node: &str,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Lost> {
        send(node, self.pass.shown(request)).await
    }

    /// Sends only the first `length` bytes of the body of `request` to `node`, with what clients
    /// show, and leaves. Answers whether any of it may have come.
    pub(crate) async fn leave(&self, node: &str, request: Request<Bytes>, length: usize) -> bool {
        leave(node, &self.pass.shown(request), length).await
    }

    /// From now on nothing is wrong, or something may be.
    pub(crate) fn all_is_well(&self, is_well: bool) {
        self.well_since.set(is_well.then(|| self.chronicle.next()));
    }

    /// Who says what `response` says of content by its digest, as `by` was told, having asked at
    /// `called`: the cluster, if all is well.
    pub(crate) fn source(&self, by: &str, called: u64, response: &Response<Bytes>) -> Source {
        let source = Source::of(response);
        if source == Source::Alone {
            self.chronicle.count("answers: without a quorum");
            if self.well_since.get().is_some_and(|since| since < called) {
                let evidence = format!("{by}: a node is alone, where all is well: {response:?}");
                self.chronicle.violated(Invariant::NobodyAlone, evidence);
            }
        }
        source
    }

    /// Checks the answer to `ask` against what it may be; answers whether it says something,
    /// other than to try again.
    pub(crate) fn check(
        &self,
        by: &str,
        ask: Ask,
        situation: Situation,
        answer: &Response<Bytes>,
    ) -> bool {
        let status = answer.status();
        let text = || String::from_utf8_lossy(answer.body()).into_owned();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            self.chronicle.count("answers: 503");
            if !answer.headers().contains_key(header::RETRY_AFTER) {
                let evidence = format!("{by}: {ask:?}: 503 without Retry-After: {}", text());
                self.chronicle.violated(Invariant::OnlyUnavailable, evidence);
            }
            return false;
        }
        if status.is_server_error() {
            let evidence = format!("{by}: {ask:?}: {status}: {}", text());
            self.chronicle.violated(Invariant::OnlyUnavailable, evidence);
            return false;
        }
        if !allowed(ask, situation).contains(&status.as_u16()) {
            let evidence =
                format!("{by}: {ask:?} of what is {situation:?} got {status}: {}", text());
            self.chronicle.violated(Invariant::AnswersAllowed, evidence);
        }
        self.chronicle.count(ask.name());
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::time::Duration;

    use super::*;

    #[test]
    fn a_node_that_is_alone_where_all_is_well_is_found() {
        let chronicle = Chronicle::default();
        let records =
            Records::new(chronicle.clone(), Sweeping::after(Duration::ZERO, Duration::ZERO));
        let warning = r#"299 - "this node could not ask its cluster: the bytes may be deleted""#;
        let alone = Response::builder().header(header::WARNING, warning);
        let alone = alone.body(Bytes::new()).unwrap();
        let before = chronicle.next();
        records.source("client", before, &alone);
        records.all_is_well(true);
        records.source("client", before, &alone);
        assert_eq!(chronicle.violation(), None, "something was wrong when it was asked");
        let called = chronicle.next();
        records.all_is_well(false);
        records.source("client", called, &alone);
        assert_eq!(chronicle.violation(), None, "something is wrong again");
        records.all_is_well(true);
        records.source("client", chronicle.next(), &alone);
        assert!(chronicle.violation().is_some());
    }
}
