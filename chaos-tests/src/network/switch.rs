//! A switch: takes packets out of one network device and puts them into another, or does not.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::fault::{Fate, Fault};
use super::tun::Tun;
use crate::sim::Dice;

/// Bytes of the largest packet.
const PACKET_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a packet's header that say where it goes, which nothing damages: it would come to
/// somebody else, or to nobody.
const HEADER_BYTES: usize = 20;
/// Packets that are on their way at most: more are lost, as in any network.
const UNDER_WAY_MAX: usize = 10_000;

/// How many packets came to what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// All that were sent.
    pub sent: u64,
    /// Those of them that did not arrive.
    pub lost: u64,
    /// Those that arrived late.
    pub late: u64,
    /// Those that arrived twice.
    pub doubled: u64,
    /// Those that arrived as others.
    pub damaged: u64,
}

/// The switch. Dropping it pulls all plugs.
#[derive(Debug)]
pub(super) struct Switch {
    state: Arc<Mutex<State>>,
    _ports: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    dice: Dice,
    faults: Vec<(u64, Fault)>,
    next: u64,
    traffic: Traffic,
}

impl Switch {
    /// A switch between `devices`; the number of each is the last byte of its address, less
    /// `first`.
    pub(super) fn start(devices: Vec<Tun>, first: u8, dice: Dice) -> Self {
        let state = State { dice, faults: Vec::new(), next: 0, traffic: Traffic::default() };
        let state = Arc::new(Mutex::new(state));
        let devices = Arc::new(devices);
        let mut ports = JoinSet::new();
        for from in 0..devices.len() {
            let (devices, state) = (Arc::clone(&devices), Arc::clone(&state));
            ports.spawn(async move {
                if let Err(error) = carry(from, first, &devices, &state).await {
                    tracing::warn!(from, %error, "a network device is gone");
                }
            });
        }
        Self { state, _ports: ports }
    }

    /// Makes `fault` happen, until it is ended by the number that this answers.
    pub(super) fn begin(&self, fault: Fault) -> u64 {
        let mut state = locked(&self.state);
        state.next += 1;
        let number = state.next;
        state.faults.push((number, fault));
        number
    }

    /// Ends a fault, and no other.
    pub(super) fn end(&self, number: u64) {
        locked(&self.state).faults.retain(|(other, _)| *other != number);
    }

    pub(super) fn traffic(&self) -> Traffic {
        locked(&self.state).traffic
    }
}

impl State {
    fn fate(&mut self, from: usize, to: usize) -> Fate {
        let faults = self.faults.iter().map(|(_, fault)| fault);
        let fate = Fate::draw(faults, from, to, &mut self.dice);
        let Traffic { sent, lost, late, doubled, damaged } = &mut self.traffic;
        *sent += 1;
        match &fate.arrivals[..] {
            [] => *lost += 1,
            [first, more @ ..] => {
                *late += u64::from(!first.is_zero());
                *doubled += u64::from(!more.is_empty());
                *damaged += u64::from(fate.is_damaged);
            }
        }
        fate
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries what comes out of one device to where it is to go.
async fn carry(
    from: usize,
    first: u8,
    devices: &Arc<Vec<Tun>>,
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; PACKET_BYTES_MAX];
    let mut under_way = JoinSet::new();
    loop {
        let length = devices[from].receive(&mut buffer).await?;
        while under_way.try_join_next().is_some() {}
        let packet = &mut buffer[..length];
        let Some(to) = destination(packet, first).filter(|to| *to < devices.len()) else {
            continue;
        };
        let fate = locked(state).fate(from, to);
        if fate.is_damaged && packet.len() > HEADER_BYTES {
            let bits = (packet.len() - HEADER_BYTES) * 8;
            let bit = locked(state).dice.index(bits);
            packet[HEADER_BYTES + bit / 8] ^= 1 << (bit % 8);
        }
        for after in fate.arrivals {
            if after.is_zero() {
                devices[to].send(packet);
            } else if under_way.len() < UNDER_WAY_MAX {
                under_way.spawn(arrive(Arc::clone(devices), to, packet.to_vec(), after));
            }
        }
    }
}

/// The way of a packet takes time, in the network that this is.
async fn arrive(devices: Arc<Vec<Tun>>, to: usize, packet: Vec<u8>, after: Duration) {
    tokio::time::sleep(after).await;
    devices[to].send(&packet);
}

/// The number of the device that has the address which a packet goes to; there is none for what is
/// not of IPv4, such as questions for routers.
fn destination(packet: &[u8], first: u8) -> Option<usize> {
    let is_version_4 = packet.first()? >> 4 == 4;
    let last = *packet.get(19)?;
    is_version_4.then(|| last.checked_sub(first)).flatten().map(usize::from)
}
