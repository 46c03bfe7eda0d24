//! The system's chance and clocks, replaced for the thread that simulates.
//!
//! Hash maps, random ids and `Instant`s of all libraries ask the C library: `getrandom` and
//! `clock_gettime`. This program has functions of these names, which the linker prefers. On the
//! thread that simulates, they answer from the seed and from simulated time; on all others they ask
//! the kernel.

use std::cell::Cell;
use std::time::Duration;

/// What the simulated system's clocks say at the start, in seconds: monotonic time is as good as
/// any, and wall-clock time is 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_767_225_600;

thread_local! {
    static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
    static ELAPSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// From now on this thread gets its chance from `seed`, and its time from [`set_elapsed`].
pub(crate) fn simulate(seed: u64) {
    CHANCE.set(Some(seed));
}

/// Sets how much simulated time has passed on this thread.
pub(crate) fn set_elapsed(elapsed: Duration) {
    ELAPSED.set(elapsed);
}

/// How much simulated time has passed on this thread.
pub(crate) fn elapsed() -> Duration {
    ELAPSED.get()
}

/// The next 64 bits: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Replaces the C library's `getrandom`.
///
/// # Safety
/// As for the C library's: `buffer` points to `length` bytes that may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    let Some(mut state) = CHANCE.get() else {
        // SAFETY: the arguments are handed on as they came.
        let filled = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        return libc::ssize_t::try_from(filled).unwrap_or(-1);
    };
    if !buffer.is_null() {
        // SAFETY: the caller promises that these bytes may be written.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        for chunk in bytes.chunks_mut(8) {
            let chance = next(&mut state).to_le_bytes();
            chunk.copy_from_slice(&chance[..chunk.len()]);
        }
    }
    CHANCE.set(Some(state));
    libc::ssize_t::try_from(length).unwrap_or(libc::ssize_t::MAX)
}

/// Replaces the C library's `clock_gettime`.
///
/// # Safety
/// As for the C library's: `time` points to a `timespec` that may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    if CHANCE.get().is_none() || time.is_null() {
        // SAFETY: the arguments are handed on as they came.
        let status = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return libc::c_int::try_from(status).unwrap_or(-1);
    }
    let elapsed = ELAPSED.get();
    let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
    let now = libc::timespec {
        tv_sec: EPOCH_SECONDS.saturating_add(seconds),
        tv_nsec: elapsed.subsec_nanos().into(),
    };
    // SAFETY: the caller promises that it may be written.
    unsafe { time.write(now) };
    0
}
