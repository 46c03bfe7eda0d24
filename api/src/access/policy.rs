//! What is granted to whom, ready to be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::RepoName;
use proto::access::{Grant, Grantee, RepoPattern, Role, RoleName, Verb, Verbs};
use raft::{ReadError, View};

use super::Identity;

/// The grants, by whom they are for.
#[derive(Debug)]
pub(crate) struct Policy {
    granted: BTreeMap<Grantee, Granted>,
}

/// What is granted to somebody.
#[derive(Debug)]
struct Granted {
    /// Shared with everybody who may do it: there may be thousands.
    rights: Arc<[Right]>,
    /// The role of which each of them comes.
    roles: Vec<RoleName>,
}

/// What somebody may do, and where.
#[derive(Clone, Debug)]
pub(super) struct Right {
    pub(super) pattern: RepoPattern,
    pub(super) verbs: Verbs,
}

impl Right {
    /// Whether it is one to do `verb` in `repository`; in none, what concerns the whole registry,
    /// to which only `**` gives a right.
    pub(super) fn is_to(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        let is_meant = match repository {
            Some(repository) => self.pattern.matches(repository),
            None => self.pattern.is_everything(),
        };
        self.verbs.has(verb) && is_meant
    }
}

impl Policy {
    /// Reads the grants of `view`.
    pub(crate) fn read(view: &View) -> Result<Self, ReadError> {
        Ok(Self::new(&view.roles()?, view.grants()?))
    }

    fn new(roles: &[Role], grants: Vec<Grant>) -> Self {
        let verbs: BTreeMap<&RoleName, Verbs> =
            roles.iter().map(|role| (&role.name, role.verbs)).collect();
        let mut granted = BTreeMap::<Grantee, (Vec<Right>, Vec<RoleName>)>::new();
        for Grant { grantee, pattern, role } in grants {
            let verbs = verbs.get(&role).copied().unwrap_or(Verbs::NONE);
            let (rights, roles) = granted.entry(grantee).or_default();
            rights.push(Right { pattern, verbs });
            roles.push(role);
        }
        let shared = |(rights, roles): (Vec<Right>, _)| Granted { rights: rights.into(), roles };
        let granted = granted.into_iter().map(|(grantee, granted)| (grantee, shared(granted)));
        Self { granted: granted.collect() }
    }

    /// The first grant by which `identity` may do `verb` in `repository`; in none, what concerns
    /// the whole registry. Grants to the account itself come first, then those to its groups, to
    /// everybody who has logged in, and to everybody.
    pub(crate) fn explain(
        &self,
        identity: &Identity,
        verb: Verb,
        repository: Option<&RepoName>,
    ) -> Option<Grant> {
        identity.grantees().find_map(|grantee| {
            let Granted { rights, roles } = self.granted.get(&grantee)?;
            let mut each = rights.iter().zip(roles);
            let (right, role) = each.find(|(right, _)| right.is_to(verb, repository))?;
            let (pattern, role) = (right.pattern.clone(), role.clone());
            Some(Grant { grantee, pattern, role })
        })
    }

    /// All that is granted to `identity`, by whom it is granted to, in the order of
    /// [`Policy::explain`].
    pub(super) fn of(&self, identity: &Identity) -> Vec<Arc<[Right]>> {
        let granted = identity.grantees().filter_map(|grantee| self.granted.get(&grantee));
        granted.map(|granted| Arc::clone(&granted.rights)).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn policy(grants: &[(&str, &str, &str)]) -> Policy {
        let grants = grants.iter().map(|(grantee, pattern, role)| Grant {
            grantee: grantee.parse().unwrap(),
            pattern: pattern.parse().unwrap(),
            role: role.parse().unwrap(),
        });
        let roles: Vec<Role> = Role::built_in().collect();
        Policy::new(&roles, grants.collect())
    }

    fn account(name: &str, groups: &[&str]) -> Identity {
        Identity::Account {
            name: name.parse().unwrap(),
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn nothing_is_permitted_that_no_grant_gives() {
        let policy = policy(&[
            ("user:alice", "team/**", "developer"),
            ("group:web", "web", "maintainer"),
            ("authenticated", "base/*", "read-only"),
            ("anonymous", "public/**", "read-only"),
            ("user:root", "**", "administrator"),
        ]);
        let alice = account("alice", &["web"]);
        let (bob, nobody) = (account("bob", &[]), Identity::Anonymous);
        for (identity, verb, repository, grantee) in [
            (&alice, Verb::Push, "team/app", Some("user:alice")),
            (&alice, Verb::Delete, "team/app", None),
            (&alice, Verb::Delete, "web", Some("group:web")),
            (&alice, Verb::Pull, "base/os", Some("authenticated")),
            (&alice, Verb::Pull, "other", None),
            (&bob, Verb::Pull, "team/app", None),
            (&bob, Verb::Pull, "public/x", Some("anonymous")),
            (&nobody, Verb::Pull, "public/x", Some("anonymous")),
            (&nobody, Verb::Pull, "base/os", None),
            (&nobody, Verb::Push, "public/x", None),
        ] {
            let found = policy.explain(identity, verb, Some(&repository.parse().unwrap()));
            let found = found.map(|grant| grant.grantee.to_string());
            assert_eq!(found.as_deref(), grantee, "{identity:?} {verb} {repository}");
        }
        let root = account("root", &[]);
        assert!(policy.explain(&root, Verb::Manage, None).is_some());
        assert!(policy.explain(&alice, Verb::Manage, None).is_none());
        let patterns = |identity| {
            let all = policy.of(identity);
            all.iter()
                .flat_map(|rights| rights.iter())
                .map(|right| right.pattern.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(patterns(&nobody), ["public/**"]);
        assert_eq!(patterns(&alice), ["team/**", "web", "base/*", "public/**"]);
    }

    #[test]
    fn administration_of_some_repositories_is_not_that_of_the_registry() {
        let policy = policy(&[("user:alice", "team/**", "administrator")]);
        let alice = account("alice", &[]);
        let repository = "team/app".parse().unwrap();
        assert!(policy.explain(&alice, Verb::Manage, Some(&repository)).is_some());
        assert!(policy.explain(&alice, Verb::Manage, None).is_none());
    }
}
