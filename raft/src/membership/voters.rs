//! Who should vote: what the leader changes next, from what it knows of the nodes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use proto::NodeId;
use tokio::time::Instant;

use crate::types::Membership;

/// How many entries a node may be behind the leader to have caught up, however quickly they come.
const LAG_MAX: u64 = 100;

/// How far a leader's log had come when it looked lately.
#[derive(Debug, Default)]
pub(crate) struct Pace(VecDeque<(Instant, u64)>);

impl Pace {
    /// Notes that at `now` the log ends with entry `last`. What is older than `round` is kept only
    /// if nothing else is.
    pub(crate) fn note(&mut self, now: Instant, last: u64, round: Duration) {
        self.0.push_back((now, last));
        while self.0.get(1).is_some_and(|(when, _)| now.duration_since(*when) >= round) {
            self.0.pop_front();
        }
    }

    /// Notes that this node does not lead.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// The entry that a node must have to have caught up with a log that ends at `last`: a few
    /// before the last one or, if that is earlier, the one that was the last a `round` ago. Entries
    /// travel one batch after the other, so that under load many are always on their way to a node
    /// that is far.
    pub(crate) fn required(&self, now: Instant, last: u64, round: Duration) -> u64 {
        let nearly = last.saturating_sub(LAG_MAX);
        let before = self.0.front().filter(|(when, _)| now.duration_since(*when) >= round);
        before.map_or(nearly, |(_, before)| nearly.min(*before))
    }
}

/// What a leader knows when it looks whether the membership is as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    /// The leader itself.
    pub(crate) own: NodeId,
    /// The membership, perhaps a joint one that a former leader left half done.
    pub(crate) membership: Membership,
    /// How many voters there shall be.
    pub(crate) wanted: usize,
    /// The nodes that answer, with the leader.
    pub(crate) alive: BTreeSet<NodeId>,
    /// Those of them whose log is nearly as long as the leader's.
    pub(crate) caught_up: BTreeSet<NodeId>,
    /// The nodes that have not answered for so long that others should take their places.
    pub(crate) dead: BTreeSet<NodeId>,
    /// The nodes that were removed.
    pub(crate) removed: BTreeSet<NodeId>,
}

/// One change to the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// These vote from now on; who no longer does is a learner.
    Voters(BTreeSet<NodeId>),
    /// These learners are no members any more.
    Forget(BTreeSet<NodeId>),
    /// The leader itself is removed, or has no vote any more: another one has to lead, and to see
    /// to it.
    StepDown,
}

impl Outlook {
    /// The next change, if the membership is not as it should be. A change that was left half done
    /// is finished first, whichever nodes answer. No change of the voters is begun that would leave
    /// the nodes which answer without a quorum; and none, beside removals, on which the voters of
    /// now cannot agree.
    pub(crate) fn next(&self) -> Option<Change> {
        if let [_, last] = self.membership.get_joint_config().as_slice() {
            return Some(Change::Voters(last.clone()));
        }
        if self.leads_for_others() {
            return Some(Change::StepDown);
        }
        if let Some(removal) = self.removal() {
            return Some(removal);
        }
        let learners = self.membership.learner_ids();
        let forgotten: BTreeSet<NodeId> =
            learners.filter(|node| self.removed.contains(node)).collect();
        if !forgotten.is_empty() {
            return Some(Change::Forget(forgotten));
        }
        self.demotion().or_else(|| self.replacement()).or_else(|| self.promotion())
    }

    /// Whether the leader has no vote, and a voter can take its place. Such a leader has finished a
    /// change that a former leader began. It would never be promoted again: nodes have caught up by
    /// what they answer to the leader, and the leader does not answer itself.
    fn leads_for_others(&self) -> bool {
        let could_lead =
            |voter: NodeId| self.caught_up.contains(&voter) && !self.removed.contains(&voter);
        self.voters().all(|voter| voter != self.own) && self.voters().any(could_lead)
    }

