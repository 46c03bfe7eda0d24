//! I2 and I3: each tag is a linearizable register, lists and conditions included; no retry brings
//! back what was overwritten. I13 and I17: so is each right, through every node: who was told that
//! it is there can use it, and when it was taken back nobody can.

use crate::sim::chronicle::Chronicle;
use crate::sim::history::History;
use crate::sim::invariant::Invariant;
use crate::sim::linearizable;

/// Checks what all clients saw of all tags.
pub(crate) fn check_tags(history: &History, chronicle: &Chronicle) {
    check(Invariant::TagsLinearizable, history, chronicle);
}

/// Checks what everybody was told of rights that come and go.
pub(crate) fn check_rights(history: &History, chronicle: &Chronicle) {
    check(Invariant::RightsLinearizable, history, chronicle);
}

fn check(invariant: Invariant, history: &History, chronicle: &Chronicle) {
    for (register, operations) in history.by_tag() {
        if let Err(evidence) = linearizable::check(&operations) {
            chronicle.violated(invariant, format_args!("{register}: {evidence}"));
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

    #[test]
    fn a_right_that_outlives_its_end_is_found() {
        let chronicle = Chronicle::default();
        let rights = History::new(chronicle.clone());
        let given = rights.call();
        rights.answered("key", "administrator", given, Action::Set(Some(1)));
        let taken = rights.begin("key", "administrator", rights.call(), Action::Set(None));
        let called = rights.call();
        rights.answered("key", "guest", called, Action::Saw(Some(1)));
        check_rights(&rights, &chronicle);
        assert!(chronicle.violation().is_none(), "it is still being taken");
        rights.done(&taken, "administrator");
        let called = rights.call();
        rights.answered("key", "guest", called, Action::Saw(Some(1)));
        check_rights(&rights, &chronicle);
        let violation = chronicle.violation().map(|violation| violation.invariant);
        assert_eq!(violation, Some(Invariant::RightsLinearizable));
    }
}
