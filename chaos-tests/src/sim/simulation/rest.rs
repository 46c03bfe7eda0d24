//! The end of some runs: nobody asks for anything any more, and the nodes come to rest.

use std::time::Duration;

use anyhow::Result;

use super::Simulation;
use crate::sim::invariants::AtRest;

impl Simulation<'_> {
    /// Waits until all that clients left behind is given up, and looks at what the nodes keep.
    pub(super) fn rest(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        self.records.sweeping.stop();
        let mut at_rest = AtRest::begin(self.sim.elapsed(), self.machines.len());
        while self.goes_on() && !at_rest.is_over(self.sim.elapsed()) {
            self.step(on_tick)?;
            for machine in &self.machines {
                if let Some(held) = machine.held() {
                    at_rest.observe(&machine.name, self.sim.elapsed(), held);
                }
            }
        }
        at_rest.check(&self.chronicle);
        Ok(())
    }
}
