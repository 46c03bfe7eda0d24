//! Waiting until nodes are ready.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::PlaygroundError;
use super::layout::{Layout, Place};
use super::part::Part;

/// How long a node may take to become ready: to replay its log, to find its cluster, and to catch
/// up.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks nodes whether they are ready.
#[derive(Clone)]
pub(super) struct Readiness {
    client: reqwest::Client,
}

impl Readiness {
    pub(super) fn new() -> Result<Self, PlaygroundError> {
        let client = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy();
        Ok(Self { client: client.build()? })
    }

    /// What asks them.
    pub(super) fn client(&self) -> reqwest::Client {
        self.client.clone()
    }

    /// Waits until the node at `place` is ready.
    ///
    /// # Errors
    /// [`PlaygroundError::Late`] when it is not within the deadline.
    pub(super) async fn wait(&self, place: &Place) -> Result<(), PlaygroundError> {
        let mut said = String::new();
        let ready = async {
            while let Err(reason) = self.ask(place).await {
                said = reason;
                sleep(PAUSE).await;
            }
        };
        let ready = timeout(READY_DEADLINE, ready).await;
        ready.map_err(|_| PlaygroundError::Late {
            node: place.number,
            reason: said,
            log: place.log(),
            tail: place.log_tail(),
        })
    }

    /// Waits until as many nodes vote as shall: until then, the cluster does not bear the loss of
    /// its leader.
    ///
    /// # Errors
    /// [`PlaygroundError::Late`] when they do not within the deadline.
    pub(super) async fn wait_for_voters(&self, layout: &Layout) -> Result<(), PlaygroundError> {
        let place = layout.place(1)?;
        let mut voters = 0;
        let complete = async {
            while voters < u64::from(layout.voters()) {
                let part = Part::ask(&self.client, &place).await;
                voters = part.map_or(voters, |part| part.voters);
                sleep(PAUSE).await;
            }
        };
        let complete = timeout(READY_DEADLINE, complete).await;
        complete.map_err(|_| PlaygroundError::Late {
            node: place.number,
            reason: format!("of {} voters there are only {voters}", layout.voters()),
            log: place.log(),
            tail: place.log_tail(),
        })
    }

    async fn ask(&self, place: &Place) -> Result<(), String> {
        let answer = self.client.get(format!("http://{}/readyz", place.admin())).send().await;
        let answer = answer.map_err(|_| "it does not answer yet".to_owned())?;
        if answer.status().is_success() {
            return Ok(());
        }
        Err(answer.text().await.unwrap_or_default().trim().to_owned())
    }
}
