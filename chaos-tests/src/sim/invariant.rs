//! The names of what is checked: each claim that a run can violate, and its number.

use std::fmt;

/// Makes of each doc comment also the text that [`Invariant::table`] prints.
macro_rules! invariants {
    ($($(#[doc = $line:literal])+ $variant:ident($number:literal, $name:literal),)+) => {
        /// A claim that a run must not violate. Claims of one subject share a number; some have
        /// none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Invariant {
            $($(#[doc = $line])+ $variant,)+
        }

        impl Invariant {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its number, empty where it has none, and its name.
            const fn called(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => ($number, $name),)+
                }
            }

            /// What it says.
            const fn claim(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($line),+),)+
                }
            }
        }
    };
}

invariants! {
    /// A manifest that was acknowledged, or seen, is there through every node until somebody
    /// deletes it.
    NothingLost("I1", "nothing acknowledged is lost"),
    /// What all clients saw of each tag fits one order, in which no retry brings back what was
    /// overwritten, conditions (I3) and lists included.
    TagsLinearizable("I2", "tags are linearizable"),
    /// All that a manifest names is there, and cannot be deleted, for as long as the manifest is.
    Complete("I4", "manifests are complete"),
    /// Bytes, and what answers say of them, are those that were pushed, unless the store has just
    /// changed them.
    NoWrongByte("I5", "no wrong byte"),
    /// When all is swept, the object store holds every object that the catalog names, with the
    /// bytes that were pushed.
    NeededKept("I6", "what is needed is kept"),
    /// When all is swept, the object store holds nothing else.
    GarbageSwept("I7", "garbage is swept"),
    /// A blob that was acknowledged, or seen, is there through every node until somebody deletes
    /// it or it rots.
    BlobsKept("I8", "acknowledged blobs are everywhere"),
    /// Nodes that have applied the log equally far have the same catalog, to the byte.
    SameState("I9", "equal index, equal state"),
    /// Each term has at most one leader, which has all that was applied before; terms do not go
    /// back, nor do applied entries while a node runs.
    Raft("I11", "Raft"),
    /// Logs with an entry of the same index and term are the same up to there, and what was known
    /// to be committed stays.
    LogsMatch("I11", "logs match"),
    /// What was deleted, or seen to be gone, is gone through every node until somebody puts it
    /// there again.
    DeletesShow("I13", "a delete shows everywhere"),
    /// Lists have all that is there and nothing else, in order; their pages lose and double
    /// nothing.
    ListsExact("I14", "lists are exact"),
    /// An upload holds what was acknowledged, and whole chunks of one client only.
    UploadsUnmixed("I15", "uploads never mix bytes"),
    /// An upload is finished or cancelled, and not both.
    UploadsEndOnce("I15", "an upload ends once"),
    /// What was refused has no effect, and nothing appears that nobody has asked for.
    RefusedInVain("I16", "what is refused has no effect"),
    /// Of the errors of a server only 503 is given, and that with `Retry-After`.
    OnlyUnavailable("I16", "no 5xx but 503"),
    /// An answer has a status that what is known of the matter allows.
    AnswersAllowed("I16", "every answer is one that the situation allows"),
    /// A stranger is told the same of what is there and of what is not.
    NothingLeaks("I17", "nothing leaks"),
    /// An account may do what its rights allow, and nothing else, whatever comes of changes under
    /// way.
    RightsAsTold("I17", "rights are as they were told"),
    /// What all clients were told of each right fits one order: once given it can be used through
    /// every node, and once taken back through none.
    RightsLinearizable("I17", "rights are linearizable"),
    /// A node that nobody asks for anything has only the tasks that it needs, and no frozen
    /// catalog.
    AtRest("I18", "nodes come to rest"),
    /// Once nothing is wrong any more, the nodes soon have a leader and the right voters, have
    /// caught up, and answer.
    Healed("I19", "healed"),
    /// Every node takes a push soon: once all has healed, and then while another is down.
    WritesResume("I19", "writes resume"),
    /// No node warns that it has lost its cluster while all is well.
    NobodyAlone("I20", "nodes that are not alone do not say so"),
    /// Pulls by digest do not fail while one node is down.
    OneDown("I20", "one node may be down"),
    /// A node whose store has failed stops: it neither votes nor serves from what it cannot read.
    FailedStops("I22", "a node whose store has failed stops"),
    /// A node that nothing has happened to starts and goes on, whatever it finds.
    OnlyFailedStops("I22", "only a node whose store has failed stops"),
    /// The catalog on a disk can be read after each batch that the disk takes.
    CatalogReadable("I22", "the catalog can be read"),
    /// A node learns that it was removed only if somebody has asked for that, and is no member once
    /// it is acknowledged.
    Removals("", "a node is removed if somebody asks for it, and for good"),
    /// In a scenario, what its story expects comes true.
    Story("", "the story goes as it is told"),
    /// Nothing panics.
    NoPanic("", "no panic"),
}

impl Invariant {
    /// All of them as a table in Markdown.
    pub fn table() -> String {
        let mut table = "| | invariant | says |\n|---|---|---|\n".to_owned();
        for invariant in Self::ALL {
            let ((number, name), claim) = (invariant.called(), invariant.claim().trim());
            table.push_str(&format!("| {number} | {name} | {claim} |\n"));
        }
        table
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.called() {
            ("", name) => f.write_str(name),
            (number, name) => write!(f, "{number} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Numbers of what no run violates by itself: it is checked along with others, by tests of its
    /// own, or not at all.
    const CHECKED_ELSEWHERE: [&str; 5] = ["I3", "I10", "I12", "I21", "I23"];

    #[test]
    fn the_table_of_the_guide_has_the_same_numbers() {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/simulation.md");
        let guide = fs::read_to_string(guide).unwrap();
        let table = guide.lines().skip_while(|line| !line.starts_with("| | invariant |"));
        let rows = table.take_while(|line| line.starts_with('|')).skip(2);
        let numbers = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim);
        let listed: BTreeSet<_> = numbers.collect();
        let violated = Invariant::ALL.iter().map(|invariant| invariant.called().0);
        let violated = violated.filter(|number| !number.is_empty());
        assert_eq!(listed, violated.chain(CHECKED_ELSEWHERE).collect());
    }

    #[test]
    fn invariants_have_names_of_their_own_and_stand_in_the_order_of_their_numbers() {
        let names: BTreeSet<_> = Invariant::ALL.iter().map(|one| one.called().1).collect();
        assert_eq!(names.len(), Invariant::ALL.len());
        let numbers = Invariant::ALL.iter().map(|one| one.called().0.strip_prefix('I'));
        let numbers = numbers.map(|digits| digits.map_or(Ok(u32::MAX), str::parse));
        assert!(numbers.map(|number| number.ok()).is_sorted());
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let table = Invariant::table();
        assert_eq!(table.lines().count(), 2 + Invariant::ALL.len());
        let row = "| I7 | garbage is swept | When all is swept, the object store holds nothing \
                   else. |";
        assert!(table.lines().any(|line| line == row), "{table}");
        assert_eq!(Invariant::NoPanic.to_string(), "no panic");
    }
}
