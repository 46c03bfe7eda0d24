//! What must always hold, one file each, and what must hold once everything has healed.
//!
//! Some are checked by whoever is nearest: [`SameState`] by the disks with each batch, the bytes
//! and answers of single requests by the clients. The others are checked after each tick, or in the
//! audit.

mod healed;
mod one_leader;
mod same_state;
mod tags;

pub(crate) use healed::has_healed;
pub(crate) use one_leader::OneLeader;
pub(crate) use same_state::SameState;
pub(crate) use tags::{audit_tags, check_tags};
