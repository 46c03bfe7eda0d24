//! I14: lists are exact and ordered, and their pages lose and double nothing.

use std::collections::BTreeSet;

/// One page of a list, as a node gave it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// The name that the page was to begin after.
    pub(crate) after: Option<String>,
    /// How many names were asked for.
    pub(crate) limit: Option<usize>,
    /// The names on it.
    pub(crate) names: Vec<String>,
    /// Whether it says that there are more.
    pub(crate) has_next: bool,
}

impl Page {
    /// Checks what a page must be whatever the list has: ordered, without repetition, after the
    /// page before, not too long, and of nothing but what is `known`.
    pub(crate) fn check(&self, known: &BTreeSet<String>) -> Result<(), String> {
        if let Some(pair) = self.names.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!("{} stands before {}", pair[0], pair[1]));
        }
        if let (Some(after), Some(first)) = (&self.after, self.names.first())
            && first <= after
        {
            return Err(format!("a page after {after} begins with {first}"));
        }
        if let Some(unknown) = self.names.iter().find(|name| !known.contains(*name)) {
            return Err(format!("{unknown} is listed, which nobody ever pushed"));
        }
        match self.limit {
            Some(limit) if self.names.len() > limit => {
                Err(format!("{} of at most {limit} names", self.names.len()))
            }
            Some(_) | None if self.has_next && self.names.is_empty() => {
                Err("an empty page has a next one".to_owned())
            }
            Some(limit) if self.has_next && self.names.len() < limit => {
                Err(format!("{} of {limit} names, and yet there are more", self.names.len()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the page says of those of `known` that belong on it: whether each is in the list.
    pub(crate) fn says<'a>(
        &'a self,
        known: &'a BTreeSet<String>,
    ) -> impl Iterator<Item = (&'a String, bool)> {
        let last = self.names.last().filter(|_| self.has_next);
        known
            .iter()
            .filter(move |name| self.after.as_ref().is_none_or(|after| *name > after))
            .filter(move |name| last.is_none_or(|last| *name <= last))
            .map(|name| (name, self.names.contains(name)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn known() -> BTreeSet<String> {
        ["a", "b", "c", "d"].map(str::to_owned).into()
    }

    fn page(after: &str, limit: impl Into<Option<usize>>, names: &[&str], has_next: bool) -> Page {
        Page {
            after: (!after.is_empty()).then(|| after.to_owned()),
            limit: limit.into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            has_next,
        }
    }

    #[test]
    fn a_page_that_loses_doubles_or_invents_is_found() {
        for (wrong, reason) in [
            (page("", None, &["b", "a"], false), "stands before"),
            (page("", None, &["a", "a"], false), "stands before"),
            (page("b", 2, &["b", "c"], false), "begins with"),
            (page("", None, &["a", "x"], false), "nobody ever pushed"),
            (page("", 1, &["a", "b"], false), "of at most"),
            (page("", 2, &["a"], true), "yet there are more"),
            (page("", 2, &[], true), "empty page"),
        ] {
            let found = wrong.check(&known()).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
        for right in [
            page("", None, &["a", "b", "d"], false),
            page("", 2, &["a", "c"], true),
            page("c", 2, &["d"], false),
            page("", 2, &[], false),
        ] {
            assert_eq!(right.check(&known()), Ok(()));
        }
    }

    #[test]
    fn a_page_speaks_of_all_names_up_to_its_end_and_of_no_others() {
        let says = |page: Page| -> Vec<(String, bool)> {
            let known = known();
            page.says(&known).map(|(name, is_there)| (name.clone(), is_there)).collect()
        };
        let expect = |entries: &[(&str, bool)]| -> Vec<(String, bool)> {
            entries.iter().map(|(name, is_there)| ((*name).to_owned(), *is_there)).collect()
        };
        let first = page("", 2, &["a", "c"], true);
        assert_eq!(says(first), expect(&[("a", true), ("b", false), ("c", true)]));
        assert_eq!(says(page("c", 2, &[], false)), expect(&[("d", false)]));
    }
}
