//! Operators, who remove nodes for good while clients work and things go wrong: one of them, or two
//! at once, who know nothing of each other. A machine of which the node was removed gets an empty
//! disk, and becomes a new node of the cluster.

use std::time::Duration;

use futures::future::join;
use http::{Method, StatusCode};
use tokio::time::{Instant, sleep, sleep_until};

use super::client::request;
use super::dice::Dice;
use super::http::{Lost, Pass, send};
use super::invariant::Invariant;
use super::machine::Machine;
use super::records::Records;

/// How long a removal is tried.
const PATIENCE: Duration = Duration::from_secs(8);
/// For how long a node tries what it was asked for once, whether anybody still waits or not.
const REMOVE_PATIENCE: Duration = Duration::from_secs(20);

/// An operator, who removes nodes.
#[derive(Clone)]
pub(crate) struct Operator {
    machines: Vec<Machine>,
    dice: Dice,
    records: Records,
    pass: Pass,
}

impl Operator {
    /// Removes some of `machines`' nodes, and shows `pass`.
    pub(crate) fn new(machines: Vec<Machine>, dice: Dice, records: Records, pass: Pass) -> Self {
        Self { machines, dice, records, pass }
    }

    /// Removes a node now and then, for `time`.
    pub(crate) async fn work(mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            sleep(self.dice.millis(6_000..=20_000)).await;
            if Instant::now() + PATIENCE > end {
                return;
            }
            self.records.is_removing.set(true);
            let [number, other] = [0, 1].map(|_| self.dice.index(self.machines.len()));
            if self.dice.one_in(3) {
                self.remove_both(number, other).await;
            } else {
                self.remove(number).await;
            }
            self.records.is_removing.set(false);
        }
    }

    /// Has two operators remove a node each at the same time, perhaps the same. What would cost the
    /// cluster its quorum it has to refuse, or to put off.
    async fn remove_both(&mut self, one: usize, other: usize) {
        let mut second = Self { dice: self.dice.fork(), ..self.clone() };
        let removed = join(self.remove(one), second.remove(other)).await;
        if removed == (true, true) && one != other {
            self.records.chronicle.count("faults: two nodes removed at once");
        }
    }

    /// Removes the node on machine `number`, through any node, if that may be; answers whether it
    /// is, once nothing more can come of what was asked for. One that was removed without an
    /// answer, and does not know it yet, is removed again in vain.
    async fn remove(&mut self, number: usize) -> bool {
        let mut unanswered = None;
        let is_removed = self.try_to_remove(number, &mut unanswered).await;
        if let Some(asked) = unanswered {
            sleep_until(asked + REMOVE_PATIENCE).await;
        }
        is_removed
    }

    /// Does so. Takes note of when that was asked for last without an answer.
    async fn try_to_remove(&mut self, number: usize, unanswered: &mut Option<Instant>) -> bool {
        let Some(status) = self.machines[number].status() else { return false };
        let path = format!("/roadstead/v1/cluster/nodes/{}", status.node);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let through = self.dice.pick(&self.machines).name.clone();
            let is_let_in = self.pass.is_given();
            let asked = Instant::now();
            self.records.removals.ask(status.node);
            let answer = send(&through, self.pass.shown(request(Method::DELETE, &path))).await;
            match answer.map(|answer| answer.status()) {
                // Carried out, or only decided: the next leader carries it out.
                Ok(StatusCode::NO_CONTENT | StatusCode::ACCEPTED) => {
                    self.records.removals.acknowledged(status.node);
                    let machine = &self.machines[number].name;
                    self.records
                        .chronicle
                        .note(format_args!("node {} on {machine} is removed", status.node));
                    self.records.chronicle.count("faults: node removed");
                    return true;
                }
                Ok(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {}
                Err(Lost::Unsent(_)) => self.records.removals.refused(status.node),
                Err(Lost::Unheard(_)) => *unanswered = Some(asked),
                // It has no account yet, where it needs one.
                Ok(StatusCode::UNAUTHORIZED) if !is_let_in => {
                    self.records.removals.refused(status.node);
                }
                // Too few would stay; or it was removed before.
                Ok(StatusCode::CONFLICT | StatusCode::NOT_FOUND) => {
                    self.records.removals.refused(status.node);
                    return false;
                }
                Ok(status) => {
                    let evidence = format!("{through}: removal of a node: {status}");
                    self.records.chronicle.violated(Invariant::AnswersAllowed, evidence);
                    return false;
                }
            }
            sleep(self.dice.millis(50..=500)).await;
        }
        false
    }
}
