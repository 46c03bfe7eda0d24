//! I1 and I8: what was acknowledged is there, through every node, until somebody deletes it.

use crate::sim::ledger::{Change, Deed, Look, Outcome};

/// The acknowledged request to put the item there that makes it a violation that `look` did not
/// find it, if there is one: no delete can have come after it.
pub(crate) fn is_lost<'a>(changes: &'a [Change], look: &Look) -> Option<&'a Change> {
    if look.is_there {
        return None;
    }
    changes.iter().find(|put| {
        let Outcome::Done(returned) = put.outcome else { return false };
        put.deed == Deed::Put
            && returned < look.called
            && !changes.iter().any(|delete| can_explain(delete, put, look))
    })
}

/// Whether `delete` can have taken effect after `put` and before `look` was answered.
fn can_explain(delete: &Change, put: &Change, look: &Look) -> bool {
    delete.deed == Deed::Delete
        && delete.called < look.returned
        && match delete.outcome {
            Outcome::Unknown => true,
            Outcome::Done(returned) => returned > put.called,
            Outcome::Refused => false,
        }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A request sent at `called`.
    pub(in crate::sim::invariants) fn change(deed: Deed, called: u64, outcome: Outcome) -> Change {
        Change { by: "client".to_owned(), deed, called, outcome }
    }

    /// A look between two times.
    pub(in crate::sim::invariants) fn look(called: u64, returned: u64, is_there: bool) -> Look {
        Look { called, returned, is_there }
    }

    use Deed::{Delete, Put};
    use Outcome::{Done, Refused, Unknown};

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let put = [change(Put, 1, Done(2))];
        assert!(is_lost(&put, &look(3, 4, false)).is_some());
        assert!(is_lost(&put, &look(3, 4, true)).is_none());
        let refused = [change(Put, 1, Done(2)), change(Delete, 3, Refused)];
        assert!(is_lost(&refused, &look(5, 6, false)).is_some());
        let deleted_before = [change(Delete, 1, Done(2)), change(Put, 3, Done(4))];
        assert!(is_lost(&deleted_before, &look(5, 6, false)).is_some());
        let deleted_later = [change(Put, 1, Done(2)), change(Delete, 5, Done(6))];
        assert!(is_lost(&deleted_later, &look(3, 4, false)).is_some());
    }

    #[test]
    fn what_may_be_deleted_or_was_never_acknowledged_is_not_lost() {
        let at_once = [change(Put, 1, Done(4)), change(Delete, 2, Done(3))];
        assert!(is_lost(&at_once, &look(5, 6, false)).is_none());
        let may_come_late = [change(Delete, 1, Unknown), change(Put, 2, Done(3))];
        assert!(is_lost(&may_come_late, &look(5, 6, false)).is_none());
        let during_the_look = [change(Put, 1, Done(2)), change(Delete, 4, Unknown)];
        assert!(is_lost(&during_the_look, &look(3, 5, false)).is_none());
        assert!(is_lost(&[change(Put, 1, Unknown)], &look(3, 4, false)).is_none());
        assert!(is_lost(&[change(Put, 1, Done(4))], &look(3, 5, false)).is_none());
    }
}
