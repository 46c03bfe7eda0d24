//! What can be wrong with a network, and what becomes of a packet in it.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::sim::Dice;

/// Places that a network joins, by their numbers: clients are at 0, nodes at 1 and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports(u8);

impl Ports {
    pub(crate) const ALL: Self = Self(u8::MAX);
    pub(crate) const CLIENTS: Self = Self(1);

    /// One place.
    pub(crate) const fn one(port: usize) -> Self {
        Self(1 << port)
    }

    /// All but these.
    pub(crate) const fn others(self) -> Self {
        Self(!self.0)
    }

    /// Those of both.
    pub(crate) const fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    pub(crate) const fn contains(self, port: usize) -> bool {
        self.0 & (1 << port) != 0
    }
}

/// Something that is wrong on the way from some places to some.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) from: Ports,
    pub(crate) to: Ports,
    pub(crate) what: What,
}

/// What befalls packets. Shares are of a thousand.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// They do not arrive. All of them: the line is cut.
    Lost(u64),
    /// They arrive after so many milliseconds; and so after others that were sent later.
    Late(u64, RangeInclusive<u64>),
    /// They arrive twice.
    Doubled(u64),
    /// A bit of them is another.
    Damaged(u64),
}

impl Fault {
    /// Nothing comes through from `from` to `to`.
    pub(crate) const fn cut(from: Ports, to: Ports) -> Self {
        Self { from, to, what: What::Lost(1000) }
    }

    fn strikes(&self, from: usize, to: usize) -> bool {
        self.from.contains(from) && self.to.contains(to)
    }
}

/// What becomes of a packet: after which times it arrives, and whether it is damaged then.
#[derive(Debug, Default)]
pub(super) struct Fate {
    pub(super) arrivals: Vec<Duration>,
    pub(super) is_damaged: bool,
}

impl Fate {
    /// Draws what becomes of a packet on its way `from` one place `to` another.
    pub(super) fn draw<'a>(
        faults: impl Iterator<Item = &'a Fault>,
        from: usize,
        to: usize,
        dice: &mut Dice,
    ) -> Self {
        let (mut is_lost, mut is_doubled, mut is_damaged) = (false, false, false);
        let mut late = Duration::ZERO;
        for fault in faults.filter(|fault| fault.strikes(from, to)) {
            let mut is_struck = |share: &u64| dice.number(1..=1000) <= *share;
            match &fault.what {
                What::Lost(share) => is_lost |= is_struck(share),
                What::Doubled(share) => is_doubled |= is_struck(share),
                What::Damaged(share) => is_damaged |= is_struck(share),
                What::Late(share, by) if is_struck(share) => late += dice.millis(by.clone()),
                What::Late(..) => {}
            }
        }
        let count = if is_lost { 0 } else { 1 + usize::from(is_doubled) };
        Self { arrivals: vec![late; count], is_damaged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(faults: &[Fault], from: usize, to: usize) -> Vec<Fate> {
        let mut dice = Dice::new(1, "fates");
        (0..1000).map(|_| Fate::draw(faults.iter(), from, to, &mut dice)).collect()
    }

    #[test]
    fn a_line_that_is_cut_one_way_carries_everything_the_other_way() {
        let cut = [Fault::cut(Ports::one(1), Ports::one(1).others())];
        assert!(fates(&cut, 1, 2).iter().all(|fate| fate.arrivals.is_empty()));
        assert!(fates(&cut, 2, 1).iter().all(|fate| fate.arrivals == [Duration::ZERO]));
        assert!(fates(&cut, 2, 3).iter().all(|fate| fate.arrivals == [Duration::ZERO]));
    }

    #[test]
    fn faults_strike_the_share_that_they_say_and_together_do_what_each_does() {
        let (from, to) = (Ports::ALL, Ports::ALL);
        let all = [What::Lost(100), What::Late(500, 5..=9), What::Doubled(200), What::Damaged(50)];
        let fates = fates(&all.map(|what| Fault { from, to, what }), 0, 3);
        let count = |is: fn(&Fate) -> bool| fates.iter().filter(|fate| is(fate)).count();
        assert!((60..140).contains(&count(|fate| fate.arrivals.is_empty())));
        assert!((130..230).contains(&count(|fate| fate.arrivals.len() == 2)));
        assert!((20..80).contains(&count(|fate| fate.is_damaged)));
        let late = |fate: &Fate| fate.arrivals.first().is_some_and(|by| !by.is_zero());
        assert!((390..510).contains(&count(late)));
        let times = Duration::from_millis(5)..=Duration::from_millis(9);
        let all = fates.iter().flat_map(|fate| &fate.arrivals);
        assert!(all.filter(|by| !by.is_zero()).all(|by| times.contains(by)));
    }
}
