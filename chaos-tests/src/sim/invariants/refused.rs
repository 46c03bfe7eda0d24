//! I16: what was refused (a 4xx) had no effect, and nothing appears that nobody asked for. What was
//! answered with a 5xx, or not at all, may have happened, as a whole.

use crate::sim::ledger::{Change, Deed, Look, Outcome};

/// Whether `look` found what no request has put there: all that tried were refused.
pub(crate) fn is_unasked(changes: &[Change], look: &Look) -> bool {
    let can_have_put = |change: &Change| {
        change.deed == Deed::Put
            && change.called < look.returned
            && change.outcome != Outcome::Refused
    };
    look.is_there && !changes.iter().any(can_have_put)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::invariants::acknowledged::tests::{change, look};

    use Deed::{Delete, Put};
    use Outcome::{Done, Refused, Unknown};

    #[test]
    fn what_was_refused_and_is_there_all_the_same_is_found() {
        assert!(is_unasked(&[], &look(1, 2, true)));
        assert!(is_unasked(&[change(Put, 1, Refused)], &look(3, 4, true)));
        assert!(is_unasked(&[change(Delete, 1, Done(2))], &look(3, 4, true)));
        assert!(is_unasked(&[change(Put, 5, Done(6))], &look(3, 4, true)), "it came later");
    }

    #[test]
    fn what_was_done_or_may_have_been_is_not() {
        assert!(!is_unasked(&[change(Put, 1, Refused)], &look(3, 4, false)));
        assert!(!is_unasked(&[change(Put, 1, Unknown)], &look(3, 4, true)));
        assert!(!is_unasked(&[change(Put, 1, Done(2))], &look(3, 4, true)));
        assert!(!is_unasked(
            &[change(Put, 1, Refused), change(Put, 2, Unknown)],
            &look(3, 4, true)
        ));
    }
}
