//! A node's part in the cluster, as its metrics tell it to operators: without a login, so that it
//! does not matter whether the administrator has another password by now.

use reqwest::Client;

use super::layout::Place;

/// What a node is to its cluster, and knows of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) is_leader: bool,
    pub(super) term: u64,
    /// How many nodes vote.
    pub(super) voters: u64,
}

impl Part {
    /// The part of the node at `place`, if it says so.
    pub(super) async fn ask(client: &Client, place: &Place) -> Option<Self> {
        let answer = client.get(format!("http://{}/metrics", place.admin())).send().await.ok()?;
        Self::read(&answer.text().await.ok()?)
    }

    fn read(metrics: &str) -> Option<Self> {
        let value = |name: &str| -> Option<u64> {
            let mut lines = metrics.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(found, _)| *found == name)?.1.parse().ok()
        };
        Some(Self {
            is_leader: value("roadstead_raft_is_leader")? == 1,
            term: value("roadstead_raft_term")?,
            voters: value("roadstead_raft_voters")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_s_part_is_read_from_its_metrics() {
        let metrics = "# HELP roadstead_raft_is_leader 1 while this node leads its cluster.\n\
                       # TYPE roadstead_raft_is_leader gauge\nroadstead_raft_is_leader 1\n\
                       roadstead_raft_term 3\nroadstead_raft_voters 2\n# EOF\n";
        assert_eq!(Part::read(metrics), Some(Part { is_leader: true, term: 3, voters: 2 }));
        assert_eq!(Part::read("the node starts\n"), None);
    }
}
