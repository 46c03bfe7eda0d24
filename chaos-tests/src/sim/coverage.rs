//! What must have happened: in each run, so that it shows something; and in many runs together, so
//! that nothing that can go wrong is left out.

use std::collections::BTreeMap;

use super::client::Ask;

/// What must have happened in a sweep, beside answers to each kind of request.
const MUST_HAPPEN: &[&str] = &[
    "faults: node killed",
    "faults: long outage",
    "faults: all nodes killed",
    "faults: node stopped in order",
    "faults: rolling restart",
    "faults: network cut",
    "faults: network cut in one direction",
    "faults: slow network",
    "faults: lossy network",
    "faults: slow disk",
    "faults: full disk",
    "faults: broken disk",
    "faults: object store away",
    "faults: object store failing",
    "faults: slow object store",
    "faults: late lists of objects",
    "faults: wrong clock",
    "faults: changed blob",
    "faults: shortened blob",
    "damaged blobs that were absent",
    "faults: flipped bit",
    "faults: messages held back",
    "faults: two sides with a bridge",
    "faults: node removed",
    "faults: two nodes removed at once",
    "removed nodes that came back as new ones",
    "flipped bits that were found",
    "reads that failed",
    "objects swept",
    "log entries compared",
    "commits seen in logs",
    "nodes that ended by themselves",
    "crashes that lost unsynced writes",
    "crashes between two writes",
    "failures between two writes",
    "syncs that were shared",
    "calls to the object store that failed",
    "S3: answered 429",
    "S3: answered 500",
    "S3: answered 503",
    "S3: answered 500 to what was done",
    "S3: answers lost",
    "S3: bodies broken off",
    "S3: bodies with another byte",
    "S3: ranges with another byte",
    "S3: connections cut",
    "S3: errors in a 200",
    "S3: late lists",
    "S3: requests that came late",
    "S3: uploads in parts completed",
    "large blobs acknowledged",
    "elections",
    "snapshots installed",
    "repeated requests answered from memory",
    "answers: 503",
    "answers: none",
    "answers: without a quorum",
    "changes of unknown outcome",
    "requests: broken off in the middle of a chunk",
    "requests: broken off before the answer",
    "requests: uploads resumed",
    "requests: finished twice",
    "requests: two hands in one upload",
    "requests: finished and cancelled at once",
    "requests: put and deleted at once",
    "requests: index put and image deleted at once",
    "requests: index without one of its images",
    "lists: further pages",
    "indexes acknowledged",
    "indexes pulled",
    "manifests that an index kept",
    "blobs that a manifest kept",
    "manifests deleted",
    "manifests deleted that another repository has",
    "blobs deleted",
    "referrers deleted",
    "blobs mounted",
    "blobs mounted from where they were found",
    "blobs to mount that were found nowhere",
    "nodes audited",
    "nodes at rest",
    "rights: changed",
    "rights: seen",
    "rights: refused",
    "rights: tokens accepted",
    "rights: tokens given without a quorum",
    "rights: pushed",
    "rights: pushes refused",
    "rights: deleted",
    "rights: deletions refused",
    "rights: uploads of others tried",
    "strangers refused",
    "strangers that nothing was mounted for",
    "strangers that no source was found for",
    "strangers that nothing was found for",
    "strangers that got hold of an upload",
    "strangers that nothing was listed for",
    "strangers told nothing of what was there",
];

/// What did not happen in a run that shows nothing without it. That clients read is not needed: in
/// the end all tags are read, and have to be what was acknowledged.
pub(crate) fn idle(coverage: &BTreeMap<&'static str, u64>) -> Option<&'static str> {
    let happened = |what: &str| coverage.get(what).copied().unwrap_or(0) > 0;
    if !happened("leaders") {
        return Some("no node ever led");
    }
    if !happened("manifests acknowledged") {
        return Some("no push was ever acknowledged");
    }
    if !coverage.keys().any(|what| what.starts_with("faults: ")) {
        return Some("nothing ever went wrong");
    }
    None
}

/// What did not happen of what had to.
pub(crate) fn missing(
    coverage: &BTreeMap<&'static str, u64>,
    must_happen: &[&'static str],
) -> Option<&'static str> {
    must_happen.iter().copied().find(|what| coverage.get(what).copied().unwrap_or(0) == 0)
}

/// What happened fewer than so many `times` in many runs together, though it should.
pub fn too_seldom(coverage: &BTreeMap<String, u64>, times: u64) -> Vec<&'static str> {
    let answers = Ask::ALL.into_iter().map(Ask::name);
    let expected = MUST_HAPPEN.iter().copied().chain(answers);
    expected.filter(|what| coverage.get(*what).copied().unwrap_or(0) < times).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_too_seldom_is_named() {
        let all = too_seldom(&BTreeMap::new(), 2).into_iter().map(|what| (what.to_owned(), 2));
        let mut coverage: BTreeMap<String, u64> = all.collect();
        assert_eq!(coverage.len(), MUST_HAPPEN.len() + Ask::ALL.len());
        assert_eq!(too_seldom(&coverage, 2), Vec::<&str>::new());
        coverage.remove("snapshots installed");
        coverage.insert("elections".to_owned(), 1);
        assert_eq!(too_seldom(&coverage, 2), ["elections", "snapshots installed"]);
        assert_eq!(too_seldom(&coverage, 1), ["snapshots installed"]);
    }

    #[test]
    fn a_run_in_which_nothing_happens_is_idle() {
        let mut coverage = BTreeMap::new();
        for (what, missing) in [
            ("leaders", Some("no push was ever acknowledged")),
            ("manifests acknowledged", Some("nothing ever went wrong")),
            ("faults: node killed", None),
        ] {
            assert!(idle(&coverage).is_some());
            coverage.insert(what, 1);
            assert_eq!(idle(&coverage), missing);
        }
    }
}