    /// Takes the vote of one removed node: first of a silent one, since that costs nothing, and
    /// last of the leader. A removed node without which the others would have no quorum keeps its
    /// vote for now, and holds up no other change.
    fn removal(&self) -> Option<Change> {
        let mut removed: Vec<NodeId> =
            self.voters().filter(|node| self.removed.contains(node)).collect();
        removed.sort_by_key(|node| (*node == self.own, self.alive.contains(node)));
        removed.into_iter().find_map(|node| {
            let voters = self.without(node);
            if !self.has_quorum(&voters) {
                return None;
            }
            Some(if node == self.own { Change::StepDown } else { Change::Voters(voters) })
        })
    }

    /// Whether those that stay could go on if `node` were removed; else why not, as a sentence.
    pub(crate) fn check_removal(&self, node: NodeId) -> Result<(), String> {
        if !self.voters().any(|voter| voter == node) {
            return Ok(());
        }
        let voters = self.without(node);
        if voters.is_empty() || self.has_quorum(&voters) {
            return Ok(());
        }
        let silent: Vec<String> =
            voters.difference(&self.alive).map(|voter| format!("node {voter}")).collect();
        Err(format!(
            "without node {node} the cluster would lose its quorum: of the {} voters that stay, \
             {} must answer, and {} does not; start or remove that first",
            voters.len(),
            voters.len() / 2 + 1,
            silent.join(", "),
        ))
    }

    fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.membership.voter_ids()
    }

    /// The learners that could vote.
    fn ready(&self) -> impl Iterator<Item = NodeId> {
        let learners = self.membership.learner_ids();
        learners.filter(|node| self.caught_up.contains(node) && !self.removed.contains(node))
    }

    /// The voters without `node`, and with a learner in its place if one is wanted and ready.
    fn without(&self, node: NodeId) -> BTreeSet<NodeId> {
        let mut voters: BTreeSet<NodeId> = self.voters().filter(|voter| *voter != node).collect();
        if voters.len() < self.wanted {
            voters.extend(self.ready().next());
        }
        voters
    }

    /// Whether the voters that answer are enough to agree, if these are all voters.
    fn has_quorum(&self, voters: &BTreeSet<NodeId>) -> bool {
        voters.intersection(&self.alive).count() > voters.len() / 2
    }

    /// Takes one vote when there are more than wanted: of a silent node first, then of one that
    /// lags, then of the youngest. Never of the leader.
    fn demotion(&self) -> Option<Change> {
        let voters: BTreeSet<NodeId> = self.voters().collect();
        if voters.len() <= self.wanted {
            return None;
        }
        let others = voters.iter().copied().filter(|voter| *voter != self.own);
        let (.., demoted) = others
            .map(|node| (!self.alive.contains(&node), !self.caught_up.contains(&node), node))
            .max()?;
        let staying = self.without(demoted);
        let can_agree = self.has_quorum(&voters) && self.has_quorum(&staying);
        can_agree.then_some(Change::Voters(staying))
    }

    /// A learner in the place of one dead voter. The dead one stays a learner: it may come back.
    fn replacement(&self) -> Option<Change> {
        self.ready().next()?;
        let dead = self.voters().find(|voter| self.dead.contains(voter) && *voter != self.own)?;
        let voters = self.without(dead);
        let can_agree = self.has_quorum(&self.voters().collect()) && self.has_quorum(&voters);
        can_agree.then_some(Change::Voters(voters))
    }

    /// As many learners among the voters as are wanted, and so that the number of voters stays odd,
    /// since an even number survives no more failures than the odd one below it.
    fn promotion(&self) -> Option<Change> {
        let voters: BTreeSet<NodeId> = self.voters().collect();
        let mut number = self.wanted.saturating_sub(voters.len()).min(self.ready().count());
        if (voters.len() + number).is_multiple_of(2) {
            number = number.saturating_sub(1);
        }
        let promoted = voters.iter().copied().chain(self.ready().take(number)).collect();
        let can_agree = self.has_quorum(&voters) && self.has_quorum(&promoted);
        (number > 0 && can_agree).then_some(Change::Voters(promoted))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::types::PeerNode;

    /// A cluster led by node 1, in which all live and have caught up.
    fn outlook(configs: &[&[NodeId]], learners: &[NodeId]) -> Outlook {
        let configs: Vec<BTreeSet<NodeId>> =
            configs.iter().map(|ids| ids.iter().copied().collect()).collect();
        let all: BTreeSet<NodeId> = configs.iter().flatten().chain(learners).copied().collect();
        let nodes: BTreeMap<NodeId, PeerNode> =
            all.iter().map(|node| (*node, PeerNode::default())).collect();
        Outlook {
            own: 1,
            membership: Membership::new(configs, nodes).unwrap(),
            wanted: 3,
            alive: all.clone(),
            caught_up: all,
            dead: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }

    #[test]
    fn a_node_has_caught_up_that_has_what_the_leader_had_a_round_ago_or_lacks_only_a_few() {
        let round = Duration::from_millis(1000);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut pace = Pace::default();
        assert_eq!(pace.required(at(0), 50, round), 0);
        assert_eq!(pace.required(at(0), 5_000, round), 4_900, "it has not led for a round");
        for (millis, last) in [(0, 1_000), (500, 2_000), (1_000, 3_000)] {
            pace.note(at(millis), last, round);
        }
        assert_eq!(pace.required(at(999), 3_000, round), 2_900);
        assert_eq!(pace.required(at(1_100), 3_200, round), 1_000);
        pace.note(at(1_500), 4_000, round);
        assert_eq!(pace.required(at(1_500), 4_000, round), 2_000);
        assert_eq!(pace.required(at(1_500), 2_050, round), 1_950, "few are on their way");
        pace.note(at(9_000), 4_000, round);
        assert_eq!(pace.required(at(9_000), 4_000, round), 3_900);
        pace.forget();
        assert_eq!(pace.required(at(9_000), 4_000, round), 3_900);
    }

    fn voters<const N: usize>(nodes: [NodeId; N]) -> Option<Change> {
        Some(Change::Voters(nodes.into()))
    }

    /// The outlook in which `nodes` have been silent for long.
    fn with_dead(mut outlook: Outlook, nodes: &[NodeId]) -> Outlook {
        for node in nodes {
            outlook.alive.remove(node);
            outlook.caught_up.remove(node);
            outlook.dead.insert(*node);
        }
        outlook
    }

    #[test]
    fn learners_are_promoted_when_they_keep_the_number_of_voters_odd() {
        assert_eq!(outlook(&[&[1]], &[2]).next(), None);
        assert_eq!(outlook(&[&[1]], &[2, 3]).next(), voters([1, 2, 3]));
        assert_eq!(with_dead(outlook(&[&[1]], &[2, 3]), &[2]).next(), None);
        assert_eq!(outlook(&[&[1, 2, 3]], &[4, 5]).next(), None);
        assert_eq!(outlook(&[&[1, 2]], &[3, 4]).next(), voters([1, 2, 3]));
        let five = Outlook { wanted: 5, ..outlook(&[&[1]], &[2, 3, 4, 5]) };
        assert_eq!(five.next(), voters([1, 2, 3, 4, 5]));
        let five = Outlook { wanted: 5, ..outlook(&[&[1, 2, 3]], &[4, 5]) };
        assert_eq!(with_dead(five, &[2, 3]).next(), None, "three of the five would not answer");
    }

    #[test]
    fn a_change_that_was_left_half_done_is_finished_first() {
        let half_done = outlook(&[&[1, 2, 3], &[1, 2]], &[4]);
        assert_eq!(half_done.next(), voters([1, 2]));
    }

    #[test]
    fn a_leader_that_has_no_vote_any_more_hands_over_to_one_that_has() {
        let leading = |configs: &[&[NodeId]]| Outlook { own: 3, ..outlook(configs, &[3]) };
        assert_eq!(leading(&[&[1, 2, 3], &[1, 2, 4]]).next(), voters([1, 2, 4]));
        let learner = leading(&[&[1, 2, 4]]);
        assert_eq!(learner.next(), Some(Change::StepDown));
        let mut last = with_dead(learner.clone(), &[1]);
        last.caught_up.remove(&2);
        assert_eq!(last.next(), Some(Change::StepDown), "to node 4");
        last.removed.insert(4);
        assert_ne!(last.next(), Some(Change::StepDown), "nobody could take its place");
        let replaced = with_dead(leading(&[&[1, 2]]), &[1, 2]);
        assert_eq!(replaced.next(), None);
    }

    #[test]
    fn a_dead_voter_is_replaced_by_a_learner_that_has_caught_up() {
        assert_eq!(with_dead(outlook(&[&[1, 2, 3]], &[4, 5]), &[3]).next(), voters([1, 2, 4]));
        assert_eq!(with_dead(outlook(&[&[1, 2, 3]], &[4, 5]), &[3, 4]).next(), voters([1, 2, 5]));
        assert_eq!(with_dead(outlook(&[&[1, 2, 3]], &[]), &[3]).next(), None);
        let mut lagging = with_dead(outlook(&[&[1, 2, 3]], &[4]), &[3]);
        lagging.caught_up.remove(&4);
        assert_eq!(lagging.next(), None);
        // The leader has no quorum: it is on the wrong side of a partition.
        assert_eq!(with_dead(outlook(&[&[1, 2, 3]], &[4]), &[2, 3]).next(), None);
        // Two of five: one after the other.
        let five = Outlook { wanted: 5, ..outlook(&[&[1, 2, 3, 4, 5]], &[6, 7]) };
        assert_eq!(with_dead(five, &[4, 5]).next(), voters([1, 2, 3, 5, 6]));
    }

    #[test]
    fn voters_beyond_those_wanted_become_learners_one_at_a_time() {
        let five = outlook(&[&[1, 2, 3, 4, 5]], &[]);
        assert_eq!(five.next(), voters([1, 2, 3, 4]));
        assert_eq!(outlook(&[&[1, 2, 3, 4]], &[5]).next(), voters([1, 2, 3]));
        assert_eq!(outlook(&[&[1, 2, 3]], &[4, 5]).next(), None);
        let one = Outlook { wanted: 1, own: 3, ..outlook(&[&[1, 2, 3]], &[]) };
        assert_eq!(one.next(), voters([1, 3]), "the leader stays");

        // A silent one goes before one that answers, and no learner takes its place.
        assert_eq!(with_dead(outlook(&[&[1, 2, 3, 4]], &[5]), &[2]).next(), voters([1, 3, 4]));
        let mut lagging = outlook(&[&[1, 2, 3, 4]], &[]);
        lagging.caught_up.remove(&3);
        assert_eq!(lagging.next(), voters([1, 2, 4]));

        // Not without a quorum of those that vote now, nor of those that would vote then.
        assert_eq!(with_dead(outlook(&[&[1, 2, 3, 4]], &[]), &[3, 4]).next(), None);
        let one = Outlook { wanted: 1, ..with_dead(outlook(&[&[1, 2, 3]], &[]), &[2, 3]) };
        assert_eq!(one.next(), None);
    }

    proptest! {
        /// Whichever nodes answer, they can agree before and after, and none of them gives up its
        /// vote before a silent one.
        #[test]
        fn surplus_voters_are_given_up_safely(
            ids in prop::collection::btree_set(1..12_u64, 1..9),
            silent in prop::collection::btree_set(1..12_u64, 0..9),
            wanted in 1..6_usize,
        ) {
            let ids: Vec<NodeId> = ids.into_iter().collect();
            let own = ids[0];
            let mut silent: Vec<NodeId> = silent.into_iter().collect();
            silent.retain(|node| *node != own && ids.contains(node));
            let outlook = with_dead(outlook(&[&ids], &[]), &silent);
            let outlook = Outlook { own, wanted, ..outlook };
            let Some(Change::Voters(staying)) = outlook.demotion() else {
                return Ok(());
            };
            let before: BTreeSet<NodeId> = ids.iter().copied().collect();
            let gone: Vec<NodeId> = before.difference(&staying).copied().collect();
            prop_assert_eq!(gone.len(), 1);
            prop_assert!(staying.is_subset(&before) && staying.contains(&own));
            prop_assert!(staying.len() >= wanted);
            prop_assert!(outlook.has_quorum(&before) && outlook.has_quorum(&staying));
            prop_assert!(silent.is_empty() || silent.contains(&gone[0]));
        }
    }

    #[test]
    fn a_removed_node_stops_to_vote_and_is_forgotten_then() {
        let mut removed = outlook(&[&[1, 2, 3]], &[]);
        removed.removed = BTreeSet::from([3]);
        assert_eq!(removed.next(), voters([1, 2]));
        let mut replaced = outlook(&[&[1, 2, 3]], &[4]);
        replaced.removed = BTreeSet::from([3]);
        assert_eq!(replaced.next(), voters([1, 2, 4]));
        let mut learner = outlook(&[&[1, 2]], &[3]);
        learner.removed = BTreeSet::from([3]);
        assert_eq!(learner.next(), Some(Change::Forget(BTreeSet::from([3]))));
        let mut leader = outlook(&[&[1, 2, 3]], &[]);
        leader.removed = BTreeSet::from([1]);
        assert_eq!(leader.next(), Some(Change::StepDown));
    }

    #[test]
    fn a_removal_that_has_to_wait_holds_nothing_else_up() {
        // Without node 2 the others could not agree; node 4 is dead, and can go at once.
        let mut stuck = with_dead(outlook(&[&[1, 2, 3, 4, 5]], &[]), &[4, 5]);
        stuck.removed = BTreeSet::from([2, 4]);
        assert!(!stuck.has_quorum(&stuck.without(2)));
        assert_eq!(stuck.next(), voters([1, 2, 3, 5]));
        // Nor can a learner stay that was removed.
        let mut stuck = with_dead(outlook(&[&[1, 2, 3]], &[4]), &[2]);
        stuck.caught_up.remove(&4);
        stuck.removed = BTreeSet::from([3, 4]);
        assert_eq!(stuck.next(), Some(Change::Forget(BTreeSet::from([4]))));
        // The leader goes last: it carries out the other removals.
        let mut two = outlook(&[&[1, 2, 3]], &[]);
        two.removed = BTreeSet::from([1, 3]);
        assert_eq!(two.next(), voters([1, 2]));
    }

    #[test]
    fn no_removal_may_lose_the_quorum() {
        let three = outlook(&[&[1, 2, 3]], &[]);
        assert_eq!(three.check_removal(3), Ok(()));
        let with_dead_two = with_dead(three.clone(), &[2]);
        assert_eq!(with_dead_two.check_removal(2), Ok(()), "the dead one may go");
        let refused = with_dead_two.check_removal(3).unwrap_err();
        assert!(refused.contains("node 2 does not"), "{refused}");
        let mut decided = with_dead_two;
        decided.removed = BTreeSet::from([3]);
        assert_eq!(decided.next(), None, "what died since the decision comes back first");
        let with_learner = with_dead(outlook(&[&[1, 2, 3]], &[4]), &[2]);
        assert_eq!(with_learner.check_removal(3), Ok(()), "a learner takes its place");
        assert_eq!(with_learner.check_removal(4), Ok(()), "a learner has no vote to lose");
    }
}
