//! `roadstead playground restart`: brings a node of the running playground back.

use std::path::Path;

use super::layout::Layout;
use super::readiness::Readiness;
use super::{PlaygroundError, control};
use crate::cli::say;

/// Has the playground in `dir` start node `number` again, and waits until the node is ready.
pub(super) async fn restart(dir: &Path, number: u16) -> Result<(), PlaygroundError> {
    let layout = Layout::find(dir)?.ok_or_else(|| PlaygroundError::NotRunning(dir.to_owned()))?;
    let place = layout.place(number)?;
    control::wish(dir, &layout.control(), number).await?;
    Readiness::new()?.wait(&place).await?;
    say(format_args!("node-{number} is back, has caught up and serves at {}", place.api()));
    Ok(())
}
