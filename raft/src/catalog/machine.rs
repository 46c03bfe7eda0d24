//! The state machine that openraft drives: applies entries to the rows, and installs snapshots in
//! their place.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use openraft::entry::RaftEntry as _;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use proto::limits::SNAPSHOTS_DEFERRED_MAX;
use proto::{Mutant, Outcome, Stamped, Timestamp};
use storage::{Batch, Kv, Space};

use super::applied::Applied;
use super::decide::{Decision, NotDecided, decide};
use super::project::project;
use super::requests::Answers;
use super::snapshot::{
    CatalogSnapshot, FrozenRows, Sendings, SnapshotBuilder, StagedRows, Staging,
};
use super::view::current_generation;
use super::{View, journal};
use crate::ReadError;
use crate::error::io_error;
use crate::offload::offload;
use crate::types::{
    Entry, LogId, Response, SnapshotMeta, SnapshotOf, StoredMembership, TypeConfig,
};

/// The catalog's writer. There is one, and readers see each entry's changes all at once.
pub(crate) struct StateMachine {
    kv: Arc<dyn Kv>,
    view: View,
    applied: Applied,
    answers: Answers,
    staging: Staging,
    sendings: Sendings,
    /// How many snapshots in a row were not built because one was sent.
    deferred: u32,
}

impl StateMachine {
    /// The catalog as `kv` has it.
    pub(crate) fn open(kv: Arc<dyn Kv>) -> Result<Self, ReadError> {
        let generation = current_generation(&*kv)?;
        let view = View::of(Arc::<dyn Kv>::clone(&kv), generation);
        let applied = Applied::read(&view)?;
        let staging = Staging::open(Arc::clone(&kv), generation)?;
        let (answers, sendings) = (Answers::default(), Sendings::default());
        Ok(Self { kv, view, applied, answers, staging, sendings, deferred: 0 })
    }

