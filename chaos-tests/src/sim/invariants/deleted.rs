//! I12 and I13: what was deleted, or seen to be gone, is gone, through every node, until somebody
//! puts it there again.

use crate::sim::ledger::{Change, Deed, Look, Outcome};

/// The acknowledged delete that makes it a violation that `look` found the item, if there is one:
/// no request can have put it there after that. That somebody has `seen` that it is gone is worth
/// as much.
pub(crate) fn is_undead<'a>(
    changes: &'a [Change],
    seen: &'a [Change],
    look: &Look,
) -> Option<&'a Change> {
    if !look.is_there {
        return None;
    }
    changes.iter().chain(seen).find(|delete| {
        let Outcome::Done(returned) = delete.outcome else { return false };
        delete.deed == Deed::Delete
            && returned < look.called
            && !changes.iter().any(|put| can_explain(put, delete, look))
    })
}

/// Whether `put` can have taken effect after `delete` and before `look` was answered.
fn can_explain(put: &Change, delete: &Change, look: &Look) -> bool {
    put.deed == Deed::Put
        && put.called < look.returned
        && match put.outcome {
            Outcome::Unknown => true,
            Outcome::Settled(returned) | Outcome::Done(returned) => returned > delete.called,
            Outcome::Refused => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::invariants::acknowledged::tests::{change, look};

    use Deed::{Delete, Put};
    use Outcome::{Done, Refused, Settled, Unknown};

    #[test]
    fn what_was_deleted_and_is_still_there_is_found() {
        let deleted = [change(Put, 1, Done(2)), change(Delete, 3, Done(4))];
        assert!(is_undead(&deleted, &[], &look(5, 6, true)).is_some());
        assert!(is_undead(&deleted, &[], &look(5, 6, false)).is_none());
        let refused = [deleted[0].clone(), deleted[1].clone(), change(Put, 5, Refused)];
        assert!(is_undead(&refused, &[], &look(7, 8, true)).is_some());
    }

    #[test]
    fn what_may_have_been_put_there_again_is_not() {
        let again = [change(Delete, 1, Done(2)), change(Put, 3, Done(4))];
        assert!(is_undead(&again, &[], &look(5, 6, true)).is_none());
        let late = [change(Put, 1, Unknown), change(Delete, 2, Done(3))];
        assert!(is_undead(&late, &[], &look(5, 6, true)).is_none());
        let cannot_come = [change(Put, 1, Settled(2)), change(Delete, 3, Done(4))];
        assert!(is_undead(&cannot_come, &[], &look(5, 6, true)).is_some());
        let at_once = [change(Put, 1, Done(4)), change(Delete, 2, Done(3))];
        assert!(is_undead(&at_once, &[], &look(5, 6, true)).is_none());
        let during_the_look = [change(Put, 1, Done(2)), change(Delete, 4, Done(6))];
        assert!(is_undead(&during_the_look, &[], &look(5, 7, true)).is_none());
    }

    #[test]
    fn what_was_seen_to_be_gone_stays_gone_whoever_deleted_it() {
        let seen = [change(Delete, 4, Done(5))];
        let unknown = [change(Put, 1, Done(2)), change(Delete, 3, Unknown)];
        assert!(is_undead(&unknown, &seen, &look(6, 7, true)).is_some());
        assert!(is_undead(&unknown, &seen, &look(5, 7, true)).is_none());
        let again = [change(Put, 1, Done(2)), change(Put, 5, Unknown)];
        assert!(is_undead(&again, &seen, &look(6, 7, true)).is_none());
        // To see that it is there puts nothing.
        let there = [change(Put, 1, Done(8))];
        let deleted = [change(Put, 1, Done(2)), change(Delete, 3, Done(4))];
        assert!(is_undead(&deleted, &there, &look(6, 7, true)).is_some());
    }
}
