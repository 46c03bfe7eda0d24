//! I1, I2 and I3: each tag is a linearizable register; what was acknowledged is not lost, and no
//! retry brings back what was overwritten.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::sim::chronicle::Chronicle;
use crate::sim::client::{read_image, read_tag};
use crate::sim::history::{Action, History, Value};
use crate::sim::linearizable;

const NAME: &str = "I2 tags are linearizable";

/// Between two tries to read a tag.
const PAUSE: Duration = Duration::from_millis(100);

/// Checks what all clients saw of all tags.
pub(crate) fn check_tags(history: &History, chronicle: &Chronicle) {
    for (tag, operations) in history.by_tag() {
        if let Err(evidence) = linearizable::check(&operations) {
            chronicle.violated(NAME, format_args!("{tag}: {evidence}"));
        }
    }
}

/// Reads every tag and the image that it names from every node, when nothing is wrong any more. A
/// node that does not answer at first gets `patience`: connections that a cut has killed without a
/// word must be found out.
pub(crate) async fn audit_tags(
    nodes: Vec<String>,
    tags: usize,
    patience: Duration,
    history: History,
    chronicle: Chronicle,
) {
    let until = Instant::now() + patience;
    for number in 1..=tags {
        let tag = format!("tag-{number}");
        for node in &nodes {
            match read_until(until, node, &tag, &history).await {
                Ok(Some(number)) => {
                    if let Err(reason) = read_image(node, number).await {
                        let evidence = format!("{node}, image {number}: {reason}");
                        chronicle.violated("I4 manifests are complete", evidence);
                    }
                }
                Ok(None) => {}
                Err(reason) => {
                    let evidence = format!("{node} does not say what {tag} names: {reason}");
                    chronicle.violated("I19 healed", evidence);
                }
            }
        }
    }
}

async fn read_until(
    until: Instant,
    node: &str,
    tag: &str,
    history: &History,
) -> Result<Value, String> {
    loop {
        let called = history.call();
        match read_tag(node, tag).await {
            Ok(value) => {
                let by = format!("audit through {node}");
                history.answered(tag, &by, called, Action::Saw(value));
                return Ok(value);
            }
            Err(reason) if Instant::now() > until => return Err(reason),
            Err(_) => sleep(PAUSE).await,
        }
    }
}
