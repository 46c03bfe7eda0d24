//! Where a story happens: the machines, what can be done to them, and what can be seen of them.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, StatusCode};
use proto::Digest;
use raft::{Member, Role, Status};
use storage::kv::MemoryKv;
use tokio::time::{Instant, sleep};

use super::{Hand, Unmet};
use crate::Image;
use crate::sim::access::{Administrator, Guest, Others, Varying};
use crate::sim::client::{Client, request};
use crate::sim::dice::Dice;
use crate::sim::havoc::{Fault, Faults, Token};
use crate::sim::machine::Machine;
use crate::sim::plan::Plan;
use crate::sim::records::Records;
use crate::sim::rot::Rot;
use crate::sim::store::Store;
use crate::sim::witness;

/// How long a story waits for something to come true.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(1);
/// The number of the first client of a story: those that push at the end have lower ones.
const FIRST_CLIENT: usize = 1000;

/// A machine of the cluster, and the node that runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(usize);

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}", self.0 + 1)
    }
}

/// Something that is wrong until it is ended.
#[derive(Clone, Copy, Debug)]
pub struct Trouble(Token);

/// What was on the disk of a node once.
pub struct DiskCopy {
    node: Node,
    rows: MemoryKv,
}

/// The stage of a story.
pub struct Stage {
    machines: Vec<Machine>,
    faults: Faults,
    store: Store,
    records: Records,
    plan: Plan,
    next_client: Rc<Cell<usize>>,
}

impl Stage {
    pub(crate) fn new(
        plan: &Plan,
        machines: Vec<Machine>,
        faults: Faults,
        store: Store,
        records: Records,
    ) -> Self {
        let next_client = Rc::new(Cell::new(FIRST_CLIENT));
        Self { machines, faults, store, records, plan: plan.clone(), next_client }
    }

    /// All nodes.
    pub fn nodes(&self) -> Vec<Node> {
        (0..self.machines.len()).map(Node).collect()
    }

    /// All nodes but one.
    pub fn others(&self, node: Node) -> Vec<Node> {
        self.nodes().into_iter().filter(|other| *other != node).collect()
    }

    /// A client that works through `node`.
    pub fn client(&self, node: Node) -> Hand {
        let number = self.next_client.replace(self.next_client.get() + 1);
        let dice = Dice::new(self.plan.seed, &format!("hand {number}"));
        let nodes = vec![node.to_string()];
        Hand::new(Client::steady(number, nodes, self.plan.tags, dice, self.records.clone()))
    }

    /// Where nobody may do what is not granted: waits until clients may, and guests have accounts.
    ///
    /// # Errors
    /// When that takes over a minute.
    pub async fn let_in(&self) -> Result<(), Unmet> {
        self.until("all accounts are made", || self.records.subjects.are_all_there()).await
    }

    /// Gives a guest the right to pull, through `node`, or takes it back; answers whether that is
    /// done.
    pub async fn grant(&self, node: Node, is_given: bool) -> bool {
        let (nodes, dice) = (vec![node.to_string()], Dice::new(self.plan.seed, "grants"));
        let records = self.records.clone();
        let mut administrator = Administrator::new(nodes, dice, records, Others::default());
        administrator.change_grant(Varying::Pull, is_given).await
    }

    /// Whether `node` lets the guest pull; `None` when it does not say.
    pub async fn lets_in(&self, node: Node) -> Option<bool> {
        let (nodes, dice) = (vec![node.to_string()], Dice::new(self.plan.seed, "guests"));
        let mut guest = Guest::new(nodes, dice, self.records.clone());
        guest.is_let_in(Varying::Pull).await
    }

    /// What `node` says of itself; `None` when it is down.
    pub fn status(&self, node: Node) -> Option<Status> {
        self.machines[node.0].status()
    }

    /// How far `node` has applied the log; 0 when it is down.
    pub fn applied(&self, node: Node) -> u64 {
        self.status(node).and_then(|status| status.applied).unwrap_or(0)
    }

    /// Whether `node` is ready, and has applied all that any node has.
    pub fn has_caught_up(&self, node: Node) -> bool {
        let furthest = self.nodes().into_iter().map(|node| self.applied(node)).max();
        let is_ready = self.status(node).is_some_and(|status| status.ready);
        is_ready && Some(self.applied(node)) == furthest
    }

    /// Who votes, as far as `node` knows: of two sets that have to agree, both.
    pub fn voters_known_to(&self, node: Node) -> Vec<Node> {
        let members = self.status(node).map(|status| status.members).unwrap_or_default();
        let named = |member: &Member| {
            let host = member.peer_address.as_str().split(':').next();
            self.machines.iter().position(|machine| Some(machine.name.as_str()) == host)
        };
        let voters = members.iter().filter(|member| member.voter);
        voters.filter_map(named).map(Node).collect()
    }

