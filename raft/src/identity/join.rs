//! Joining: a node with an empty folder asks a cluster for an id before it has one.

use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::select_all;
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::pb::cluster::join_response::Result as Pb;
use proto::{ClusterId, JoinToken, PeerAddress, Refusal, RequestId, Thumbprint};
use tonic::Status;

use super::{Identified, Identity};
use crate::credentials::Credentials;
use crate::credentials::certificates::public_key;
use crate::neighbours::{Neighbours, ask_and_follow, named_leader};
use crate::{Clock, Config, StartError, random};

/// How long a node looks for its cluster before it gives up: other nodes may be starting too.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one node may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time between two tries.
const INTERVAL: Duration = Duration::from_millis(250);

/// Asks the nodes at [`Config::join`], all at once so that one that hangs holds up nobody, until
/// one has admitted this one.
pub(crate) async fn join(
    config: &Config,
    token: Option<&JoinToken>,
    neighbours: &Neighbours,
    clock: &Clock,
) -> Result<Identified, StartError> {
    let application = Application::new(config, token)?;
    let application = &application;
    let last_reason = Mutex::new(String::new());
    let tries = config.join.iter().map(|address| {
        let last_reason = &last_reason;
        Box::pin(async move {
            loop {
                match application.send(neighbours, address, clock).await {
                    Ok(Admission::Admitted(identified)) => return Ok(*identified),
                    Ok(Admission::Refused(reason)) => {
                        let address = address.to_string();
                        return Err(StartError::NotAdmitted { address, reason });
                    }
                    Ok(Admission::Untimely) => {
                        return Err(StartError::ClocksApart { address: address.to_string() });
                    }
                    Err(status) => {
                        let reason = format!("{address}: {}", reason(&status));
                        tracing::info!(reason, "waiting for a cluster to join");
                        *last_reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
                    }
                }
                tokio::time::sleep(INTERVAL).await;
            }
        })
    });
    let settled = tokio::time::timeout(PATIENCE, select_all(tries)).await;
    settled.map(|(settled, _, _)| settled).unwrap_or_else(|_| {
        Err(StartError::Join {
            addresses: config.join.iter().map(PeerAddress::as_str).collect::<Vec<_>>().join(", "),
            reason: last_reason.into_inner().unwrap_or_else(PoisonError::into_inner),
        })
    })
}

/// What a node asks to be admitted with.
struct Application {
    peer_address: PeerAddress,
    /// One id for all tries: neither a lost answer nor a second one admits the node twice.
    request_id: RequestId,
    /// Its token, and the key that it wants a certificate for.
    invitation: Option<(JoinToken, [u8; 32])>,
    public_key: Option<[u8; 32]>,
}

/// What a cluster says to it.
enum Admission {
    Admitted(Box<Identified>),
    /// No, for good.
    Refused(String),
    /// Yes, with a certificate that is not good by this node's clock. Nobody would take it, and
    /// without the catalog this node cannot sign another.
    Untimely,
}

impl Application {
    fn new(config: &Config, token: Option<&JoinToken>) -> Result<Self, StartError> {
        let invitation = token.map(|token| (token.clone(), random::bytes()));
        let key = invitation.as_ref().map(|(_, key)| public_key(key));
        Ok(Self {
            peer_address: config.peer_address.clone(),
            request_id: random::request_id(),
            public_key: key.transpose()?,
            invitation,
        })
    }

    fn message(&self) -> pb::JoinRequest {
        let secret = self.invitation.as_ref().map(|(token, _)| token.secret.as_bytes().to_vec());
        pb::JoinRequest {
            peer_address: self.peer_address.to_string(),
            request_id: self.request_id.as_bytes().to_vec().into(),
            token_secret: secret.unwrap_or_default().into(),
            public_key: self.public_key.map(|key| key.to_vec()).unwrap_or_default().into(),
        }
    }

    /// Asks the node at `address`, and the leader when it names one.
    async fn send(
        &self,
        neighbours: &Neighbours,
        address: &PeerAddress,
        clock: &Clock,
    ) -> Result<Admission, Status> {
        let leader = |answer: &Option<Pb>| match answer {
            Some(Pb::NotLeader(answer)) => named_leader(answer),
            _ => None,
        };
        let ask = |address: PeerAddress| async move {
            let call = async |mut node: ClusterClient<_>, request| node.join(request).await;
            let answer = neighbours.ask(&address, DEADLINE, self.message(), call).await;
            answer.map(|answer| answer.result)
        };
        let answer = match ask_and_follow(address, leader, ask).await {
            Err(status) if is_final(&status) => return Ok(Admission::Refused(reason(&status))),
            answer => answer?,
        };
        match answer {
            Some(Pb::Admitted(admitted)) => self.accept(admitted, clock),
            Some(Pb::Refused(refusal)) => {
                let refusal = Refusal::try_from(refusal);
                let refusal = refusal.map_err(|error| Status::data_loss(error.to_string()))?;
                Ok(Admission::Refused(refusal.to_string()))
            }
            Some(Pb::NotLeader(_) | Pb::Unavailable(_)) | None => {
                Err(Status::unavailable("the cluster has no leader now"))
            }
        }
    }

