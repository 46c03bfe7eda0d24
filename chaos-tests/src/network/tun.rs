//! A network device whose other end is this process.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Where such devices are made.
const DOOR: &str = "/dev/net/tun";

/// A device of the kind `tun`: packets that the system routes to it are received here, and those
/// that are sent here come out of it. It is gone when this is dropped, or the process dies.
#[derive(Debug)]
pub(super) struct Tun(AsyncFd<File>);

impl Tun {
    /// Makes the device `name`, in this process' network namespace; it stays the other end when
    /// the device is moved to another one.
    pub(super) fn create(name: &str) -> io::Result<Self> {
        let door =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(DOOR)?;
        // SAFETY: all zeros is a request: an empty name, and no flags.
        let mut request: libc::ifreq = unsafe { mem::zeroed() };
        // What is left is the zero at the end of a C string.
        if name.len() >= request.ifr_name.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name is too long"));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from.cast_signed();
        }
        let flags = libc::IFF_TUN | libc::IFF_NO_PI;
        request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
        // SAFETY: the file is open, and the request is one, for as long as the call lasts.
        if unsafe { libc::ioctl(door.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the file is given away here, open, and is neither changed nor closed before the
        // other is dropped.
        Ok(Self(unsafe { AsyncFd::register(door) }?))
    }

    /// Receives the next packet into `buffer`, and answers its length.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.async_io(Interest::READABLE, |mut file| file.read(buffer)).await
    }

    /// Sends `packet`, or loses it when the device takes none now, as a network does.
    pub(super) fn send(&self, packet: &[u8]) {
        if let Err(error) = self.0.get_ref().write(packet) {
            tracing::debug!(%error, "a packet is lost at a device");
        }
    }
}