    /// Whether `node` votes, as far as it knows.
    pub fn is_voter(&self, node: Node) -> bool {
        self.voters_known_to(node).contains(&node)
    }

    /// The node that leads, in the newest term in which one does.
    ///
    /// # Errors
    /// When none leads for a minute.
    pub async fn leader(&self) -> Result<Node, Unmet> {
        self.leader_of(&self.nodes()).await
    }

    /// The one of `nodes` that leads. None of them may believe in another one, as those do that are
    /// cut off.
    ///
    /// # Errors
    /// When none leads for a minute.
    pub async fn leader_of(&self, nodes: &[Node]) -> Result<Node, Unmet> {
        let leader = || {
            let statuses = nodes.iter().filter_map(|node| Some((*node, self.status(*node)?)));
            let (node, newest) = statuses.max_by_key(|(_, status)| (status.term, leads(status)))?;
            leads(&newest).then_some(node)
        };
        self.until("one of them leads", || leader().is_some()).await?;
        leader().ok_or_else(|| Unmet::new("none of them leads"))
    }

    /// Waits until all nodes take part: a leader is there, as many vote as should, and all have
    /// caught up.
    ///
    /// # Errors
    /// When that takes over a minute.
    pub async fn formed(&self) -> Result<(), Unmet> {
        let (nodes, voters) = (self.machines.len(), self.plan.voters);
        let is_formed = |status: &Status| {
            let voting = status.members.iter().filter(|member| member.voter).count();
            status.ready && status.members.len() == nodes && voting == voters
        };
        self.until("all nodes take part", || {
            self.nodes().into_iter().all(|node| self.status(node).is_some_and(|s| is_formed(&s)))
        })
        .await
    }

    /// Waits until `holds`, a sentence of which is `what`.
    ///
    /// # Errors
    /// When that takes over a minute.
    pub async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Unmet> {
        let begun = Instant::now();
        while !holds() {
            if begun.elapsed() > PATIENCE {
                return Err(Unmet::new(format_args!("after {PATIENCE:?}, not yet: {what}")));
            }
            sleep(GLANCE).await;
        }
        Ok(())
    }

