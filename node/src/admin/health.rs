//! What operators and their tools ask a node: is it alive, is it ready, what does it count.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry as Metrics;
use raft::{Cluster, Ended, Role, Status};
use storage::{Blobs, BlobsError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How often the object store is probed: each probe writes a little.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How often while it fails.
const PROBE_INTERVAL_FAILING: Duration = Duration::from_secs(2);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// For how long probes fail until a node that was ready is not any more. All nodes share the store:
/// what it does not answer for a moment would have a load balancer take all of them out at once,
/// and answer 503 to what needs no store too. It is twice what one probe may take, so that no slow
/// one suffices.
const FAILING_MIN: Duration = Duration::from_secs(10);

/// What [`encode`] writes.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the object store serves, as far as its last probes tell. However often it is asked, it
/// is probed at its own pace. Clones share it; it is watched until the last is dropped.
#[derive(Clone)]
pub(crate) struct StoreHealth {
    told: watch::Receiver<Result<(), String>>,
    _task: Arc<AbortOnDropHandle<()>>,
}

impl StoreHealth {
    /// Watches `blobs` from now on. Until the first probe has ended, it does not serve.
    pub(crate) fn watch(blobs: Arc<dyn Blobs>) -> Self {
        let (tell, told) = watch::channel(Err("the object store was not probed yet".to_owned()));
        let task = tokio::spawn(async move {
            let mut failing_since = None;
            loop {
                let begun = Instant::now();
                let outcome = probe(&*blobs).await;
                let pause = match &outcome {
                    Ok(()) => {
                        failing_since = None;
                        PROBE_INTERVAL
                    }
                    Err(reason) => {
                        tracing::warn!(reason, "the object store does not serve");
                        failing_since.get_or_insert(begun);
                        PROBE_INTERVAL_FAILING
                    }
                };
                let failing = failing_since.map_or(Duration::ZERO, |since| since.elapsed());
                tell.send_modify(|told| settle(told, outcome, failing));
                sleep(pause).await;
            }
        });
        Self { told, _task: Arc::new(AbortOnDropHandle::new(task)) }
    }

    fn serves(&self) -> Result<(), String> {
        self.told.borrow().clone()
    }
}

/// Makes of what is `told` what the last probe came to, when probes fail for as long as `failing`.
/// That the store serves is told at once, and so is that one does not which never did.
fn settle(told: &mut Result<(), String>, outcome: Result<(), String>, failing: Duration) {
    if outcome.is_ok() || told.is_err() || failing >= FAILING_MIN {
        *told = outcome;
    }
}

/// Whether requests for content have a chance. A full store still gives what it has, and refuses
/// pushes by itself with what to do.
async fn probe(blobs: &dyn Blobs) -> Result<(), String> {
    match timeout(PROBE_TIMEOUT, blobs.probe()).await {
        Ok(Ok(()) | Err(BlobsError::Full)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the object store did not answer within {PROBE_TIMEOUT:?}")),
    }
}

/// What the answers are drawn from. Clones share it.
#[derive(Clone)]
pub(crate) struct Health {
    cluster: Cluster,
    store: StoreHealth,
    stopping: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Health {
    /// The health of a node with this part in a cluster and this store, which stops once `stopping`
    /// is cancelled.
    pub(crate) fn new(
        cluster: Cluster,
        store: StoreHealth,
        stopping: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        Self { cluster, store, stopping, metrics: Arc::new(metrics) }
    }
}

/// The admin listener's endpoints.
pub(crate) fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// Whether the process is worth keeping: else restart it.
async fn healthz(State(health): State<Health>) -> Response {
    match health.cluster.failed().now_or_never() {
        None => "ok\n".into_response(),
        Some(ended) => unavailable(format_args!("{}", cannot_go_on(&ended))),
    }
}

/// Whether to send requests here.
async fn readyz(State(health): State<Health>) -> Response {
    let ended = health.cluster.failed().now_or_never();
    let part = match (ended, health.cluster.hindrance()) {
        (Some(ended), _) => Err(cannot_go_on(&ended)),
        (None, Some(hindrance)) => Err(hindrance.to_string()),
        (None, None) => readiness(&health.cluster.status(), health.stopping.is_cancelled())
            .map_err(str::to_owned),
    };
    match part.and_then(|()| health.store.serves()) {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => unavailable(format_args!("{reason}")),
    }
}

fn cannot_go_on(ended: &Ended) -> String {
    match ended {
        Ended::Removed(_) => ended.to_string(),
        Ended::Failed(_) => format!("consensus has failed: {ended}"),
    }
}

fn readiness(status: &Status, is_stopping: bool) -> Result<(), &'static str> {
    if is_stopping || status.role == Role::Stopped {
        Err("the node is stopping")
    } else if !status.ready {
        Err("the node has not caught up with its cluster yet")
    } else if status.leader.is_none() {
        Err("the cluster has no leader with a majority that this node hears of")
    } else {
        Ok(())
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &health.metrics) {
        Ok(()) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn unavailable(reason: fmt::Arguments<'_>) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use proto::ClusterId;
    use storage::blob::{DiskBlobs, Unclaimed};

    use super::*;

    fn status() -> Status {
        Status {
            cluster: ClusterId::from_bytes([7; 16]),
            node: 1,
            role: Role::Follower,
            term: 3,
            leader: Some(2),
            last_log: Some(9),
            applied: Some(9),
            ready: true,
            members: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_ready_when_it_has_caught_up_and_knows_a_leader() {
        assert_eq!(readiness(&status(), false), Ok(()));
        for (status, is_stopping, reason) in [
            (status(), true, "stopping"),
            (Status { role: Role::Stopped, ..status() }, false, "stopping"),
            (Status { ready: false, ..status() }, false, "caught up"),
            (Status { leader: None, ..status() }, false, "no leader"),
        ] {
            let answer = readiness(&status, is_stopping);
            assert!(answer.is_err_and(|said| said.contains(reason)), "{reason}");
        }
    }

    #[tokio::test]
    async fn a_store_that_is_gone_does_not_serve_until_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let (here, away) = (folder.path().join("blobs"), folder.path().join("away"));
        let blobs: Arc<dyn Blobs> = Arc::new(DiskBlobs::open(&here).unwrap());
        blobs.claim(status().cluster, Unclaimed::Bind).await.unwrap();
        assert_eq!(probe(&*blobs).await, Ok(()));
        std::fs::rename(&here, &away).unwrap();
        let store = StoreHealth::watch(Arc::clone(&blobs));
        let mut told = store.told.clone();
        let said = told.wait_for(|told| told.as_ref().is_err_and(|said| !said.contains("yet")));
        let reason = said.await.unwrap().clone().unwrap_err();
        assert!(reason.contains("not available"), "{reason}");
        std::fs::rename(&away, &here).unwrap();
        told.wait_for(Result::is_ok).await.unwrap();
        assert_eq!(store.serves(), Ok(()));
    }

    #[test]
    fn one_slow_probe_takes_no_node_out_and_a_good_one_brings_it_back_at_once() {
        let away = || Err("away".to_owned());
        let mut told = Err("not probed yet".to_owned());
        for (outcome, failing, expected) in [
            (away(), Duration::ZERO, away()),
            (Ok(()), Duration::ZERO, Ok(())),
            (away(), PROBE_TIMEOUT, Ok(())),
            (Ok(()), Duration::ZERO, Ok(())),
            (away(), PROBE_TIMEOUT, Ok(())),
            (away(), FAILING_MIN, away()),
            (Ok(()), Duration::ZERO, Ok(())),
        ] {
            settle(&mut told, outcome, failing);
            assert_eq!(told, expected, "after {failing:?}");
        }
    }
}
