//! I2 and I3: each tag is a linearizable register, lists and conditions included; no retry brings
//! back what was overwritten.

use crate::sim::chronicle::Chronicle;
use crate::sim::history::History;
use crate::sim::linearizable;

const NAME: &str = "I2 tags are linearizable";

/// Checks what all clients saw of all tags.
pub(crate) fn check_tags(history: &History, chronicle: &Chronicle) {
    for (tag, operations) in history.by_tag() {
        if let Err(evidence) = linearizable::check(&operations) {
            chronicle.violated(NAME, format_args!("{tag}: {evidence}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::history::Action;

    #[test]
    fn a_tag_that_goes_back_is_found() {
        let chronicle = Chronicle::default();
        let history = History::new(chronicle.clone());
        for (action, is_well) in [
            (Action::Set(Some(1)), true),
            (Action::Set(Some(2)), true),
            (Action::Saw(Some(2)), true),
            (Action::Saw(Some(1)), false),
        ] {
            let called = history.call();
            history.answered("tag-1", "client", called, action);
            check_tags(&history, &chronicle);
            assert_eq!(chronicle.violation().is_none(), is_well, "{action:?}");
        }
    }
}
