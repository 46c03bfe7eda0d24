//! Reading ranges of objects in a folder, of which the system has all in memory: what a pull costs
//! besides HTTP and the disk.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use storage::Blobs as _;
use storage::blob::{DiskBlobs, Position, Unclaimed};
use tempfile::{NamedTempFile, TempDir};
use tokio::runtime::Runtime;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// From less than one frame to many.
const LENGTHS: [usize; 3] = [4 * KIB, 256 * KIB, 16 * MIB];

const OBJECT: ObjectKey = ObjectKey::from_random(1);

/// A store with one object.
struct Fixture {
    runtime: Runtime,
    blobs: DiskBlobs,
    _folder: TempDir,
}

impl Fixture {
    /// With an object of so many parts.
    fn new(parts: usize, part: &Bytes) -> Self {
        let folder = TempDir::new().unwrap();
        let blobs = DiskBlobs::open(folder.path()).unwrap();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            blobs.claim(ClusterId::from_bytes([1; 16]), Unclaimed::Bind).await.unwrap();
            let mut at = Position::START;
            for _ in 0..parts {
                let body = stream::iter([Ok(part.clone())]).boxed();
                at = blobs.append(OBJECT, at, body).await.unwrap();
            }
        });
        Self { runtime, blobs, _folder: folder }
    }

    /// How many bytes a reader gets of `range`.
    fn read(&self, range: Range<usize>) -> usize {
        let range = range.start as u64..range.end as u64;
        self.runtime.block_on(async {
            let bytes = self.blobs.read(OBJECT, range).await.unwrap();
            bytes.try_fold(0, async |sum, frame| Ok(sum + frame.len())).await.unwrap()
        })
    }
}

#[divan::bench(args = LENGTHS)]
fn read_range(bencher: Bencher<'_, '_>, length: usize) {
    let fixture = Fixture::new(1, &vec![7; 32 * MIB].into());
    let range = MIB..MIB + length;
    assert_eq!(fixture.read(range.clone()), length);
    bencher.counter(BytesCount::new(length)).bench(|| fixture.read(black_box(range.clone())));
}

/// The least that it could cost: the system's copy, into a buffer that is there.
#[divan::bench(args = LENGTHS)]
fn read_range_of_a_plain_file(bencher: Bencher<'_, '_>, length: usize) {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 32 * MIB]).unwrap();
    let file = File::open(file.path()).unwrap();
    let mut buffer = vec![0; length.min(256 * KIB)];
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        for at in (0..length).step_by(buffer.len()) {
            file.read_exact_at(&mut buffer, (MIB + at) as u64).unwrap();
        }
    });
}

/// An upload in chunks is an object of as many parts, which have to be found one after the other.
#[divan::bench(args = [1, 16, 256])]
fn read_the_last_4_kib_of_parts(bencher: Bencher<'_, '_>, parts: usize) {
    let fixture = Fixture::new(parts, &vec![7; 4 * KIB].into());
    let range = (parts - 1) * 4 * KIB..parts * 4 * KIB;
    assert_eq!(fixture.read(range.clone()), 4 * KIB);
    bencher.bench(|| fixture.read(black_box(range.clone())));
}
