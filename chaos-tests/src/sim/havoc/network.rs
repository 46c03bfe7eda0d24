//! The simulated network as it is told to be: turmoil's own chance of loss would heal what is cut.

use std::time::Duration;

use turmoil::Sim;

use super::faults::Conditions;

/// One in how many messages breaks its link for a moment, while messages get lost.
const LOSS: f64 = 0.01;

/// The links between the machines.
pub(super) struct Network {
    names: Vec<String>,
    /// The longest that a message travels while nothing is wrong.
    latency: Duration,
}

/// What a link between two machines is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Link {
    /// Whether the way from the first to the second machine is cut, and the way back.
    cut: (bool, bool),
    /// Whether everything is held back in both directions.
    is_held: bool,
    /// How often it loses a message.
    loss: f64,
}

impl Network {
    pub(super) fn new(names: Vec<String>, latency: Duration) -> Self {
        Self { names, latency }
    }

    /// Makes the network as `wanted` says, where that differs from `before`.
    pub(super) fn apply(&self, sim: &mut Sim<'_>, before: &Conditions, wanted: &Conditions) {
        for one in 0..self.names.len() {
            for other in one + 1..self.names.len() {
                let link = Link::of(wanted, one, other);
                if link != Link::of(before, one, other) {
                    link.apply(sim, &self.names[one], &self.names[other]);
                }
            }
        }
        // Of the links to clients, which are never cut.
        sim.set_fail_rate(loss(wanted));
        sim.set_max_message_latency(wanted.latency.unwrap_or(self.latency));
    }
}

fn loss(conditions: &Conditions) -> f64 {
    if conditions.is_lossy { LOSS } else { 0.0 }
}

impl Link {
    /// A loss makes turmoil take a link for broken, and repair it with the next message, whatever
    /// was cut by then: what is cut loses nothing.
    fn of(conditions: &Conditions, one: usize, other: usize) -> Self {
        let cuts = &conditions.cuts;
        let cut = (cuts.contains(&(one, other)), cuts.contains(&(other, one)));
        let held = &conditions.held;
        // What is cut does not arrive later.
        let is_held =
            cut == (false, false) && (held.contains(&(one, other)) || held.contains(&(other, one)));
        let loss = if cut == (false, false) && !is_held { loss(conditions) } else { 0.0 };
        Self { cut, is_held, loss }
    }

    fn apply(self, sim: &mut Sim<'_>, one: &str, other: &str) {
        sim.set_link_fail_rate(one, other, self.loss);
        // Also what a loss has broken: its repair would undo the cut. What was held comes now.
        sim.release(one, other);
        if self.is_held {
            sim.hold(one, other);
        }
        if self.cut.0 {
            sim.partition_oneway(one, other);
        }
        if self.cut.1 {
            sim.partition_oneway(other, one);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::cell::Cell;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;
    use std::rc::Rc;

    use turmoil::net::UdpSocket;

    use super::*;

    const LATENCY: Duration = Duration::from_millis(2);

    const PORT: u16 = 1;

    /// Has each of two machines send to the other all the time, and counts what arrives.
    fn chatter<'a>(sim: &mut Sim<'a>) -> [Rc<Cell<u32>>; 2] {
        let counts: [Rc<Cell<u32>>; 2] = Default::default();
        for (own, other, count) in [("a", "b", &counts[0]), ("b", "a", &counts[1])] {
            let count = Rc::clone(count);
            sim.client(own, async move {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
                let mut buffer = [0; 8];
                loop {
                    let _ = socket.send_to(b"hello", (other, PORT)).await;
                    let pause = Duration::from_millis(1);
                    if let Ok(heard) =
                        tokio::time::timeout(pause, socket.recv_from(&mut buffer)).await
                    {
                        heard?;
                        count.set(count.get() + 1);
                    }
                }
            });
        }
        counts
    }

    fn run(sim: &mut Sim<'_>, steps: u32) {
        for _ in 0..steps {
            sim.step().unwrap();
        }
    }

    #[test]
    fn a_cut_stays_cut_while_messages_get_lost() {
        let mut sim = turmoil::Builder::new()
            .rng_seed(1)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .build();
        let [heard_by_a, heard_by_b] = chatter(&mut sim);
        let network = Network::new(vec!["a".to_owned(), "b".to_owned()], LATENCY);
        let sound = Conditions::default();
        let lossy = Conditions { is_lossy: true, ..sound.clone() };
        run(&mut sim, 10);
        network.apply(&mut sim, &sound, &lossy);
        run(&mut sim, 3000);
        assert!(heard_by_b.get() > 0);

        let cut = Conditions { cuts: BTreeSet::from([(0, 1)]), ..lossy.clone() };
        network.apply(&mut sim, &lossy, &cut);
        let before = (heard_by_a.get(), heard_by_b.get());
        run(&mut sim, 5000);
        assert_eq!(heard_by_b.get(), before.1, "nothing passes");
        assert!(heard_by_a.get() > before.0, "the other direction is whole");

        network.apply(&mut sim, &cut, &lossy);
        run(&mut sim, 1000);
        assert!(heard_by_b.get() > before.1);
    }

    #[test]
    fn what_is_held_back_comes_when_that_ends() {
        let mut sim = turmoil::Builder::new()
            .rng_seed(1)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .build();
        let [heard_by_a, _] = chatter(&mut sim);
        let network = Network::new(vec!["a".to_owned(), "b".to_owned()], LATENCY);
        let sound = Conditions::default();
        run(&mut sim, 10);
        let held = Conditions { held: BTreeSet::from([(0, 1)]), ..sound.clone() };
        network.apply(&mut sim, &sound, &held);
        run(&mut sim, 5);
        let before = heard_by_a.get();
        run(&mut sim, 50);
        assert_eq!(heard_by_a.get(), before, "nothing comes");
        network.apply(&mut sim, &held, &sound);
        run(&mut sim, 10);
        assert!(heard_by_a.get() > before + 30, "what was sent meanwhile comes at once");
    }
}
