//! The name of a node in its certificate.

use std::fmt;
use std::str::FromStr;

use proto::{ClusterId, NodeId};

/// What all names of nodes end with: no host outside has such a name.
const DOMAIN: &str = "roadstead";

/// A node as its certificate names it: `node-<id>.<cluster>.roadstead`. The listener for nodes puts
/// the name that the other end of a connection has proved into the extensions of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerName {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its id there.
    pub node: NodeId,
}

impl PeerName {
    /// The name of no node.
    pub const SAMPLE: Self = Self { cluster: ClusterId::from_bytes([0; 16]), node: 0 };

    /// The name that all nodes of `cluster` have in common.
    pub fn common(cluster: ClusterId) -> String {
        format!("{cluster}.{DOMAIN}")
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node-{}.{}", self.node, Self::common(self.cluster))
    }
}

/// The text is not the name of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a node")]
pub struct PeerNameError;

impl FromStr for PeerName {
    type Err = PeerNameError;

    fn from_str(text: &str) -> Result<Self, PeerNameError> {
        let parsed = || {
            let (node, cluster) = text.strip_prefix("node-")?.split_once('.')?;
            let cluster = cluster.strip_suffix(DOMAIN)?.strip_suffix('.')?;
            Some(Self { cluster: cluster.parse().ok()?, node: node.parse().ok()? })
        };
        // One node has one name: no leading zeros or signs.
        parsed().filter(|name| name.to_string() == text).ok_or(PeerNameError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_has_one_spelling() {
        let name = PeerName { cluster: ClusterId::from_bytes([0xab; 16]), node: 17 };
        let text = name.to_string();
        assert_eq!(text, "node-17.abababababababababababababababab.roadstead");
        assert_eq!(text.parse(), Ok(name));
        for other in [
            "",
            "node-1.roadstead",
            &text.replace("17", "017"),
            &text.replace("17", "+17"),
            &text.to_uppercase(),
            &format!("{text}."),
            &text.replace("roadstead", "example"),
        ] {
            assert_eq!(other.parse::<PeerName>(), Err(PeerNameError), "{other}");
        }
    }
}
