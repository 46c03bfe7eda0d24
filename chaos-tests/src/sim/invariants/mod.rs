//! What must always hold, one file each, and what must hold once everything has healed.
//!
//! Some are checked where it happens: [`SameState`] by the disks with each batch, the answers to
//! single requests by the clients. The others are checked after each tick, in the audit, or when
//! the nodes are at rest. Each has a test that shows it fail.

mod acknowledged;
mod at_rest;
mod complete;
mod deleted;
mod garbage;
mod healed;
mod lists;
mod logs;
mod one_leader;
mod refused;
mod registers;
mod removals;
mod resumed;
mod same_state;
mod sessions;
mod stopped;

pub(crate) use acknowledged::is_lost;
pub(crate) use at_rest::{AtRest, Held};
pub(crate) use complete::missing_parts;
pub(crate) use deleted::is_undead;
pub(crate) use garbage::{dangling, garbage};
pub(crate) use healed::has_healed;
pub(crate) use lists::Page;
pub(crate) use logs::{Log, Logs};
pub(crate) use one_leader::OneLeader;
pub(crate) use refused::is_unasked;
pub(crate) use registers::{check_rights, check_tags};
pub(crate) use removals::Removals;
pub(crate) use resumed::{Attempt, check_resumed};
pub(crate) use same_state::SameState;
pub(crate) use sessions::Session;
pub(crate) use stopped::Stopped;
