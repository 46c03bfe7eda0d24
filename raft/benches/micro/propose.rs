//! What consensus adds: a proposal and a read as a handler makes them, of a node that is alone, so
//! that nothing goes over a line.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures::future::join_all;
use proto::{Actor, Command, PeerAddress, RequestId, Timestamp};
use raft::{Clock, Cluster, Config, Dial, DialError, Tuning};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use crate::sample::{BLOBS, Engine, link, push, tag};

/// How many clients ask at once.
const CLIENTS: [usize; 2] = [1, 32];

/// No network.
struct Nowhere;

impl Dial for Nowhere {
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
        Err(DialError(address.clone()))
    }
}

/// A cluster of one.
struct Fixture {
    runtime: Runtime,
    cluster: Cluster,
    actor: Actor,
    /// The number of the next request.
    next: Cell<u64>,
    _folder: Option<TempDir>,
}

impl Fixture {
    /// With the blobs that images need.
    fn new(engine: Engine) -> Self {
        let (kv, folder) = engine.open();
        let runtime = Runtime::new().unwrap();
        let ticks = AtomicU64::new(1);
        let clock =
            Clock::new(move || Timestamp::from_millis(ticks.fetch_add(1, Ordering::Relaxed)));
        let config = Config {
            peer_address: "nowhere:1".parse().unwrap(),
            join: vec![],
            authority: None,
            token: None,
            voters: 1,
            tuning: Tuning::default(),
        };
        let start = Cluster::start(config, kv, Arc::new(Nowhere), clock);
        let cluster = runtime.block_on(start).unwrap();
        let (actor, next) = ("bencher".parse().unwrap(), Cell::new(0));
        let fixture = Self { runtime, cluster, actor, next, _folder: folder };
        fixture.runtime.block_on(async {
            while !fixture.cluster.status().ready {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        fixture.propose(BLOBS.map(|number| (fixture.request(), link(number))).collect());
        fixture
    }

    fn request(&self) -> RequestId {
        let number = self.next.replace(self.next.get() + 1);
        RequestId::from_bytes(u128::from(number).to_be_bytes())
    }

    /// Proposes all of them at once, and waits until all are applied.
    fn propose(&self, commands: Vec<(RequestId, Command)>) {
        let all = commands.into_iter().map(async |(request, command)| {
            self.cluster.propose(request, &self.actor, command).await.unwrap();
        });
        self.runtime.block_on(join_all(all));
    }
}

fn push_image(bencher: Bencher<'_, '_>, engine: Engine, clients: usize) {
    let fixture = Fixture::new(engine);
    let command = |_| {
        let number = fixture.next.get();
        (fixture.request(), push(number, tag(0)))
    };
    let commands = || (0..clients).map(command).collect::<Vec<_>>();
    let bencher = bencher.with_inputs(commands).counter(ItemsCount::new(clients));
    bencher.bench_local_values(|commands| fixture.propose(commands));
}

#[divan::bench(args = CLIENTS)]
fn push_image_in_memory(bencher: Bencher<'_, '_>, clients: usize) {
    push_image(bencher, Engine::Memory, clients);
}

#[divan::bench(args = CLIENTS)]
fn push_image_in_rocks_db(bencher: Bencher<'_, '_>, clients: usize) {
    push_image(bencher, Engine::RocksDb, clients);
}

/// Linearizable reads of a tag.
#[divan::bench(args = CLIENTS)]
fn read(bencher: Bencher<'_, '_>, clients: usize) {
    let fixture = Fixture::new(Engine::Memory);
    bencher.counter(ItemsCount::new(clients)).bench_local(|| {
        let reads = (0..clients).map(async |_| fixture.cluster.read().await.map(drop).unwrap());
        fixture.runtime.block_on(join_all(reads));
    });
}