    fn accept(&self, admitted: pb::Admission, clock: &Clock) -> Result<Admission, Status> {
        let cluster = ClusterId::try_from(admitted.cluster_id.as_ref());
        let cluster = cluster.map_err(|error| Status::data_loss(error.to_string()))?;
        let identity = Identity { cluster, node: admitted.node_id };
        let credentials = match &self.invitation {
            None => None,
            Some((token, _)) if Thumbprint::of(&admitted.authority) != token.authority => {
                return Err(Status::data_loss("the cluster sends another authority's certificate"));
            }
            Some((_, key)) => {
                let (authority, certificate) = (admitted.authority, admitted.certificate);
                let credentials = Credentials::of(identity.into(), authority, certificate, *key)
                    .map_err(|error| Status::data_loss(error.to_string()))?;
                if !credentials.validity().has(clock.now()) {
                    return Ok(Admission::Untimely);
                }
                Some(credentials)
            }
        };
        Ok(Admission::Admitted(Box::new(Identified { identity, credentials })))
    }
}

/// What went wrong, at the bottom: transports only say that they failed.
fn reason(status: &Status) -> String {
    let cause = cause(status);
    match cause.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => cause.to_string(),
    }
}

/// Whether asking again is no use: who answers there is none of the cluster.
fn is_final(status: &Status) -> bool {
    let cause = cause(status).downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

fn cause(status: &Status) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = status;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::Arc;

    use proto::{Timestamp, TokenSecret};
    use tonic::transport::Channel;

    use super::*;
    use crate::credentials::certificates;
    use crate::neighbours::Lanes;
    use crate::{Dial, DialError, PeerName, Tuning};

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// What becomes of an admission by a leader whose clock is at `leader`, on a node whose clock
    /// is at `own`.
    fn admission(leader: Timestamp, own: Timestamp) -> Admission {
        let (cluster, node, key) = (ClusterId::from_bytes([7; 16]), 17, [2; 32]);
        let authority = certificates::authority(cluster, [1; 32], leader).unwrap();
        let secret = TokenSecret::from_bytes([3; 16]);
        let token = JoinToken { cluster, authority: authority.thumbprint(), secret };
        let public_key = public_key(&key).unwrap();
        let application = Application {
            peer_address: "n:1".parse().unwrap(),
            request_id: RequestId::from_bytes([4; 16]),
            invitation: Some((token, key)),
            public_key: Some(public_key),
        };
        let name = PeerName { cluster, node };
        let admitted = pb::Admission {
            cluster_id: cluster.as_bytes().to_vec().into(),
            node_id: node,
            certificate: certificates::sign(&authority, name, &public_key, leader).unwrap(),
            authority: authority.certificate,
        };
        application.accept(admitted, &Clock::new(move || own)).unwrap()
    }

    #[test]
    fn a_node_takes_no_certificate_that_is_not_good_by_its_own_clock() {
        let now = Timestamp::from_millis(1_700_000_000_123);
        for good in [now, now.plus(DAY * 80), now.minus(DAY / 2)] {
            assert!(matches!(admission(now, good), Admission::Admitted(_)), "{good}");
        }
        for wrong in [now.minus(DAY * 2), now.plus(DAY * 91)] {
            assert!(matches!(admission(now, wrong), Admission::Untimely), "{wrong}");
        }
    }

    struct Nowhere;

    impl Dial for Nowhere {
        fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
            Err(DialError(address.clone()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_cluster_is_told_to_look_where_that_listens() {
        let config = Config {
            peer_address: "second:5001".parse().unwrap(),
            join: vec!["first:5001".parse().unwrap()],
            authority: None,
            token: None,
            voters: 3,
            tuning: Tuning::default(),
        };
        let neighbours = Neighbours::new(Lanes::new(Arc::new(Nowhere)));
        let joined = join(&config, None, &neighbours, &Clock::new(Timestamp::default)).await;
        let said = joined.err().unwrap().to_string();
        let tried = "no cluster answered at first:5001: first:5001: first:5001 cannot be dialled; ";
        assert!(said.starts_with(tried) && said.contains("its peer.listen is"), "{said}");
    }
}
