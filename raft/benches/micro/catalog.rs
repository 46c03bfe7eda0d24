//! The rules, the rows that follow from what they decide, and both with the journal, the answers
//! and the batch that they become: what a node does with each entry of the log.
//!
//! They are not public, and what is, [`raft::Cluster`], shows them only behind consensus, which
//! costs ten times as much; so they are reached through [`raft::BareCatalog`].

use std::cell::Cell;

use divan::{Bencher, black_box};
use proto::{Command, Event, RepoName, Stamped, Timestamp};
use raft::BareCatalog;
use tempfile::TempDir;

use crate::sample::{BLOBS, Engine, delete, found, link, push, push_into, stamped, tag};

/// Images that the catalog has.
const IMAGES: u64 = 2_000;

/// A catalog of many images, and the folder of its store.
struct Fixture {
    catalog: BareCatalog,
    /// The number of the next request.
    next: Cell<u64>,
    _folder: Option<TempDir>,
}

impl Fixture {
    fn new(engine: Engine) -> Self {
        let (kv, folder) = engine.open();
        let catalog = BareCatalog::new(kv).unwrap();
        let mut fixture = Self { catalog, next: Cell::new(1), _folder: folder };
        fixture.apply(found());
        BLOBS.for_each(|number| fixture.apply(link(number)));
        (0..IMAGES).for_each(|number| fixture.apply(push(number, tag(number))));
        fixture
    }

    fn apply(&mut self, command: Command) {
        let request = self.request(command);
        self.catalog.apply(request).unwrap().unwrap().unwrap();
    }

    /// `command` as the next request.
    fn request(&self, command: Command) -> Stamped {
        let number = self.next.replace(self.next.get() + 1);
        stamped(number, command)
    }

    fn events(&self, command: Command) -> Vec<Event> {
        self.catalog.decide(&self.request(command)).unwrap().unwrap()
    }
}

mod decide {
    use super::*;

    fn decide(bencher: Bencher<'_, '_>, engine: Engine, command: Command) {
        let fixture = Fixture::new(engine);
        let request = fixture.request(command);
        bencher.bench_local(|| fixture.catalog.decide(black_box(&request)).unwrap());
    }

    #[divan::bench(args = Engine::ALL)]
    fn link_blob(bencher: Bencher<'_, '_>, engine: Engine) {
        decide(bencher, engine, link(1_000));
    }

    #[divan::bench(args = Engine::ALL)]
    fn push_image_as_a_tag_that_moves(bencher: Bencher<'_, '_>, engine: Engine) {
        decide(bencher, engine, push(IMAGES, tag(0)));
    }

    #[divan::bench(args = Engine::ALL)]
    fn push_image_that_is_there(bencher: Bencher<'_, '_>, engine: Engine) {
        decide(bencher, engine, push(0, tag(0)));
    }

    #[divan::bench(args = Engine::ALL)]
    fn refuse_image_whose_blobs_are_missing(bencher: Bencher<'_, '_>, engine: Engine) {
        let elsewhere: RepoName = "team/other".parse().unwrap();
        decide(bencher, engine, push_into(elsewhere, IMAGES, tag(0)));
    }

    #[divan::bench(args = Engine::ALL)]
    fn delete_image(bencher: Bencher<'_, '_>, engine: Engine) {
        decide(bencher, engine, delete(0));
    }
}

mod project {
    use super::*;

    fn project(bencher: Bencher<'_, '_>, command: Command) {
        let fixture = Fixture::new(Engine::Memory);
        let events = fixture.events(command);
        let when = Timestamp::from_millis(1);
        bencher.bench_local(|| fixture.catalog.project(when, black_box(&events)).unwrap());
    }

    #[divan::bench]
    fn link_blob(bencher: Bencher<'_, '_>) {
        project(bencher, link(1_000));
    }

    #[divan::bench]
    fn push_image_as_a_tag_that_moves(bencher: Bencher<'_, '_>) {
        project(bencher, push(IMAGES, tag(0)));
    }

    #[divan::bench]
    fn delete_image(bencher: Bencher<'_, '_>) {
        project(bencher, delete(0));
    }
}

mod apply {
    use super::*;

    /// Applies what `command` makes of one number after the other.
    fn apply(bencher: Bencher<'_, '_>, engine: Engine, command: impl Fn(u64) -> Command) {
        let Fixture { _folder, mut catalog, next } = Fixture::new(engine);
        let request = || {
            let number = next.replace(next.get() + 1);
            stamped(number, command(number))
        };
        bencher.with_inputs(request).bench_local_values(|request| catalog.apply(request).unwrap());
    }

    #[divan::bench(args = Engine::ALL)]
    fn link_blob(bencher: Bencher<'_, '_>, engine: Engine) {
        apply(bencher, engine, link);
    }

    #[divan::bench(args = Engine::ALL)]
    fn push_image_as_a_tag_that_moves(bencher: Bencher<'_, '_>, engine: Engine) {
        apply(bencher, engine, |number| push(IMAGES + number, tag(0)));
    }

    #[divan::bench(args = Engine::ALL)]
    fn push_image_that_is_there(bencher: Bencher<'_, '_>, engine: Engine) {
        apply(bencher, engine, |_| push(0, tag(0)));
    }
}
