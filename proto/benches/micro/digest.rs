//! Digests and checksums: each byte that is pushed passes a hasher, which makes both, and each that
//! is pulled the checksum alone.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use proto::{Algorithm, Checksum, Digest, Hasher};

/// As much as arrives at a time on a fast line.
static PIECE: [u8; 64 * 1024] = [7; 64 * 1024];

#[divan::bench]
fn checksum_64_kib(bencher: Bencher<'_, '_>) {
    let mut checksum = Checksum::EMPTY;
    let bencher = bencher.counter(BytesCount::of_slice(&PIECE));
    bencher.bench_local(|| checksum.extend(black_box(&PIECE)));
    black_box(checksum);
}

#[divan::bench(args = [Algorithm::Sha256, Algorithm::Sha512])]
fn digest_and_checksum_64_kib(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let mut hasher = Hasher::new(algorithm);
    let bencher = bencher.counter(BytesCount::of_slice(&PIECE));
    bencher.bench_local(|| hasher.update(black_box(&PIECE)));
    black_box(hasher.finish());
}

/// What a digest costs besides its bytes.
#[divan::bench]
fn digest_32_bytes() -> Digest {
    Digest::of(Algorithm::Sha256, black_box(&[7; 32]))
}

#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let text = Digest::of(Algorithm::Sha256, b"content").to_string();
    bencher.bench(|| black_box(&text).parse::<Digest>().unwrap());
}

/// What each request of an upload in chunks carries to the next.
#[divan::bench]
fn midstate_and_back(bencher: Bencher<'_, '_>) {
    let hasher = Hasher::new(Algorithm::Sha256);
    bencher.bench(|| Hasher::resume(hasher.algorithm(), &black_box(&hasher).midstate()).unwrap());
}
