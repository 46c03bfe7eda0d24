//! Whether what clients saw of a tag can be put into one order in which each request takes effect
//! between its call and its answer, and each sees what the one before it left (Herlihy and Wing,
//! "Linearizability", 1990; the search is that of Wing and Gong with the states that were tried
//! remembered, as Lowe describes in "Testing for linearizability", 2017).

use std::collections::{BTreeSet, HashSet};

use super::history::{Action, Operation, Value};

/// Checks the operations on one tag, which named nothing at first, in the order of their calls.
///
/// # Errors
/// The operations around the first answer that fits no order.
pub(crate) fn check(operations: &[Operation]) -> Result<(), String> {
    let operations = without_unseen(operations);
    let mut search = Search::new(&operations);
    if search.run() {
        return Ok(());
    }
    // The answer at which the furthest order got stuck, with what came just before it.
    let from = search.furthest.saturating_sub(12);
    let to = (search.furthest + 6).min(operations.len());
    let lines: Vec<String> = operations[from..to].iter().map(ToString::to_string).collect();
    Err(format!("no order of these explains their answers:\n  {}", lines.join("\n  ")))
}

/// A change of unknown outcome to an image that nobody saw is as good as none: without it there are
/// less orders to try.
fn without_unseen(operations: &[Operation]) -> Vec<Operation> {
    let seen: BTreeSet<Value> = operations
        .iter()
        .filter_map(|operation| match operation.action {
            Action::Saw(value) | Action::Swap { from: value, .. } => Some(value),
            // What a condition missed, or a list, can be explained by it too.
            Action::Listed(_) | Action::Differed(_) | Action::Set(_) => None,
        })
        .collect();
    let is_listed = operations
        .iter()
        .any(|operation| matches!(operation.action, Action::Listed(true) | Action::Differed(_)));
    let is_needed = |operation: &&Operation| {
        operation.returned.is_some()
            || is_listed
            || match operation.action {
                Action::Set(to) | Action::Swap { to, .. } => to.is_none() || seen.contains(&to),
                Action::Saw(_) | Action::Listed(_) | Action::Differed(_) => true,
            }
    };
    operations.iter().filter(is_needed).cloned().collect()
}

