//! Telling who leads: in a playground people kill leaders, and want to know whom to kill next.

use std::time::Duration;

use reqwest::Client;
use tokio::time::{sleep, timeout};

use super::layout::{Layout, Place};
use crate::cli::{ClusterReport, Login, say};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a look at one node may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// Says who leads whenever that changes, for ever.
pub(super) async fn announce_leaders(layout: Layout, client: Client, login: Option<Login>) {
    let mut announced = None;
    loop {
        if let Some((leader, term)) = look(&layout, &client, login.as_ref()).await
            && announced != Some((leader, term))
        {
            say(format_args!("node-{leader} leads the cluster (term {term})"));
            announced = Some((leader, term));
        }
        sleep(PAUSE).await;
    }
}

/// The number of the node that leads, and its term, as the first node says that says it.
async fn look(layout: &Layout, client: &Client, login: Option<&Login>) -> Option<(u16, u64)> {
    let places = layout.places();
    for place in &places {
        let Some(server) = layout.server(place) else { continue };
        let report = ClusterReport::fetch(client, &server, login);
        let Ok(Ok(report)) = timeout(LOOK_TIMEOUT, report).await else {
            continue;
        };
        if let Some(leader) = leader(&report, &places) {
            return Some((leader.number, report.term));
        }
    }
    None
}

fn leader<'a>(report: &ClusterReport, places: &'a [Place]) -> Option<&'a Place> {
    let address = report.leader_address()?;
    places.iter().find(|place| place.peer().to_string() == address)
}
