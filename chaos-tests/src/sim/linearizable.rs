//! Whether what clients saw of a tag can be put into one order in which each request takes effect
//! between its call and its answer, and each sees what the one before it left (Herlihy and Wing,
//! "Linearizability", 1990; the search is that of Wing and Gong with the states that were tried
//! remembered, as Lowe describes in "Testing for linearizability", 2017).
//!
//! Changes whose outcome is not known would make the search explode: each may come anywhere, or
//! never. Three observations keep it small. What only looks, fits and may come next is taken at
//! once: an order with it later is one with it now as well. A change of unknown outcome is only
//! tried where what comes next needs it; otherwise the order is as good without. And of those that
//! do the same, the one that was called first goes first.
//!
//! Where it is known that by some time all of them have happened that ever do, that is one more
//! operation: those that were called early enough come before it or not at all.
//!
//! Which change is tried first decides how long it takes where there is an order, and no rule is
//! best for all: where one comes to no end, another is tried.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::history::{Action, Operation, Value};

/// Most states that a search by one rule looks at: hundreds of times what most runs need.
const STATES_MAX: usize = 200_000;

/// Which of the changes that may come next is tried first.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// The one that was called first.
    CalledFirst,
    /// The one that was answered first, and those that were not answered last.
    AnsweredFirst,
}

/// Why operations are not known to fit one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// There is no order. The operations around the first answer that fits none.
    NoOrder(Vec<String>),
    /// There are too many orders to try all. The operations around the first answer that none of
    /// those explains.
    Undecided(Vec<String>),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOrder(lines) => {
                write!(f, "no order of these explains their answers:\n  {}", lines.join("\n  "))
            }
            Self::Undecided(lines) => write!(
                f,
                "undecided: none of the first {STATES_MAX} orders explains these answers:\n  {}",
                lines.join("\n  ")
            ),
        }
    }
}

/// Checks the operations on one tag, which named nothing at first, in the order of their calls.
///
/// # Errors
/// When no order was found.
pub(crate) fn check(operations: &[Operation]) -> Result<(), Misfit> {
    let operations = with_unseen_alike(operations);
    let mut search = Search::new(&operations, Rule::CalledFirst);
    let mut found = search.run();
    if found.is_none() {
        search = Search::new(&operations, Rule::AnsweredFirst);
        found = search.run();
    }
    if found == Some(true) {
        return Ok(());
    }
    // The answer at which the furthest order got stuck, with what came just before it.
    let from = search.furthest.saturating_sub(12);
    let to = (search.furthest + 6).min(operations.len());
    let lines = operations[from..to].iter().map(ToString::to_string).collect();
    Err(if found.is_none() { Misfit::Undecided(lines) } else { Misfit::NoOrder(lines) })
}

/// The image that stands for all those that nobody saw.
const UNSEEN: u64 = u64::MAX;

/// The operations, in which all changes of unknown outcome to images that nobody saw are to the
/// same one; without them, where no list and no condition could need them.
fn with_unseen_alike(operations: &[Operation]) -> Vec<Operation> {
    let seen: BTreeSet<Value> = operations
        .iter()
        .flat_map(|operation| match operation.action {
            Action::Saw(value) => vec![value],
            // One that was answered may have found that it was done before.
            Action::Swap { from, to } if operation.returned.is_some() => vec![from, to],
            Action::Swap { from, .. } => vec![from],
            Action::Removed(number) => vec![Some(number)],
            Action::Listed(_) | Action::Differed(_) | Action::Set(_) | Action::Settled(_) => vec![],
        })
        .collect();
    let is_needed = operations
        .iter()
        .any(|operation| matches!(operation.action, Action::Listed(true) | Action::Differed(_)));
    let alike = |operation: &Operation| {
        let action = match operation.action {
            _ if operation.returned.is_some() => return Some(operation.clone()),
            Action::Set(to @ Some(_)) if !seen.contains(&to) => Action::Set(Some(UNSEEN)),
            Action::Swap { from, to: to @ Some(_) } if !seen.contains(&to) => {
                Action::Swap { from, to: Some(UNSEEN) }
            }
            _ => return Some(operation.clone()),
        };
        is_needed.then(|| Operation { action, ..operation.clone() })
    };
    operations.iter().filter_map(alike).collect()
}

struct Search<'a> {
    operations: &'a [Operation],
    rule: Rule,
    /// Those by which changes were settled, and which.
    settlements: Vec<(usize, u64)>,
    /// Which are in the order so far, one bit each.
    taken: Vec<u64>,
    /// How many of those that were answered are not in it.
    missing: usize,
    value: Value,
    tried: HashSet<(Vec<u64>, Value)>,
    /// The most answers that an order explained.
    furthest: usize,
}

