//! Sizes of blobs, and mixes of them.

use std::fmt;
use std::str::FromStr;

/// Smallest blob, in bytes: room for what makes it unlike all others.
pub(crate) const BLOB_BYTES_MIN: u64 = 64;
/// Most sizes of a mix.
const SIZES_MAX: usize = 16;

/// Sizes of blobs and how often each comes, for example `4KiB:60,64KiB:30,1MiB:10`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeMix {
    parts: Vec<(u64, u32)>,
}

impl SizeMix {
    /// The sizes, in bytes.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.parts.iter().map(|(size, _)| *size)
    }

    /// The position among the sizes of that which `rng` draws.
    pub(crate) fn draw(&self, rng: &mut fastrand::Rng) -> usize {
        let total: u32 = self.parts.iter().map(|(_, weight)| *weight).sum();
        let mut rest = rng.u32(..total);
        let position = self.parts.iter().position(|(_, weight)| {
            let is_it = rest < *weight;
            rest = rest.saturating_sub(*weight);
            is_it
        });
        position.unwrap_or(0)
    }
}

impl FromStr for SizeMix {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, SizeError> {
        let parts = text.split(',').map(|part| {
            let (size, weight) = part.split_once(':').unwrap_or((part, "1"));
            let weight: u16 = weight.trim().parse().map_err(|_| SizeError::Form)?;
            Ok((bytes(size.trim())?, u32::from(weight)))
        });
        let parts: Vec<(u64, u32)> = parts.collect::<Result<_, SizeError>>()?;
        if parts.len() > SIZES_MAX || parts.iter().all(|(_, weight)| *weight == 0) {
            return Err(SizeError::Form);
        }
        Ok(Self { parts })
    }
}

impl fmt::Display for SizeMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (size, weight)) in self.parts.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{size}:{weight}")?;
        }
        Ok(())
    }
}

/// The bytes that `text` means, such as `512`, `4KiB` or `1GB`.
fn bytes(text: &str) -> Result<u64, SizeError> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(SizeError::Form),
    };
    let number: u64 = number.parse().map_err(|_| SizeError::Form)?;
    let size = number.checked_mul(unit).ok_or(SizeError::Range)?;
    let largest = proto::limits::BLOB_BYTES_MAX;
    if !(BLOB_BYTES_MIN..=largest).contains(&size) { Err(SizeError::Range) } else { Ok(size) }
}

/// Why a text is no mix of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not sizes with weights.
    #[error("sizes are written as in 4KiB or 4KiB:60,1MiB:40, the second number being a weight")]
    Form,
    /// Too small to be unlike others, or too large for a registry.
    #[error("a blob has 64 bytes to 5 TiB")]
    Range,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn sizes_are_read_with_units_and_weights() {
        for (text, parts) in [
            ("512", Ok(vec![(512, 1)])),
            ("4KiB:60,1 MiB:40", Ok(vec![(4096, 60), (1 << 20, 40)])),
            ("1GB", Ok(vec![(1_000_000_000, 1)])),
            ("63", Err(SizeError::Range)),
            ("999999GiB", Err(SizeError::Range)),
            ("99999999999999999999", Err(SizeError::Form)),
            ("1MiB:0", Err(SizeError::Form)),
            ("1.5MiB", Err(SizeError::Form)),
            ("", Err(SizeError::Form)),
        ] {
            assert_eq!(text.parse::<SizeMix>().map(|mix| mix.parts), parts, "{text}");
        }
    }

    #[test]
    fn sizes_come_as_often_as_their_weights_say() {
        let mix: SizeMix = "100:75,200:25,300:0".parse().expect("it is a mix");
        let mut rng = fastrand::Rng::with_seed(1);
        let mut drawn = [0_u32; 3];
        for _ in 0..10_000 {
            drawn[mix.draw(&mut rng)] += 1;
        }
        assert_eq!(drawn[2], 0);
        assert!((7_200..7_800).contains(&drawn[0]), "{drawn:?}");
    }
}