    /// How long the story goes on by now.
    pub fn elapsed(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    /// Lets time pass.
    pub async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    /// Says that `what` must hold here.
    ///
    /// # Errors
    /// When it does not.
    pub fn expect(&self, holds: bool, what: &str) -> Result<(), Unmet> {
        if holds { Ok(()) } else { Err(Unmet::new(format_args!("it does not hold that {what}"))) }
    }

    /// How often something happened so far, by the name under which the summary of a run counts it.
    pub fn count(&self, what: &str) -> u64 {
        let seen = witness::seen().get(what).copied().unwrap_or(0);
        self.records.chronicle.times(what) + seen
    }

    /// Kills a node, as a power cut would; when that ends, it is started again.
    pub fn kill(&self, node: Node) -> Trouble {
        self.begin(Fault::Down(node.0))
    }

    /// Cuts `nodes` off from all others, in both directions.
    pub fn cut_off(&self, nodes: &[Node]) -> Trouble {
        let inside: BTreeSet<usize> = nodes.iter().map(|node| node.0).collect();
        let others = (0..self.machines.len()).filter(|other| !inside.contains(other));
        let ways = others.flat_map(|other| inside.iter().flat_map(move |one| both(*one, other)));
        self.begin(Fault::Cut(ways.collect()))
    }

    /// Lets nothing pass from `from` to `to`; the other direction stays as it is.
    pub fn cut_way(&self, from: Node, to: Node) -> Trouble {
        self.begin(Fault::Cut(BTreeSet::from([(from.0, to.0)])))
    }

    /// Lets messages travel for up to `time`.
    pub fn slow_network(&self, time: Duration) -> Trouble {
        self.begin(Fault::SlowNetwork(time))
    }

    /// Lets the disk of `node` take up to `time` to sync.
    pub fn slow_disk(&self, node: Node, time: Duration) -> Trouble {
        self.begin(Fault::SlowDisk(node.0, time))
    }

    /// Leaves no space on the disk of `node`.
    pub fn fill_disk(&self, node: Node) -> Trouble {
        self.begin(Fault::FullDisk(node.0))
    }

    /// Takes the object store away from all nodes.
    pub fn take_store_away(&self) -> Trouble {
        self.begin(Fault::ObjectsAway)
    }

    /// Has the object store refuse all nodes, as when their credentials have expired.
    pub fn deny_store(&self) -> Trouble {
        self.begin(Fault::ObjectsDenied)
    }

    /// Lets one in `one_in` calls to the object store fail, some of them with their effect.
    pub fn fail_store(&self, one_in: u64) -> Trouble {
        self.begin(Fault::ObjectsFailing(one_in))
    }

    /// Lets the next process on the machine of `node` die once it has written so often to its
    /// catalog: in the middle of something, or between two steps of it.
    pub fn crash_after(&self, node: Node, writes: u64) {
        self.machines[node.0].disk.crash_after(writes);
    }

    /// Breaks the disk of `node` for the next process on its machine once that has written so often
    /// to its catalog; a further restart mends it.
    pub fn fail_disk_after(&self, node: Node, writes: u64) {
        self.machines[node.0].disk.fail_after(writes);
    }

    /// Takes all that is on the disk of `node`, which must be down.
    pub fn empty_disk(&self, node: Node) {
        self.records.chronicle.note(format_args!("the disk of {node} is empty"));
        self.records.chronicle.count("disks emptied");
        self.machines[node.0].disk.empty();
    }

    /// Copies the disk of `node`, as a snapshot of its machine does.
    pub fn copy_disk(&self, node: Node) -> DiskCopy {
        DiskCopy { node, rows: self.machines[node.0].disk.copy() }
    }

    /// Puts back what was on the disk of a node, which must be down, when it was copied.
    pub fn put_back(&self, copy: &DiskCopy) {
        let node = copy.node;
        self.records.chronicle.note(format_args!("the disk of {node} is an older copy"));
        self.records.chronicle.count("disks put back");
        self.machines[node.0].disk.put_back(&copy.rows);
    }

    /// Removes the node with this `id` from the cluster for good, through `node`.
    ///
    /// # Errors
    /// When that is refused, or not done for a minute.
    pub async fn remove(&self, node: Node, id: u64) -> Result<(), Unmet> {
        let begun = Instant::now();
        loop {
            let path = format!("/roadstead/v1/cluster/nodes/{id}");
            let remove = request(Method::DELETE, &path);
            self.records.removals.ask(id);
            match self.records.send(&node.to_string(), remove).await.map(|answer| answer.status()) {
                Ok(StatusCode::NO_CONTENT | StatusCode::ACCEPTED) => {
                    self.records.removals.acknowledged(id);
                    return Ok(());
                }
                Ok(StatusCode::SERVICE_UNAVAILABLE) | Err(_) if begun.elapsed() < PATIENCE => {
                    sleep(GLANCE).await;
                }
                answer => {
                    return Err(Unmet::new(format_args!("node {id} is not removed: {answer:?}")));
                }
            }
        }
    }

    /// Ends what was begun.
    pub fn end(&self, trouble: Trouble) {
        self.faults.end(trouble.0);
    }

    /// Leaves only the first `left` bytes of each object in the store that has a blob of `image`
    /// and is longer, behind the backs of the nodes: the blob is absent.
    ///
    /// # Errors
    /// When the store has none.
    pub async fn shorten_objects_of(&self, image: u64, left: usize) -> Result<(), Unmet> {
        let rot = Rot::Shorter(left);
        for digest in self.damage(image, left, rot).await? {
            self.records.ledger.damaged(&digest, rot);
        }
        Ok(())
    }

    /// Changes the byte at `at` of each object in the store that has a blob of `image` and is long
    /// enough, behind the backs of the nodes: the blob is absent once a node notices.
    ///
    /// # Errors
    /// When the store has none.
    pub async fn change_objects_of(&self, image: u64, at: usize) -> Result<(), Unmet> {
        let rot = Rot::Changed(at);
        for digest in self.damage(image, at, rot).await? {
            self.records.ledger.damaged(&digest, rot);
        }
        Ok(())
    }

    /// Has all objects rot that have a blob of `image` of more than `least` bytes; answers which
    /// blobs those are.
    async fn damage(&self, image: u64, least: usize, rot: Rot) -> Result<Vec<Digest>, Unmet> {
        let image = Image::numbered(image);
        let harmed = image.blobs().iter().filter(|(_, content)| content.len() > least);
        let (digests, contents): (Vec<_>, Vec<_>) = harmed.cloned().unzip();
        let damaged = self.store.damage(&contents, rot).await;
        self.expect(damaged > 0, "the store has objects of the image")?;
        Ok(digests)
    }

    fn begin(&self, fault: Fault) -> Trouble {
        self.records.chronicle.note(format_args!("the story begins {fault:?}"));
        Trouble(self.faults.begin(Duration::MAX, fault))
    }
}

fn leads(status: &Status) -> bool {
    status.role == Role::Leader
}

fn both(one: usize, other: usize) -> [(usize, usize); 2] {
    [(one, other), (other, one)]
}
