//! Who is in a simulated world beside the nodes.

use turmoil::Sim;

use super::access::{Administrator, Guest, Others, Stranger};
use super::client::{Client, client_name};
use super::dice::Dice;
use super::machine::Machine;
use super::operator::Operator;
use super::plan::Plan;
use super::records::Records;

/// Lets everybody in of whom `plan` tells, each for as long as there is work.
pub(super) fn let_in(sim: &mut Sim<'_>, plan: &Plan, machines: &[Machine], records: &Records) {
    let (nodes, working, is_closed) = (plan.node_names(), plan.working, plan.is_closed);
    let others = Others::default();
    if plan.removes {
        let (dice, clerk) = (Dice::new(plan.seed, "operator"), others.clerk.clone());
        let operator = Operator::new(machines.to_vec(), dice, records.clone(), clerk);
        come(sim, "operator", operator.work(working));
    }
    for number in 0..plan.clients {
        let name = client_name(number);
        let dice = Dice::new(plan.seed, &name);
        let client = Client::new(number, nodes.clone(), plan.tags, dice, records.clone());
        let client = if plan.is_large { client.with_large_blobs() } else { client };
        come(sim, &name, client.work(is_closed, working));
    }
    if is_closed {
        let who = |name| (nodes.clone(), Dice::new(plan.seed, name), records.clone());
        let (nodes, dice, records) = who("administrator");
        let administrator = Administrator::new(nodes, dice, records, others.clone());
        come(sim, "administrator", administrator.work(working));
        let (nodes, dice, records) = who("guest");
        come(sim, "guest", Guest::new(nodes, dice, records).work(working));
        let (nodes, dice, records) = who("stranger");
        let stranger = Stranger::new(nodes, dice, records, others.stranger);
        come(sim, "stranger", stranger.work(working));
    }
}

fn come(sim: &mut Sim<'_>, name: &str, work: impl Future<Output = ()> + 'static) {
    sim.client(name, async move {
        work.await;
        Ok(())
    });
}
