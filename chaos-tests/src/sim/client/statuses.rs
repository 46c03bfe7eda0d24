//! Which answers each request may get in each situation: everything else is a violation. Beside
//! these, a node may always be unable to help: 503 with `Retry-After`.

use crate::sim::ledger::{Item, Kind, Ledger, May, Source, Ticket};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    HeadBlob,
    GetBlob,
    GetRange,
    Begin,
    PostWhole,
    Mount,
    Append,
    Show,
    Finish,
    FinishWrongly,
    Cancel,
    DeleteBlob,
    HeadManifest,
    GetManifest,
    PutManifest,
    PutManifestIf,
    DeleteManifest,
    DeleteTag,
    ListTags,
    ListReferrers,
    ListRepositories,
}

impl Ask {
    /// All of them.
    pub(crate) const ALL: [Self; 21] = [
        Self::HeadBlob,
        Self::GetBlob,
        Self::GetRange,
        Self::Begin,
        Self::PostWhole,
        Self::Mount,
        Self::Append,
        Self::Show,
        Self::Finish,
        Self::FinishWrongly,
        Self::Cancel,
        Self::DeleteBlob,
        Self::HeadManifest,
        Self::GetManifest,
        Self::PutManifest,
        Self::PutManifestIf,
        Self::DeleteManifest,
        Self::DeleteTag,
        Self::ListTags,
        Self::ListReferrers,
        Self::ListRepositories,
    ];

    /// To delete what is of this kind.
    pub(super) const fn delete(kind: Kind) -> Self {
        match kind {
            Kind::Blob => Self::DeleteBlob,
            Kind::Manifest => Self::DeleteManifest,
        }
    }

    /// As what answers to it are counted that are none of "not now".
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::HeadBlob => "answers: blob described",
            Self::GetBlob => "answers: blob pulled",
            Self::GetRange => "answers: part of a blob pulled",
            Self::Begin => "answers: upload begun",
            Self::PostWhole => "answers: blob pushed at once",
            Self::Mount => "answers: blob mounted",
            Self::Append => "answers: chunk appended",
            Self::Show => "answers: upload shown",
            Self::Finish => "answers: upload finished",
            Self::FinishWrongly => "answers: upload with a wrong digest",
            Self::Cancel => "answers: upload cancelled",
            Self::DeleteBlob => "answers: blob deleted",
            Self::HeadManifest => "answers: manifest described",
            Self::GetManifest => "answers: manifest pulled",
            Self::PutManifest => "answers: manifest put",
            Self::PutManifestIf => "answers: manifest put on a condition",
            Self::DeleteManifest => "answers: manifest deleted",
            Self::DeleteTag => "answers: tag deleted",
            Self::ListTags => "answers: tags listed",
            Self::ListReferrers => "answers: referrers listed",
            Self::ListRepositories => "answers: repositories listed",
        }
    }
}

/// What is known of what a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// It is there: the item; what a manifest names; the upload, as its client knows it.
    There,
    /// It is not.
    Absent,
    /// A manifest that is there names it.
    Needed,
    /// It may be there, or not, and a manifest that names it too.
    PerhapsNeeded,
    /// It may be there, or not; for an upload, it may have more than its client knows.
    Unsure,
    /// It is a blob, or an upload that became one, of which the store has changed or lost bytes.
    Damaged,
    /// It is an upload that may have ended: nothing was written to it for so long that it may have
    /// been swept, or a request that ends it was sent and nobody has answered it. Beside that, it
    /// may have more than its client knows.
    PerhapsEnded,
}

impl From<May> for Situation {
    fn from(may: May) -> Self {
        match may {
            May::There => Self::There,
            May::Absent => Self::Absent,
            May::Either => Self::Unsure,
        }
    }
}

impl Situation {
    /// What can be the case with a blob or manifest for a request that was sent at `called`.
    pub(crate) fn of(ledger: &Ledger, item: &Item, called: u64, source: Source) -> Self {
        match ledger.may(item, called, source) {
            May::There | May::Either if ledger.may_be_damaged(item, called) => Self::Damaged,
            may => may.into(),
        }
    }

    /// What can be the case with the blob or manifest that a request is to delete.
    pub(super) fn of_deletion(ledger: &Ledger, ticket: &Ticket) -> Self {
        let may = ledger.may_before(ticket);
        match (may, ledger.may_be_needed(&ticket.item, ticket.called)) {
            (May::Absent, _) | (_, May::Absent) => may.into(),
            (_, May::There) => Self::Needed,
            (_, May::Either) => Self::PerhapsNeeded,
        }
    }
}

