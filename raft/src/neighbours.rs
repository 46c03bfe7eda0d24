//! The other nodes' cluster services: one connection to each, opened when it is first needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::limits::PEER_MESSAGE_BYTES_MAX;
use proto::pb::cluster::cluster_client::ClusterClient;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::Dial;

/// Connections to the cluster services of other nodes, by address. Clones share them.
#[derive(Clone)]
pub(crate) struct Neighbours {
    dial: Arc<dyn Dial>,
    channels: Arc<Mutex<BTreeMap<String, Channel>>>,
}

impl Neighbours {
    pub(crate) fn new(dial: Arc<dyn Dial>) -> Self {
        Self { dial, channels: Arc::default() }
    }

    /// A client of the node at `address`.
    pub(crate) fn at(&self, address: &str) -> Result<ClusterClient<Channel>, Status> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let channel = self
                    .dial
                    .dial(address)
                    .map_err(|error| Status::invalid_argument(error.to_string()))?;
                channels.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        Ok(ClusterClient::new(channel)
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX))
    }
}

/// Waits for `call` no longer than `deadline`; past it, the outcome of the call is not known.
pub(crate) async fn within<T>(
    deadline: Duration,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(deadline, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {deadline:?}"))),
    }
}

/// A request with `message`, of which the node that answers knows until when it is waited for.
pub(crate) fn request<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(deadline);
    request
}
