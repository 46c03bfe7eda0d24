//! Roles: names for what somebody may do.

use super::{RoleName, Verb, Verbs};

/// A role: a name for a set of verbs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: RoleName,
    /// What it permits.
    pub verbs: Verbs,
}

/// The roles that every cluster has, by name.
const BUILT_IN: [(&str, Verbs); 4] = [
    ("administrator", Verbs::ALL),
    (
        "maintainer",
        Verbs::of(&[Verb::Pull, Verb::Push, Verb::CreateTag, Verb::MoveTag, Verb::Delete]),
    ),
    ("developer", Verbs::of(&[Verb::Pull, Verb::Push, Verb::CreateTag, Verb::MoveTag])),
    ("read-only", Verbs::of(&[Verb::Pull])),
];

impl Role {
    /// The name of the role that may do everything.
    pub const ADMINISTRATOR: &'static str = BUILT_IN[0].0;

    /// The roles that every cluster has, which nobody changes.
    pub fn built_in() -> impl Iterator<Item = Self> {
        BUILT_IN.into_iter().filter_map(|(name, verbs)| {
            let name = name.parse().ok()?;
            Some(Self { name, verbs })
        })
    }

    /// Whether every cluster has a role of this name.
    pub fn is_built_in(name: &RoleName) -> bool {
        BUILT_IN.iter().any(|(built_in, _)| *built_in == name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_role_has_a_valid_name() {
        assert_eq!(Role::built_in().count(), BUILT_IN.len());
        assert!(Role::built_in().all(|role| Role::is_built_in(&role.name)));
    }
}
