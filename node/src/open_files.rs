//! How many file descriptors the process may have, and whether these are enough.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Descriptors that a transfer takes beside its client's connection: a blob's file, and the
/// connection to a bucket that this is filled from.
const PER_TRANSFER: u64 = 2;

/// Descriptors for all else: the 256 tables that RocksDB holds open, the 256 connections of
/// operators, those between nodes, and logs.
const RESERVE: u64 = 1024;

/// Lets the process have as many descriptors as it may, and warns when these are too few for what
/// clients may have by `limits`. Services begin with 1,024, however many they may have: for
/// programs that use select(2), which this one does not.
pub(crate) fn raise(limits: &Limits) {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, ..before };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    if let Some(shortage) = shortage(getrlimit(Resource::Nofile).current, limits) {
        tracing::warn!("{shortage}");
    }
}

/// What to do when `allowed` descriptors, where `None` is any number, are too few.
fn shortage(allowed: Option<u64>, limits: &Limits) -> Option<String> {
    let (connections, transfers) = (limits.connections.get() as u64, limits.transfers.get() as u64);
    let needed = connections + PER_TRANSFER * transfers + RESERVE;
    let allowed = allowed.filter(|allowed| *allowed < needed)?;
    Some(format!(
        "the system lets this process have {allowed} open files, but limits.connections = \
         {connections} and limits.transfers = {transfers} may take {needed}: raise the hard limit \
         (LimitNOFILE= in systemd, --ulimit nofile= in Docker, ulimit -Hn in a shell), or lower \
         limits.connections"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;
    use crate::Config;
    use crate::config::Source;

    #[test]
    fn the_process_may_have_as_many_descriptors_as_the_system_allows() {
        raise(&Config::read(&mut Source::default()).unwrap().limits);
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
    }

    #[test]
    fn too_few_descriptors_for_what_clients_may_have_are_told() {
        let limits = Config::read(&mut Source::default()).unwrap().limits;
        for allowed in [None, Some(u64::MAX), Some(8192 + 2 * 512 + 1024)] {
            assert_eq!(shortage(allowed, &limits), None);
        }
        let said = shortage(Some(4096), &limits).unwrap();
        assert!(said.contains("have 4096 open files, but limits.connections = 8192"), "{said}");
        assert!(said.contains("may take 10240: raise the hard limit"), "{said}");
    }
}
