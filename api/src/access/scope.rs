//! Scopes: what a token is asked for, and what it is good for
//! (distribution's "Token Scope Documentation").

use std::collections::BTreeSet;

use proto::RepoName;
use proto::access::{RepoPattern, Verb, Verbs};
use serde::{Deserialize, Serialize};

use super::policy::Right;

/// Actions on something, as tokens name them: `{"type": "repository", "name": "team/app",
/// "actions": ["pull"]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resource {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// A repository's name, or `catalog`.
    pub(crate) name: String,
    /// `pull`, `push`, `delete` or `*`.
    pub(crate) actions: BTreeSet<String>,
}

/// Most resources that one token is asked for: docker asks for two, when it mounts.
pub(crate) const RESOURCES_MAX: usize = 32;

impl Resource {
    /// The resources that `scopes` ask for: separated by spaces, each `type:name:action,action`.
    /// What is no such thing is passed over, as other registries do.
    pub(crate) fn all<'a>(scopes: impl Iterator<Item = &'a str>) -> Vec<Self> {
        let each = scopes.flat_map(|scope| scope.split(' ')).filter_map(Self::parse);
        each.take(RESOURCES_MAX).collect()
    }

    fn parse(scope: &str) -> Option<Self> {
        // A name may have a port, and so a colon; a type and an action have none.
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        // `repository(plugin)` is docker's way to ask for a kind of content.
        let (kind, _class) = kind.split_once('(').unwrap_or((kind, ""));
        let actions = actions.split(',').filter(|action| !action.is_empty());
        Some(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions: actions.map(str::to_owned).collect(),
        })
    }

    /// The part of it that `may` permits; `None` when that is nothing.
    pub(crate) fn permitted(self, may: impl Fn(Verb, &RepoName) -> bool) -> Option<Self> {
        if self.kind == "registry" {
            // The catalog shows what its reader may pull: there is nothing to decide before.
            return self.is_catalog().then_some(self);
        }
        if self.kind != "repository" {
            return None;
        }
        let repository: RepoName = self.name.parse().ok()?;
        let wants_all = self.actions.contains("*");
        let actions: BTreeSet<String> = [Verb::Pull, Verb::Push, Verb::Delete]
            .into_iter()
            .filter(|verb| wants_all || self.actions.contains(verb.as_str()))
            .filter(|verb| may(*verb, &repository))
            .map(|verb| verb.to_string())
            .collect();
        (!actions.is_empty()).then_some(Self { actions, ..self })
    }

    /// What it gives in a token of an issuer outside of the cluster: verbs, and where. The catalog
    /// gives to see every repository; to pull from one, it must be there itself.
    pub(super) fn gives(&self) -> Option<Right> {
        if self.is_catalog() {
            let (pattern, verbs) = (RepoPattern::everything(), Verbs::of(&[Verb::Pull]));
            return Some(Right { pattern, verbs });
        }
        let repository: RepoName = self.name.parse().ok()?;
        let verbs = Verb::ALL.into_iter().filter(|verb| self.covers(*verb, Some(&repository)));
        let verbs: Verbs = verbs.collect();
        (!verbs.is_empty()).then(|| Right { pattern: RepoPattern::from(&repository), verbs })
    }

    /// Whether it is the list of all repositories, for which the one action is `*`: a token server
    /// that refuses it says so with no action at all.
    pub(crate) fn is_catalog(&self) -> bool {
        self.kind == "registry" && self.name == "catalog" && self.actions.contains("*")
    }

    /// Whether a token for it is good for `verb` in `repository`, which must be the very one.
    pub(crate) fn covers(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        let Some(repository) = repository else { return false };
        let action = match verb {
            Verb::Pull => "pull",
            Verb::Push | Verb::CreateTag | Verb::MoveTag => "push",
            Verb::Delete => "delete",
            // Administration takes credentials themselves: a token that is stolen must not do it.
            Verb::Manage => return false,
        };
        self.kind == "repository"
            && self.name == repository.as_str()
            && (self.actions.contains(action) || self.actions.contains("*"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn resource(scope: &str) -> Resource {
        Resource::parse(scope).unwrap()
    }

    #[test]
    fn scopes_are_read_as_docker_writes_them() {
        let scopes = ["repository:a/b:pull,push repository:c:pull", "registry:catalog:*", "junk"];
        let all = Resource::all(scopes.into_iter());
        assert_eq!(all.len(), 3);
        assert_eq!(all[0], resource("repository:a/b:push,pull"));
        assert_eq!(resource("repository(plugin):a:pull"), resource("repository:a:pull"));
        assert_eq!(resource("repository:host:5000/a:pull").name, "host:5000/a");
        let many = "repository:a:pull ".repeat(100);
        assert_eq!(Resource::all([many.as_str()].into_iter()).len(), RESOURCES_MAX);
    }

    #[test]
    fn of_what_is_asked_for_only_what_is_permitted_is_given() {
        let read = |verb, _: &RepoName| verb == Verb::Pull;
        let given = resource("repository:a:pull,push,delete").permitted(read);
        assert_eq!(given, Some(resource("repository:a:pull")));
        assert_eq!(resource("repository:a:*").permitted(read), given);
        assert_eq!(resource("repository:a:push").permitted(read), None);
        assert_eq!(resource("repository:A:pull").permitted(read), None);
        assert_eq!(resource("plugin:a:pull").permitted(|_, _| true), None);
        assert!(resource("registry:catalog:*").permitted(|_, _| false).is_some());
        assert_eq!(resource("registry:catalog:").permitted(|_, _| true), None);
    }

    #[test]
    fn what_names_no_action_gives_nothing() {
        for scope in ["registry:catalog:", "registry:catalog:pull", "repository:a:"] {
            assert!(resource(scope).gives().is_none(), "{scope}");
        }
        for scope in ["registry:catalog:*", "repository:a:pull", "repository:a:*"] {
            assert!(resource(scope).gives().is_some(), "{scope}");
        }
    }

    #[test]
    fn a_token_for_one_repository_is_good_for_no_other() {
        let given = resource("repository:a/b:pull,push");
        let name = |text: &str| -> RepoName { text.parse().unwrap() };
        assert!(given.covers(Verb::Pull, Some(&name("a/b"))));
        assert!(given.covers(Verb::MoveTag, Some(&name("a/b"))));
        for other in ["a/bc", "a", "a/b/c", "b"] {
            assert!(!given.covers(Verb::Pull, Some(&name(other))), "{other}");
        }
        assert!(!given.covers(Verb::Delete, Some(&name("a/b"))));
        assert!(!resource("repository:a/b:*").covers(Verb::Manage, Some(&name("a/b"))));
        assert!(!given.covers(Verb::Pull, None));
    }
}