struct Search<'a> {
    operations: &'a [Operation],
    /// Which are in the order so far, one bit each.
    taken: Vec<u64>,
    value: Value,
    /// The order so far: the operation, and the value before it.
    order: Vec<(usize, Value)>,
    tried: HashSet<(Vec<u64>, Value)>,
    /// The most answers that an order explained.
    furthest: usize,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation]) -> Self {
        let taken = vec![0; operations.len().div_ceil(64)];
        let (order, tried) = (Vec::new(), HashSet::new());
        Self { operations, taken, value: None, order, tried, furthest: 0 }
    }

    fn run(&mut self) -> bool {
        let mut from = 0;
        loop {
            if self.is_complete() {
                return true;
            }
            match self.next(from) {
                Some(next) => {
                    self.take(next);
                    from = 0;
                }
                None => match self.give_back() {
                    Some(last) => from = last + 1,
                    None => return false,
                },
            }
        }
    }

    fn is_taken(&self, index: usize) -> bool {
        self.taken[index / 64] >> (index % 64) & 1 == 1
    }

    /// Whether all that was answered is in the order.
    fn is_complete(&self) -> bool {
        (0..self.operations.len())
            .all(|index| self.is_taken(index) || self.operations[index].returned.is_none())
    }

    /// The first operation from `from` that can come next and leads to a state that was not tried.
    fn next(&mut self, from: usize) -> Option<usize> {
        let left = |index: &usize| !self.is_taken(*index);
        let (operations, first_answer) = (self.operations, {
            let answers = (0..self.operations.len()).filter(left);
            answers.filter_map(|index| self.operations[index].returned).min().unwrap_or(u64::MAX)
        });
        for (index, operation) in operations.iter().enumerate().skip(from) {
            // What was called after another was answered comes after that one.
            if operation.called > first_answer {
                return None;
            }
            if self.is_taken(index) {
                continue;
            }
            let Some(value) = operation.action.apply(self.value) else { continue };
            let mut taken = self.taken.clone();
            taken[index / 64] |= 1 << (index % 64);
            if self.tried.insert((taken, value)) {
                return Some(index);
            }
        }
        None
    }

    fn take(&mut self, index: usize) {
        self.order.push((index, self.value));
        self.taken[index / 64] |= 1 << (index % 64);
        // It was looked at before it was taken.
        self.value = self.operations[index].action.apply(self.value).unwrap_or(self.value);
        self.furthest = self.furthest.max(self.order.len());
    }

    /// Takes the last operation out of the order again. A read is never the reason that an order
    /// cannot go on, so what came before it goes too.
    fn give_back(&mut self) -> Option<usize> {
        loop {
            let (index, value) = self.order.pop()?;
            self.taken[index / 64] &= !(1 << (index % 64));
            self.value = value;
            if !self.operations[index].action.is_read() {
                return Some(index);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(action: Action, called: u64, returned: impl Into<Option<u64>>) -> Operation {
        Operation { by: "client".to_owned(), action, called, returned: returned.into() }
    }

    use Action::{Differed, Listed, Saw, Set, Swap};

    #[test]
    fn one_after_the_other_fits() {
        let history = [
            operation(Saw(None), 1, 2),
            operation(Set(Some(1)), 3, 4),
            operation(Saw(Some(1)), 5, 6),
            operation(Swap { from: Some(1), to: Some(2) }, 7, 8),
            operation(Differed(Some(1)), 9, 10),
            operation(Listed(true), 11, 12),
            operation(Set(None), 13, 14),
            operation(Listed(false), 15, 16),
        ];
        assert_eq!(check(&history), Ok(()));
    }

    #[test]
    fn a_stale_read_does_not_fit() {
        let history = [
            operation(Set(Some(1)), 1, 2),
            operation(Set(Some(2)), 3, 4),
            operation(Saw(Some(1)), 5, 6),
        ];
        assert!(check(&history).is_err());
    }

    #[test]
    fn a_read_may_see_either_of_two_at_once_but_not_go_back() {
        let both = [operation(Set(Some(1)), 1, 10), operation(Set(Some(2)), 2, 11)];
        for seen in [1, 2] {
            let read = operation(Saw(Some(seen)), 12, 13);
            assert_eq!(check(&[&both[..], &[read]].concat()), Ok(()));
        }
        let there_and_back = [operation(Saw(Some(1)), 12, 13), operation(Saw(Some(2)), 14, 15)];
        assert!(check(&[&both[..], &there_and_back].concat()).is_err());
    }

    #[test]
    fn what_was_not_answered_may_happen_late_or_never_but_once() {
        let unknown = operation(Set(Some(1)), 1, None);
        let late = [
            unknown.clone(),
            operation(Set(Some(2)), 2, 3),
            operation(Saw(Some(2)), 4, 5),
            operation(Saw(Some(1)), 6, 7),
        ];
        assert_eq!(check(&late), Ok(()));
        let twice =
            [&late[..], &[operation(Set(Some(3)), 8, 9), operation(Saw(Some(1)), 10, 11)]].concat();
        assert!(check(&twice).is_err());
        assert_eq!(check(&[unknown, operation(Saw(None), 2, 3)]), Ok(()));
    }

    #[test]
    fn a_lost_write_does_not_fit() {
        let history = [operation(Set(Some(1)), 1, 2), operation(Saw(None), 3, 4)];
        assert!(check(&history).is_err());
        let swapped_twice = [
            operation(Set(Some(1)), 1, 2),
            operation(Swap { from: Some(1), to: Some(2) }, 3, 6),
            operation(Swap { from: Some(1), to: Some(3) }, 4, 7),
        ];
        assert!(check(&swapped_twice).is_err());
    }
}
