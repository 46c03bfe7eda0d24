//! Doubt: clusters that fail while clients work on them.
//!
//! In [`sim`] they are simulated: a world on one thread, repeatable from a seed. The program
//! `chaos-tests` runs it. What simulation cannot reach is tested with real `roadstead` processes
//! that are killed, paused, cut off, starved, filled up and left without power: [`ProcessCluster`]
//! starts, pauses and kills nodes, [`Network`] is what they are in and [`Volumes`] what they rest
//! on, [`RegistryClient`] pushes and pulls as docker does and checks every byte, and [`eventually`]
//! waits for what must become true.

mod client;
mod image;
mod network;
mod processes;
pub mod scenarios;
pub mod sim;
mod skip;
mod troubles;
mod volume;
mod wait;

pub use client::{Lost, Outcome, RegistryClient, Unavailable, if_answered, is_unanswered};
pub use image::Image;
pub use network::{Network, NetworkError, Traffic};
pub use processes::{CacheUse, Layout, NodeProcess, Place, ProcessCluster};
pub use skip::skip;
pub use troubles::{
    Thaws, Troubles, thaw_leaders, trouble_network, trouble_power, trouble_processes,
};
pub use volume::{Loss, SmallDisk, VolumeError, Volumes};
pub use wait::eventually;
