//! Stories of failures, told step by step: who is killed when, what clients do, what must hold.

mod hand;
mod stage;
mod upload;

use std::fmt;
use std::pin::Pin;

pub use self::hand::Hand;
pub use self::stage::{DiskCopy, Node, Stage, Trouble};
pub use self::upload::Upload;
use super::plan::Plan;

/// A failure that somebody wants to see again: a cluster, and the story of what happens to it.
///
/// Everything that holds for a run of a seed holds here too. All invariants are checked while the
/// story goes on, whatever it is about; when it has ended, all faults end, the cluster must heal,
/// and everything that was acknowledged is looked for through every node.
///
/// ```no_run
/// use chaos_tests::sim::{Plan, Scenario, Stage, Unmet, play};
///
/// const LOST_LEADER: Scenario = Scenario {
///     name: "lost-leader",
///     about: "what was pushed through a leader outlives it",
///     plan: Plan { nodes: 5, voters: 5, ..Plan::STILL },
///     story: |stage| Box::pin(story(stage)),
///     must_happen: &["elections"],
/// };
///
/// async fn story(stage: Stage) -> Result<(), Unmet> {
///     stage.formed().await?;
///     let leader = stage.leader().await?;
///     let mut client = stage.client(leader);
///     let image = client.push("tag-1").await?;
///
///     let outage = stage.kill(leader);
///     client.through(stage.others(leader)[0]);
///     let seen = client.look("tag-1").await?;
///     stage.expect(seen == Some(image), "the tag names what was pushed")?;
///     client.push("tag-1").await?;
///     stage.end(outage);
///     Ok(())
/// }
///
/// # fn main() -> anyhow::Result<()> {
/// let report = play(&LOST_LEADER, 1, |_elapsed| {})?;
/// assert_eq!(report.violation, None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What must hold, in a sentence, and where it did not.
    pub about: &'static str,
    /// The cluster. Its seed is another one where one is asked for.
    pub plan: Plan,
    /// What happens.
    pub story: Story,
    /// What must have happened by its end, as the summary of a run counts it, so that the story
    /// shows something.
    pub must_happen: &'static [&'static str],
}

/// What happens in a scenario.
pub type Story = fn(Stage) -> Pin<Box<dyn Future<Output = Result<(), Unmet>>>>;

/// Something that a story needs, or says must hold, and that did not come true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Unmet(String);

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Unmet {
    /// This did not come true.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }
}