    /// Makes what is applied durable.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        let kv = Arc::clone(&self.kv);
        offload(move || kv.flush().map_err(io_error)).await
    }

    /// Where snapshots that arrive are written.
    pub(crate) fn staging(&self) -> Staging {
        self.staging.clone()
    }

    /// Applies one entry: all of its changes in one batch, with the fact that it is applied.
    pub(super) fn apply_entry(&mut self, entry: &Entry) -> Result<Response, ReadError> {
        let mut batch = Batch::new();
        let mut applied = self.applied.clone();
        applied.last = Some(entry.log_id);
        let outcome = match &entry.payload {
            EntryPayload::Blank => None,
            EntryPayload::Membership(membership) => {
                applied.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
                None
            }
            EntryPayload::Normal(command) => {
                applied.pass(match Mutant::WallClockInDecide.is_active() {
                    true => wall_clock(),
                    false => command.when,
                });
                Some(self.apply_command(entry.index(), command, &applied, &mut batch)?)
            }
        };
        if Mutant::AppliedBeforeRows.is_active() {
            let mut early = Batch::new();
            early.put(self.view.keys().applied(), applied.encode());
            self.kv.write(Space::Catalog, early)?;
        }
        batch.put(self.view.keys().applied(), applied.encode());
        self.kv.write(Space::Catalog, batch)?;
        self.applied = applied;
        Ok(Response { outcome })
    }

    fn apply_command(
        &mut self,
        index: u64,
        command: &Stamped,
        applied: &Applied,
        batch: &mut Batch,
    ) -> Result<Outcome, ReadError> {
        if let Some(first) = self.view.answer(&command.request)?
            && !Mutant::RequestsRepeated.is_active()
        {
            let request = command.request;
            tracing::debug!(index, %request, "a repeated request gets its first answer");
            return Ok(first);
        }
        let when = applied.when;
        let outcome = match decide(&self.view, index, command.when, &command.command) {
            Ok(Decision { events, answer }) => {
                for event in &events {
                    project(&self.view, when, event, batch)?;
                }
                journal::record(self.view.keys(), index, when, command, &events, batch);
                Ok(answer)
            }
            Err(NotDecided::Refused(refusal)) => Err(refusal),
            Err(NotDecided::Unreadable(error)) => return Err(error),
        };
        self.answers.remember(&self.view, applied, &command.request, &outcome, batch)?;
        Ok(outcome)
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = CatalogSnapshot;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    /// Writes one batch for each entry, and answers it at once. So no proposer waits for the
    /// entries after its own, and the rules for an entry read what the one before it left from the
    /// store, and nowhere else. One batch for several entries would save nothing. The catalog's
    /// batches are not synced, and cost as much alone as sixteen at a time: some 8 of the 50
    /// microseconds that an entry takes.
    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let response = self.apply_entry(&entry).map_err(io_error)?;
            if let Some(responder) = responder {
                responder.send(response);
            }
        }
        Ok(())
    }

    /// Builds none while a catalog is on its way to another node, unless openraft must have one.
    /// The log would be purged up to the new snapshot. A node that receives the catalog for longer
    /// than that would then lack the entries after it, and need the next snapshot, and so on. The
    /// wait has an end, [`SNAPSHOTS_DEFERRED_MAX`]: a node that takes one catalog after the other
    /// and never installs one, because its disk is full, say, must not fill this node's disk with
    /// the log.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        if self.sendings.are_under_way() && !force && self.deferred < SNAPSHOTS_DEFERRED_MAX {
            self.deferred += 1;
            return None;
        }
        self.deferred = 0;
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let frozen = View::of(self.kv.freeze(), self.view.keys().generation());
        SnapshotBuilder::new(Arc::clone(&self.kv), frozen)
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: CatalogSnapshot,
    ) -> io::Result<()> {
        let staged = match snapshot {
            CatalogSnapshot::Staged(staged) => staged,
            CatalogSnapshot::Frozen(mut frozen) => {
                let mut staged = self.staging.begin();
                copy(&mut frozen, &mut staged)?;
                staged
            }
        };
        let applied = staged.applied()?;
        if applied.last != meta.last_log_id {
            let reason = format!(
                "a snapshot up to {:?} has rows up to {:?}",
                meta.last_log_id, applied.last
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let old = self.view.keys().generation();
        let generation = offload(move || staged.make_current(old)).await?;
        self.view = View::of(Arc::<dyn Kv>::clone(&self.kv), generation);
        let before = std::mem::replace(&mut self.applied, applied);
        if Mutant::MembershipNotInstalled.is_active() {
            self.applied.membership = before.membership;
        }
        self.answers = Answers::default();
        let index = self.applied.last.map(|last| last.index);
        tracing::info!(index, "a snapshot has taken the place of the catalog");
        Ok(())
    }

    /// The rows as they are now: newer than the last snapshot that was built, which is as good for
    /// a node that lags. They are not made durable for that: openraft asks anew for each attempt to
    /// send them, every second while that node is down, and nothing is applied meanwhile.
    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<CatalogSnapshot>>> {
        if self.applied.last.is_none() {
            return Ok(None);
        }
        let frozen = View::of(self.kv.freeze(), self.view.keys().generation());
        let snapshot = CatalogSnapshot::Frozen(FrozenRows::new(&frozen, &self.sendings));
        Ok(Some(SnapshotOf { meta: self.applied.meta(), snapshot }))
    }
}

/// What a state machine must never ask for: see [`Mutant::WallClockInDecide`].
#[expect(clippy::disallowed_methods, reason = "a fault that is put in on purpose")]
fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::default().plus(since.unwrap_or_default())
}

fn copy(from: &mut FrozenRows, to: &mut StagedRows) -> io::Result<()> {
    loop {
        let rows = from.next_rows(proto::limits::SNAPSHOT_CHUNK_BYTES)?;
        if rows.is_empty() {
            return Ok(());
        }
        to.write_rows(rows)?;
    }
}
