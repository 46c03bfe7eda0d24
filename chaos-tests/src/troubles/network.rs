//! Networks that lose, delay, double and damage packets, or are cut.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::{Instant, sleep_until};

use super::{Ordeal, ROUND, Troubles};
use crate::ProcessCluster;
use crate::network::{Fault, Network, Ports, What};
use crate::sim::Dice;

/// Clients that work at the same time; many of them wait for what does not arrive.
const CLIENTS: usize = 12;
/// How long nodes may take until all are ready when the network is whole, and clients go on.
const HEALING: Duration = Duration::from_secs(15);

/// Has `faults` things go wrong with `network`, which the nodes of `cluster` are in: what, when and
/// for how long by chance of `seed`. Each ends at its own time, and ends no other.
///
/// # Errors
/// When anything does not hold that must, or the cluster does not go on.
pub async fn trouble_network(
    cluster: &mut ProcessCluster,
    network: &Network,
    faults: usize,
    seed: u64,
) -> Result<Troubles> {
    let started = std::time::Instant::now();
    let mut ordeal = Ordeal::new(cluster, Dice::new(seed, "network"), CLIENTS);
    for round in 0.. {
        let until = faults.min(ordeal.troubles.faults + ROUND);
        if ordeal.troubles.faults >= until {
            break;
        }
        let played = ordeal.play(round, async |ordeal: &mut Ordeal<'_>| {
            ordeal.something_happens(10).await?;
            let mut under_way = UnderWay::new(network);
            while ordeal.troubles.faults < until {
                ordeal.troubles.faults += 1;
                under_way.begin(&mut ordeal.dice, ordeal.cluster.nodes().len());
                // When the next one begins is drawn, too: nothing need happen while there are some.
                under_way.pass(Instant::now() + ordeal.dice.millis(100..=1_500)).await;
            }
            under_way.pass_all().await;
            ordeal.cluster.until_ready_within(HEALING).await?;
            ordeal.something_happens(10).await
        });
        played.await.with_context(|| format!("seed {seed}"))?;
    }
    ordeal.end(started).await.with_context(|| format!("seed {seed}"))
}

/// What is wrong now, and until when; a trouble may be several faults.
struct UnderWay<'a> {
    network: &'a Network,
    troubles: Vec<(Instant, Vec<u64>)>,
}

impl<'a> UnderWay<'a> {
    const fn new(network: &'a Network) -> Self {
        Self { network, troubles: Vec::new() }
    }

    fn begin(&mut self, dice: &mut Dice, nodes: usize) {
        let most = if dice.one_in(5) { 8_000 } else { 3_000 };
        let end = Instant::now() + dice.millis(200..=most);
        let faults = draw(dice, nodes);
        tracing::info!(?faults, "the network is bad");
        let numbers = faults.into_iter().map(|fault| self.network.begin(fault)).collect();
        self.troubles.push((end, numbers));
    }

    /// Lets time pass until `time`, and ends what ends meanwhile.
    async fn pass(&mut self, time: Instant) {
        self.troubles.sort_by_key(|(end, _)| *end);
        while let Some((end, _)) = self.troubles.first()
            && *end <= time
        {
            sleep_until(*end).await;
            for number in self.troubles.remove(0).1 {
                self.network.end(number);
            }
        }
        sleep_until(time).await;
    }

    /// Lets time pass until all has ended.
    async fn pass_all(&mut self) {
        let last = self.troubles.iter().map(|(end, _)| *end).max();
        self.pass(last.unwrap_or_else(Instant::now)).await;
    }
}

/// Something that goes wrong in a network of so many nodes.
fn draw(dice: &mut Dice, nodes: usize) -> Vec<Fault> {
    let node = dice.index(nodes);
    let (one, next) = (Ports::one(1 + node), Ports::one(1 + (node + 1) % nodes));
    let kind = dice.number(0..=9);
    if let Some(what) = drawn_of_packets(dice, kind) {
        // On all lines, or on those of one node.
        return if dice.one_in(2) {
            vec![Fault { from: Ports::ALL, to: Ports::ALL, what }]
        } else {
            let (from, to) = (one, Ports::ALL);
            vec![Fault { from, to, what: what.clone() }, Fault { from: to, to: from, what }]
        };
    }
    let peers = one.and(Ports::CLIENTS).others();
    match kind {
        // From the other nodes, but not from its clients.
        0 => vec![Fault::cut(one, peers), Fault::cut(peers, one)],
        // From everything: its cable is pulled.
        1 => vec![Fault::cut(one, one.others()), Fault::cut(one.others(), one)],
        // It hears the other nodes, which do not hear it; or the other way round.
        2 => vec![Fault::cut(one, peers)],
        3 => vec![Fault::cut(peers, one)],
        // From one other, while the third reaches both.
        _ => vec![Fault::cut(one, next), Fault::cut(next, one)],
    }
}

/// What befalls single packets, for five of ten kinds of trouble.
fn drawn_of_packets(dice: &mut Dice, kind: u64) -> Option<What> {
    Some(match kind {
        5 => What::Lost(dice.number(10..=300)),
        6 => {
            let least = dice.number(1..=100);
            What::Late(1000, least..=least + dice.number(1..=100))
        }
        // Some are overtaken by all that come after them.
        7 => What::Late(dice.number(10..=200), 50..=1_000),
        8 => What::Doubled(dice.number(50..=1000)),
        9 => What::Damaged(dice.number(10..=200)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_goes_wrong_and_clients_are_never_cut_off_from_all_nodes() {
        let mut dice = Dice::new(1, "network");
        let mut kinds = [0; 5];
        for _ in 0..500 {
            let faults = draw(&mut dice, 3);
            for fault in &faults {
                let kind = match fault.what {
                    What::Lost(1000) => 0,
                    What::Lost(_) => 1,
                    What::Late(..) => 2,
                    What::Doubled(_) => 3,
                    What::Damaged(_) => 4,
                };
                kinds[kind] += 1;
            }
            let is_cut = |node: usize| {
                let from_clients =
                    |fault: &&Fault| fault.from.contains(0) && fault.to.contains(node);
                faults
                    .iter()
                    .filter(from_clients)
                    .any(|fault| matches!(fault.what, What::Lost(1000)))
            };
            assert!((1..=3).filter(|node| is_cut(*node)).count() <= 1, "{faults:?}");
        }
        assert!(kinds.iter().all(|count| *count >= 20), "{kinds:?}");
    }
}
