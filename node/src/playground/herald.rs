//! Telling who leads: in a playground people kill leaders, and want to know whom to kill next.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Client;
use tokio::time::sleep;

use super::layout::Layout;
use super::part::Part;
use crate::cli::say;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// Says who leads whenever that changes, for ever.
pub(super) async fn announce_leaders(layout: Layout, client: Client) {
    let mut announced = None;
    loop {
        if let Some((term, leader)) = look(&layout, &client).await
            && announced < Some((term, leader))
        {
            say(format_args!("node-{leader} leads the cluster (term {term})"));
            announced = Some((term, leader));
        }
        sleep(PAUSE).await;
    }
}

/// The newest term in which a node leads, and the node's number: who led before may not know yet
/// that another one does.
async fn look(layout: &Layout, client: &Client) -> Option<(u64, u16)> {
    let places = layout.places();
    let parts = join_all(places.iter().map(|place| Part::ask(client, place))).await;
    let leaders = places.iter().zip(parts).filter_map(|(place, part)| {
        let part = part.filter(|part| part.is_leader)?;
        Some((part.term, place.number))
    });
    leaders.max()
}
