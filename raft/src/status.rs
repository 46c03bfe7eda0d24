//! What a node knows of its cluster.

use std::fmt;
use std::str::FromStr;

use proto::{ClusterId, NodeId, PeerAddress};
use serde::{Deserialize, Serialize};

/// The part that a node plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders all changes.
    Leader,
    /// Votes, and follows the leader.
    Follower,
    /// Stands for election.
    Candidate,
    /// Follows the leader without a vote.
    Learner,
    /// Has stopped.
    Stopped,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
        })
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        [Self::Leader, Self::Follower, Self::Candidate, Self::Learner, Self::Stopped]
            .into_iter()
            .find(|role| role.to_string() == name)
            .ok_or(())
    }
}

/// What became of the leadership when a node stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// The node did not lead.
    NotNeeded,
    /// This node leads now.
    To(NodeId),
    /// There is no other voter, or all of them are stopping or do not answer.
    NobodyStays,
    /// No other node led in time: an election follows.
    TimedOut,
}

/// How far a removal has come that is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The node has no vote any more: nothing is needed of it.
    CarriedOut,
    /// Its vote may be needed until those that stay have agreed on that.
    Decided,
}

/// What this node knows, without asking another.
#[derive(Clone, Debug)]
pub struct Status {
    /// The cluster.
    pub cluster: ClusterId,
    /// This node.
    pub node: NodeId,
    /// The part it plays.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader it knows; none when it has not heard of it lately or, where it leads itself, of
    /// a majority.
    pub leader: Option<NodeId>,
    /// The index of the last entry in its log.
    pub last_log: Option<u64>,
    /// The index up to which its catalog has applied the log.
    pub applied: Option<u64>,
    /// Whether it has caught up since it started, and keeps up: only then it is ready to serve.
    pub ready: bool,
    /// All nodes of the cluster, by id.
    pub members: Vec<Member>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub node: NodeId,
    /// Where its peers reach it.
    pub peer_address: PeerAddress,
    /// Whether it votes.
    pub voter: bool,
}

/// What a node said of itself when it was asked, or that it did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its id.
    pub node: NodeId,
    /// Where its peers reach it.
    pub peer_address: String,
    /// Whether it votes.
    pub voter: bool,
    /// Whether it answered.
    pub reachable: bool,
    /// The part it plays, when it answered.
    pub role: Option<Role>,
    /// Its term, when it answered.
    pub term: Option<u64>,
    /// The index up to which it has applied the log, when it answered.
    pub applied: Option<u64>,
    /// How many entries it is behind the most advanced node, when it answered.
    pub lag: Option<u64>,
}