/// One change in the order, with what was taken at once after it, and what could follow.
struct Step {
    taken: Vec<usize>,
    /// The value before.
    before: Value,
    choices: Vec<usize>,
    next: usize,
}

impl<'a> Search<'a> {
    fn new(operations: &'a [Operation], rule: Rule) -> Self {
        let taken = vec![0; operations.len().div_ceil(64)];
        let missing = operations.iter().filter(|operation| operation.returned.is_some()).count();
        let settlement = |(index, operation): (usize, &Operation)| match operation.action {
            Action::Settled(asked) => Some((index, asked)),
            _ => None,
        };
        let settlements = operations.iter().enumerate().filter_map(settlement).collect();
        let (value, tried, furthest) = (None, HashSet::new(), 0);
        Self { operations, rule, settlements, taken, missing, value, tried, furthest }
    }

    /// Whether there is an order, if that can be told.
    fn run(&mut self) -> Option<bool> {
        let first = self.absorb();
        let mut steps = vec![self.step(first, self.value, false)];
        loop {
            if self.missing == 0 {
                return Some(true);
            }
            let Some(step) = steps.last_mut() else { return Some(false) };
            let Some(choice) = step.choices.get(step.next).copied() else {
                let step = steps.pop();
                self.give_back(step.as_ref());
                continue;
            };
            step.next += 1;
            let before = self.value;
            self.value = self.operations[choice].action.apply(before).unwrap_or(before);
            self.take(choice);
            let mut taken = vec![choice];
            taken.extend(self.absorb());
            // Nobody knows of it and nothing has seen it: what comes next must.
            let must_be_seen = self.operations[choice].returned.is_none() && taken.len() == 1;
            let step = self.step(taken, before, must_be_seen);
            let is_new = self.tried.insert((self.taken.clone(), self.value));
            if self.tried.len() > STATES_MAX {
                return None;
            }
            if is_new {
                steps.push(step);
            } else {
                self.give_back(Some(&step));
            }
        }
    }

    fn step(&self, taken: Vec<usize>, before: Value, must_be_seen: bool) -> Step {
        Step { taken, before, choices: self.choices(must_be_seen), next: 0 }
    }

    fn is_taken(&self, index: usize) -> bool {
        self.taken[index / 64] >> (index % 64) & 1 == 1
    }

    fn take(&mut self, index: usize) {
        self.taken[index / 64] |= 1 << (index % 64);
        if self.operations[index].returned.is_some() {
            self.missing -= 1;
            self.furthest = self.furthest.max(self.operations.len() - self.missing);
        }
    }

    fn give_back(&mut self, step: Option<&Step>) {
        let Some(step) = step else { return };
        for index in &step.taken {
            self.taken[index / 64] &= !(1 << (index % 64));
            self.missing += usize::from(self.operations[*index].returned.is_some());
        }
        self.value = step.before;
    }

