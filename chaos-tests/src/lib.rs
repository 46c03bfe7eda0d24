//! Doubt: clusters that fail while clients work on them.
//!
//! In [`sim`] they are simulated: a world on one thread, repeatable from a seed. The program
//! `chaos-tests` runs it. What simulation cannot reach is tested with real `roadstead` processes
//! that are killed, starved and filled up: [`ProcessCluster`] starts and kills nodes,
//! [`RegistryClient`] pushes and pulls as docker does and checks every byte, and [`eventually`]
//! waits for what must become true.

mod client;
mod image;
mod kills;
mod processes;
pub mod scenarios;
pub mod sim;
mod wait;

pub use client::{Outcome, RegistryClient};
pub use image::Image;
pub use kills::{Kills, kill_over_and_over};
pub use processes::{NodeProcess, ProcessCluster};
pub use wait::eventually;
