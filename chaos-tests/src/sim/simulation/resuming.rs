//! Writes and reads go on: through every node when the cluster has healed, and through the others
//! while one is down.

use std::time::Duration;

use anyhow::Result;
use futures::future::{join, join_all};
use http::{Method, StatusCode};
use tokio::time::Instant;

use super::{PUSHES_MAX, RESUMING_MAX, Simulation};
use crate::sim::audit::check_bytes;
use crate::sim::client::{Client, Situation, request, tag_name};
use crate::sim::dice::Dice;
use crate::sim::havoc::Fault;
use crate::sim::invariant::Invariant;
use crate::sim::invariants::{Attempt, check_resumed};
use crate::sim::ledger::{Item, Source};
use crate::sim::nemesis::victim;
use crate::sim::records::Records;

/// How many items are pulled while a node is down.
const PULLS: usize = 20;
/// When pushes must go on.
const WITH_ALL: &str = "after everything has healed";
const WITHOUT_ONE: &str = "with one node down";

impl Simulation<'_> {
    /// Kills a node, the leader as often as not: the others take pushes and serve pulls.
    pub(super) fn lose_one(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        let mut dice = Dice::new(self.plan.seed, "victim");
        let victim = victim(&mut dice, &self.machines);
        let outage = self.havoc.faults().begin(Duration::MAX, Fault::Down(victim));
        let mut others = self.plan.node_names();
        others.remove(victim);
        // At once, so that neither hides how long the other has to wait.
        let pulls = pull_anywhere(others.clone(), PULLS, dice, self.records.clone());
        let pushes = self.pushes(others.clone(), WITHOUT_ONE);
        let work = join(pulls, pushes);
        let worked = self.accompany("puller and pusher", PUSHES_MAX * 2, work, on_tick)?;
        self.havoc.faults().end(outage);
        let Some((failed, attempts)) = worked else { return Ok(()) };
        if failed > 0 {
            let evidence = format!("{failed} pulls by digest failed through each of {others:?}");
            self.chronicle.violated(Invariant::OneDown, evidence);
        }
        self.check_pushes(&attempts, WITHOUT_ONE);
        Ok(())
    }

    /// Checks that each node takes a push soon.
    pub(super) fn push_through_all(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        let pushes = self.pushes(self.plan.node_names(), WITH_ALL);
        if let Some(attempts) = self.accompany("pusher", PUSHES_MAX * 2, pushes, on_tick)? {
            self.check_pushes(&attempts, WITH_ALL);
        }
        Ok(())
    }

    /// Pushes through each of `nodes`, by clients that nobody else is.
    fn pushes(
        &mut self,
        nodes: Vec<String>,
        when: &'static str,
    ) -> impl Future<Output = Vec<Attempt>> + use<> {
        let dice = Dice::new(self.plan.seed, when);
        let first_client = self.next_client;
        self.next_client += nodes.len();
        push_through_each(nodes, first_client, PUSHES_MAX, dice, self.records.clone())
    }

    fn check_pushes(&self, attempts: &[Attempt], when: &'static str) {
        match check_resumed(attempts, RESUMING_MAX) {
            Ok(took) => self.chronicle.note(format_args!("pushes go on {when}, after {took:?}")),
            Err(late) => {
                self.chronicle.violated(Invariant::WritesResume, format_args!("{when}: {late}"));
            }
        }
    }
}

/// Pushes through each of `nodes` at the same time, and answers when each had taken a push, within
/// `patience`.
async fn push_through_each(
    nodes: Vec<String>,
    first_client: usize,
    patience: Duration,
    mut dice: Dice,
    records: Records,
) -> Vec<Attempt> {
    let started = Instant::now();
    let pushes = nodes.into_iter().enumerate().map(|(position, node)| {
        let (dice, records) = (dice.fork(), records.clone());
        let number = first_client + position;
        let mut client = Client::new(number, vec![node.clone()], 1, dice, records);
        async move {
            while started.elapsed() < patience {
                if client.push_once(&tag_name(1)).await {
                    return Attempt { node, done_after: Some(started.elapsed()) };
                }
            }
            Attempt { node, done_after: None }
        }
    });
    join_all(pushes).await
}

/// Pulls what is known to be there, by digest, `times` times, each through whichever of `nodes`
/// serves it; answers how often none did.
async fn pull_anywhere(
    nodes: Vec<String>,
    times: usize,
    mut dice: Dice,
    records: Records,
) -> usize {
    let called = records.history.call();
    let is_there = |item: &Item| {
        let may = records.ledger.may(item, called, Source::Confirmed);
        Situation::from(may) == Situation::There
    };
    let mut items: Vec<Item> = records.ledger.items().into_iter().filter(is_there).collect();
    let mut failures = 0;
    for _ in 0..times.min(items.len()) {
        let item = items.swap_remove(dice.index(items.len()));
        let mut is_served = false;
        for node in &nodes {
            let get = request(Method::GET, &item.path());
            match records.send(node, get).await {
                Ok(answer) if answer.status() == StatusCode::OK => {
                    check_bytes(&records, node, &item, answer.body());
                    is_served = true;
                    break;
                }
                Ok(_) | Err(_) => {}
            }
        }
        // A client that still works may have deleted it meanwhile.
        failures += usize::from(!is_served && is_there(&item));
    }
    failures
}