/// The answers to a request.
pub(crate) const fn allowed(ask: Ask, situation: Situation) -> &'static [u16] {
    use Situation::{Absent, Damaged, Needed, PerhapsEnded, PerhapsNeeded, There, Unsure};
    match (ask, situation) {
        (Ask::HeadBlob | Ask::GetBlob, Damaged) => &[200, 404],
        (Ask::GetRange, Damaged) => &[206, 404],
        (Ask::Mount, Damaged) => &[201, 202],
        // When it is ended again, what is read to compare the digest is not what was pushed.
        (Ask::Finish, Damaged) => &[201, 400, 404, 416],
        (_, Damaged) => allowed(ask, Unsure),

        (Ask::HeadBlob | Ask::GetBlob | Ask::HeadManifest | Ask::GetManifest, There) => &[200],
        (
            Ask::HeadBlob | Ask::GetBlob | Ask::HeadManifest | Ask::GetManifest,
            Unsure | PerhapsEnded,
        ) => &[200, 404],
        (Ask::GetRange, There) => &[206],
        (Ask::GetRange, Unsure | PerhapsEnded) => &[206, 404],

        (Ask::Begin, _) => &[202],
        (Ask::PostWhole, There) => &[201],
        (Ask::PostWhole, Absent | Unsure | PerhapsEnded) => &[201, 404],
        // What cannot be mounted begins an upload.
        (Ask::Mount, There) => &[201],
        (Ask::Mount, Absent) => &[202],
        (Ask::Mount, Unsure | PerhapsEnded) => &[201, 202],

        (Ask::Append, There) => &[202],
        (Ask::Append, Unsure) => &[202, 416],
        // A node that is behind may take a chunk of an upload that has ended, to no effect.
        (Ask::Append, Absent | PerhapsEnded) => &[202, 404, 416],
        (Ask::Show | Ask::Cancel, There | Unsure) => &[204],
        (Ask::Show | Ask::Cancel, PerhapsEnded) => &[204, 404],
        (Ask::Finish, There) => &[201],
        // The same request may have come before, and its blob been deleted since.
        (Ask::Finish, Unsure | PerhapsEnded) => &[201, 404, 416],
        (Ask::FinishWrongly, There) => &[400],
        (Ask::FinishWrongly, Unsure | PerhapsEnded) => &[400, 404, 416],

        // What a manifest needs stays.
        (Ask::DeleteBlob | Ask::DeleteManifest, Needed) => &[409],
        (Ask::DeleteBlob | Ask::DeleteManifest, PerhapsNeeded) => &[202, 404, 409],
        (_, Needed) => allowed(ask, There),
        (_, PerhapsNeeded) => allowed(ask, Unsure),
        (Ask::DeleteBlob | Ask::DeleteManifest | Ask::DeleteTag, There) => &[202],
        (Ask::DeleteBlob | Ask::DeleteManifest | Ask::DeleteTag, Unsure | PerhapsEnded) => {
            &[202, 404]
        }

        (Ask::PutManifest, There) => &[201],
        (Ask::PutManifest, Unsure | PerhapsEnded) => &[201, 404],
        (Ask::PutManifestIf, There) => &[201, 412],
        (Ask::PutManifestIf, Unsure | PerhapsEnded) => &[201, 404, 412],
        (Ask::PutManifestIf, Absent) => &[404, 412],

        // Until somebody has pushed to it, there is no repository.
        (Ask::ListTags, _) => &[200, 404],
        (Ask::ListReferrers | Ask::ListRepositories, _) => &[200],

        (_, Absent) => &[404],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_has_answers_in_every_situation_and_a_name_of_its_own() {
        for ask in Ask::ALL {
            let (there, absent) = (Situation::There, Situation::Absent);
            let (unsure, damaged) = (Situation::Unsure, Situation::Damaged);
            let (needed, perhaps) = (Situation::Needed, Situation::PerhapsNeeded);
            let perhaps_ended = Situation::PerhapsEnded;
            for situation in [there, absent, needed, perhaps, unsure, damaged, perhaps_ended] {
                let statuses = allowed(ask, situation);
                assert!(!statuses.is_empty(), "{ask:?} {situation:?}");
                assert!(statuses.iter().all(|status| *status < 500), "{ask:?} {situation:?}");
            }
            // An upload of which little is known is there all the same.
            let is_of_upload = matches!(ask, Ask::Append | Ask::Show | Ask::Cancel);
            let perhaps_ended = allowed(ask, Situation::PerhapsEnded);
            assert!(
                allowed(ask, Situation::Unsure).iter().all(|status| perhaps_ended.contains(status))
            );
            for sure in [unsure, needed] {
                let perhaps = allowed(ask, perhaps);
                assert!(allowed(ask, sure).iter().all(|status| perhaps.contains(status)));
            }
            for sure in [Situation::There, Situation::Absent] {
                let unsure = allowed(ask, Situation::Unsure);
                let is_among = |status: &u16| unsure.contains(status) || is_of_upload;
                assert!(allowed(ask, sure).iter().all(is_among), "{ask:?} {sure:?}");
            }
            assert_eq!(Ask::ALL.iter().filter(|other| other.name() == ask.name()).count(), 1);
        }
    }
}
