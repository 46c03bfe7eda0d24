//! I1, I8 and I12: what was acknowledged, or seen, is there, through every node, until somebody
//! deletes it.

use crate::sim::ledger::{Change, Deed, Look, Outcome};

/// The acknowledged request to put the item there that makes it a violation that `look` did not
/// find it, if there is one: no delete can have come after it. That somebody has `seen` the item is
/// worth as much.
pub(crate) fn is_lost<'a>(
    changes: &'a [Change],
    seen: &'a [Change],
    look: &Look,
) -> Option<&'a Change> {
    if look.is_there {
        return None;
    }
    changes.iter().chain(seen).find(|put| {
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
            Outcome::Settled(returned) | Outcome::Done(returned) => returned > put.called,
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
    use Outcome::{Done, Refused, Settled, Unknown};

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let put = [change(Put, 1, Done(2))];
        assert!(is_lost(&put, &[], &look(3, 4, false)).is_some());
        assert!(is_lost(&put, &[], &look(3, 4, true)).is_none());
        let refused = [change(Put, 1, Done(2)), change(Delete, 3, Refused)];
        assert!(is_lost(&refused, &[], &look(5, 6, false)).is_some());
        let deleted_before = [change(Delete, 1, Done(2)), change(Put, 3, Done(4))];
        assert!(is_lost(&deleted_before, &[], &look(5, 6, false)).is_some());
        let deleted_later = [change(Put, 1, Done(2)), change(Delete, 5, Done(6))];
        assert!(is_lost(&deleted_later, &[], &look(3, 4, false)).is_some());
    }

    #[test]
    fn what_may_be_deleted_or_was_never_acknowledged_is_not_lost() {
        let at_once = [change(Put, 1, Done(4)), change(Delete, 2, Done(3))];
        assert!(is_lost(&at_once, &[], &look(5, 6, false)).is_none());
        let may_come_late = [change(Delete, 1, Unknown), change(Put, 2, Done(3))];
        assert!(is_lost(&may_come_late, &[], &look(5, 6, false)).is_none());
        let cannot_come = [change(Delete, 1, Settled(2)), change(Put, 3, Done(4))];
        assert!(is_lost(&cannot_come, &[], &look(5, 6, false)).is_some());
        let may_have_come = [change(Delete, 1, Settled(4)), change(Put, 3, Done(4))];
        assert!(is_lost(&may_have_come, &[], &look(5, 6, false)).is_none());
        let during_the_look = [change(Put, 1, Done(2)), change(Delete, 4, Unknown)];
        assert!(is_lost(&during_the_look, &[], &look(3, 5, false)).is_none());
        assert!(is_lost(&[change(Put, 1, Unknown)], &[], &look(3, 4, false)).is_none());
        assert!(is_lost(&[change(Put, 1, Done(4))], &[], &look(3, 5, false)).is_none());
    }

    #[test]
    fn what_was_seen_once_stays_there_whoever_put_it() {
        let seen = [change(Put, 3, Done(4))];
        let unknown = [change(Put, 1, Unknown)];
        assert!(is_lost(&unknown, &seen, &look(5, 6, false)).is_some());
        assert!(is_lost(&unknown, &seen, &look(4, 6, false)).is_none());
        let deleted = [change(Put, 1, Unknown), change(Delete, 2, Unknown)];
        assert!(is_lost(&deleted, &seen, &look(5, 6, false)).is_none());
        // To see that it is gone deletes nothing.
        let gone = [change(Delete, 3, Done(7))];
        assert!(is_lost(&[change(Put, 1, Done(2))], &gone, &look(5, 6, false)).is_some());
    }
}
