//! I19 and I20: once nothing is wrong any more, and also while one node is down, every other node
//! takes writes within a bound, and pulls go on through some node.

use std::time::Duration;

/// What a client wanted of the nodes, and when each had done it.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The node that it was wanted of.
    pub(crate) node: String,
    /// When it was done, since the cluster was as it is; `None` when it never was.
    pub(crate) done_after: Option<Duration>,
}

/// Checks that each attempt was done within `bound`; answers how long the slowest took.
///
/// # Errors
/// The attempts that were not.
pub(crate) fn check_resumed(attempts: &[Attempt], bound: Duration) -> Result<Duration, String> {
    let is_late = |attempt: &&Attempt| attempt.done_after.is_none_or(|after| after > bound);
    let late: Vec<String> = attempts
        .iter()
        .filter(is_late)
        .map(|attempt| match attempt.done_after {
            Some(after) => format!("{} took {after:?}", attempt.node),
            None => format!("{} took none", attempt.node),
        })
        .collect();
    if attempts.is_empty() {
        return Err("nobody tried".to_owned());
    }
    if !late.is_empty() {
        return Err(format!("of pushes within {bound:?}: {}", late.join(", ")));
    }
    Ok(attempts.iter().filter_map(|attempt| attempt.done_after).max().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(node: &str, seconds: impl Into<Option<u64>>) -> Attempt {
        let done_after = seconds.into().map(Duration::from_secs);
        Attempt { node: node.to_owned(), done_after }
    }

    #[test]
    fn a_node_that_takes_no_writes_or_takes_them_late_is_found() {
        let bound = Duration::from_secs(5);
        let slowest = check_resumed(&[attempt("a", 1), attempt("b", 4)], bound);
        assert_eq!(slowest, Ok(Duration::from_secs(4)));
        let refusing = check_resumed(&[attempt("a", 1), attempt("b", None)], bound);
        assert!(refusing.is_err_and(|reason| reason.contains("b took none")));
        assert!(check_resumed(&[attempt("a", 6)], bound).is_err());
        assert!(check_resumed(&[], bound).is_err());
    }
}