    /// Those that may come next: what was called after another was answered comes after that one.
    fn enabled(&self) -> impl Iterator<Item = usize> + use<'_> {
        let left = || (0..self.operations.len()).filter(|index| !self.is_taken(*index));
        let answers = left().filter_map(|index| self.operations[index].returned);
        let first_answer = answers.min().unwrap_or(u64::MAX);
        left().take_while(move |index| self.operations[*index].called <= first_answer)
    }

    /// Takes all that only look and fit; answers which.
    fn absorb(&mut self) -> Vec<usize> {
        let mut absorbed = Vec::new();
        loop {
            let fits = |index: &usize| {
                let action = self.operations[*index].action;
                action.is_read() && action.apply(self.value).is_some()
            };
            let fitting: Vec<usize> = self.enabled().filter(fits).collect();
            if fitting.is_empty() {
                return absorbed;
            }
            for index in fitting {
                self.take(index);
                absorbed.push(index);
            }
        }
    }

    /// What was called before this, and not answered, cannot come next: it has happened, or never
    /// does.
    fn settled(&self) -> u64 {
        let settled = self.settlements.iter().filter(|(index, _)| self.is_taken(*index));
        settled.map(|(_, asked)| *asked).max().unwrap_or(0)
    }

    /// The changes that may come next, the likeliest first.
    fn choices(&self, must_see: bool) -> Vec<usize> {
        let mut unknown: Vec<Action> = Vec::new();
        let mut choices = Vec::new();
        let settled = self.settled();
        for index in self.enabled() {
            let Operation { action, called, returned, .. } = self.operations[index];
            let Some(after) = action.apply(self.value) else { continue };
            if action.is_read() || (must_see && !action.depends_on(self.value)) {
                continue;
            }
            if returned.is_none() {
                if called < settled || after == self.value || unknown.contains(&action) {
                    continue;
                }
                unknown.push(action);
            }
            choices.push(index);
        }
        // They were called in this order.
        if matches!(self.rule, Rule::AnsweredFirst) {
            choices.sort_by_key(|index| self.operations[*index].returned.unwrap_or(u64::MAX));
        }
        choices
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;
    use crate::sim::Dice;

    fn operation(action: Action, called: u64, returned: impl Into<Option<u64>>) -> Operation {
        Operation { by: "client".to_owned(), action, called, returned: returned.into() }
    }

    use Action::{Differed, Listed, Removed, Saw, Set, Settled, Swap};

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
    fn what_was_not_answered_has_happened_when_it_is_settled_or_never_does() {
        let first = operation(Set(Some(1)), 1, 2);
        let early = operation(Set(Some(2)), 3, None);
        let late = operation(Set(Some(3)), 5, None);
        let settled = operation(Settled(4), 10, 10);
        let before = [first, early, late, settled];
        for (seen, fits) in [([1, 1], true), ([2, 2], true), ([1, 3], true), ([1, 2], false)] {
            let [one, other] = seen.map(|number| Saw(Some(number)));
            let looks = [operation(one, 11, 12), operation(other, 13, 14)];
            let history = [&before[..], &looks].concat();
            assert_eq!(check(&history).is_ok(), fits, "{seen:?}");
        }
        // A look that was answered after that may have come before.
        let across = [operation(Saw(Some(2)), 9, 12), operation(Saw(Some(1)), 13, 14)];
        assert!(check(&[&before[..3], &across[..1], &before[3..], &across[1..]].concat()).is_err());
        let overtaken = [operation(Saw(Some(1)), 9, 12), operation(Saw(Some(2)), 13, 14)];
        assert_eq!(
            check(&[&before[..3], &overtaken[..1], &before[3..], &overtaken[1..]].concat()),
            Ok(())
        );
    }

    #[test]
    fn many_changes_that_may_come_before_they_are_settled_are_decided_at_once() {
        let mut history: Vec<Operation> =
            (0..64).map(|number| operation(Set(Some(number)), number, None)).collect();
        history.push(operation(Settled(64), 100, 100));
        history.push(operation(Saw(Some(50)), 101, 102));
        assert_eq!(check(&history), Ok(()));
        history.push(operation(Saw(Some(51)), 103, 104));
        assert!(matches!(check(&history), Err(Misfit::NoOrder(_))));
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

    #[test]
    fn an_image_is_removed_with_the_tags_that_name_it_and_no_others() {
        let pushed = [operation(Set(Some(1)), 1, 2), operation(Removed(1), 3, 4)];
        assert_eq!(check(&[&pushed[..], &[operation(Saw(None), 5, 6)]].concat()), Ok(()));
        assert!(check(&[&pushed[..], &[operation(Saw(Some(1)), 5, 6)]].concat()).is_err());
        let moved = [
            operation(Set(Some(1)), 1, 2),
            operation(Set(Some(2)), 3, 4),
            operation(Removed(1), 5, 6),
        ];
        assert_eq!(check(&[&moved[..], &[operation(Saw(Some(2)), 7, 8)]].concat()), Ok(()));
        assert!(check(&[&moved[..], &[operation(Saw(None), 7, 8)]].concat()).is_err());
    }

    #[test]
    fn a_swap_that_is_tried_again_may_find_itself_done_and_nothing_else() {
        let (first, second) = (Some(1), Some(2));
        let swap = Swap { from: first, to: second };
        let set = operation(Set(first), 1, 2);
        let unheard = operation(swap, 3, None);
        let again = operation(swap, 7, 8);
        let seen = [set.clone(), unheard.clone(), operation(Saw(second), 5, 6), again.clone()];
        assert_eq!(check(&seen), Ok(()));
        assert_eq!(check(&[set.clone(), unheard.clone(), again.clone()]), Ok(()));
        let moved = operation(Set(Some(3)), 5, 6);
        assert!(check(&[set, moved, again]).is_err(), "it names something else");
        let absent = Swap { from: None, to: second };
        let both = [operation(absent, 1, 2), operation(absent, 3, 4)];
        assert!(check(&both).is_err(), "what must be absent is not");
    }

    /// `count` changes whose outcome is not known, each followed by `look`.
    fn doubtful(count: u64, change: impl Fn(u64) -> Action, look: Action) -> Vec<Operation> {
        (0..count)
            .flat_map(|number| {
                let at = number * 10;
                [operation(change(number), at, None), operation(look, at + 1, at + 2)]
            })
            .collect()
    }

    #[test]
    fn many_changes_that_nobody_saw_are_decided_at_once() {
        let unseen = |number| Set(Some(number));
        let end = operation(Saw(Some(99)), 500, 501);
        for (look, fits) in [(Saw(None), true), (Listed(true), true), (Differed(None), true)] {
            let mut history = doubtful(16, unseen, look);
            assert_eq!(check(&history).is_ok(), fits, "{look:?}");
            history.push(end.clone());
            assert!(matches!(check(&history), Err(Misfit::NoOrder(_))), "{look:?}");
        }
        // Alternately there and not there: each change explains one look, and there is none left.
        let mut history = Vec::new();
        for number in 0..16 {
            let at = number * 10;
            history.push(operation(Set(Some(number)), at, None));
            history.push(operation(Set(None), at + 1, None));
            history.push(operation(Listed(true), at + 2, at + 3));
            history.push(operation(Listed(false), at + 4, at + 5));
        }
        assert_eq!(check(&history), Ok(()));
        history.push(operation(Listed(true), 500, 501));
        assert!(matches!(check(&history), Err(Misfit::NoOrder(_))));
    }

    #[test]
    fn many_changes_that_may_come_late_are_decided_at_once() {
        // All are called first, and seen in another order.
        let mut history: Vec<Operation> =
            (0..16).map(|number| operation(Set(Some(number)), number, None)).collect();
        for number in 0..16 {
            let at = 100 + number * 10;
            history.push(operation(Saw(Some(15 - number)), at, at + 1));
        }
        assert_eq!(check(&history), Ok(()));
        // One is seen again, after others.
        history.push(operation(Saw(Some(15)), 900, 901));
        assert!(matches!(check(&history), Err(Misfit::NoOrder(_))));
    }

    /// What `clients` saw of a tag, on which each did `count` things: some take long, some nobody
    /// is answered, and of those some come later or not at all.
    fn of_a_register(seed: u64, clients: usize, count: usize) -> Vec<Operation> {
        let mut dice = Dice::new(seed, "register");
        let mut images = 0;
        let mut all = Vec::new();
        for _ in 0..clients {
            let mut now = 0;
            for _ in 0..count {
                let called = now + dice.number(1..=5);
                let delay_max = if dice.one_in(40) { 3_000 } else { 20 };
                let delay = dice.number(1..=delay_max);
                let (mut happens, answered) = (Some(called + delay), called + delay + 10);
                let is_answered = !dice.one_in(20);
                let action = match dice.number(0..=9) {
                    0..=3 => {
                        images += 1;
                        Set(Some(images))
                    }
                    4..=5 => Set(Some(dice.number(0..=images))),
                    6 => Set(None),
                    7 if dice.one_in(3) => Removed(dice.number(0..=images)),
                    _ if is_answered => Saw(None),
                    _ => continue,
                };
                if !is_answered {
                    let late = called + delay + dice.number(0..=5_000);
                    happens = (!dice.one_in(3)).then_some(late);
                }
                now = if is_answered { answered } else { called + 300 };
                let returned = is_answered.then_some(answered);
                all.push((happens, operation(action, called, returned)));
            }
        }
        all.sort_by_key(|(happens, operation)| (*happens, operation.called));
        let mut value = None;
        for (happens, Operation { action, .. }) in &mut all {
            match action {
                _ if happens.is_none() => {}
                Saw(seen) => *seen = value,
                _ => value = action.apply(value).unwrap(),
            }
        }
        all.sort_by_key(|(_, operation)| operation.called);
        all.into_iter().map(|(_, operation)| operation).collect()
    }

    #[test]
    fn what_a_register_did_fits_however_long_some_of_it_took() {
        for seed in 0..100 {
            let history = of_a_register(seed, 3, 300);
            assert_eq!(check(&history), Ok(()), "seed {seed}");
        }
    }

    #[test]
    fn what_a_register_did_not_do_is_found_among_a_thousand() {
        for seed in 0..5 {
            let mut history = of_a_register(seed, 2, 300);
            let at = history.iter().map(|operation| operation.called).max().unwrap() + 20_000;
            history.push(operation(Set(Some(1_000_000)), at, at + 1));
            history.push(operation(Saw(Some(1_000_000)), at + 2, at + 3));
            assert_eq!(check(&history), Ok(()), "seed {seed}");
            history.push(operation(Set(Some(1_000_001)), at + 4, at + 5));
            history.push(operation(Saw(Some(1_000_000)), at + 6, at + 7));
            assert!(check(&history).is_err(), "seed {seed}");
        }
    }

    #[test]
    fn many_at_once_are_decided_or_called_undecided() {
        let mut history: Vec<Operation> =
            (0..16).map(|number| operation(Set(Some(number)), number, 1000 + number)).collect();
        history.push(operation(Saw(Some(3)), 2000, 2001));
        assert_eq!(check(&history), Ok(()));
        history.push(operation(Saw(Some(4)), 2002, 2003));
        assert!(check(&history).is_err());
    }
}
