//! Keys that take a number: each kind has its bounds.

use std::fmt;
use std::time::Duration;

use toml::Value;

use super::setting::Setting;

/// How many nodes of a cluster vote: odd, because an even number bears no more failures than the
/// odd one below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voters {
    /// Bears no failure.
    One,
    /// Bears the failure of one node.
    Three,
    /// Bears the failure of two nodes.
    Five,
}

impl Voters {
    /// The number.
    pub const fn count(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Five => 5,
        }
    }
}

impl Setting for Voters {
    const FORM: &'static str = "1, 3 or 5";

    fn from_toml(value: &Value) -> Option<Self> {
        let count = value.as_integer()?;
        [Self::One, Self::Three, Self::Five].into_iter().find(|v| i64::from(v.count()) == count)
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(self.count().into())
    }
}

/// A time of at least one millisecond and at most a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Milliseconds(u16);

impl Milliseconds {
    const MAX: u16 = 60_000;

    /// `time`, or the longest that there is.
    pub(super) fn of(time: Duration) -> Self {
        Self(u16::try_from(time.as_millis()).unwrap_or(u16::MAX).min(Self::MAX))
    }

    /// The number of milliseconds.
    pub const fn millis(self) -> u64 {
        self.0 as u64
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.millis())
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Setting for Milliseconds {
    const FORM: &'static str = "a whole number of milliseconds between 1 and 60000";

    fn from_toml(value: &Value) -> Option<Self> {
        let millis = u16::try_from(value.as_integer()?).ok()?;
        (1..=Self::MAX).contains(&millis).then_some(Self(millis))
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(self.0.into())
    }
}

/// A time of at least ten seconds and at most a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(u32);

impl Seconds {
    const MIN: u32 = 10;
    const MAX: u32 = 7 * 24 * 60 * 60;

    /// `time`, or the longest that there is.
    pub(super) fn of(time: Duration) -> Self {
        Self(u32::try_from(time.as_secs()).unwrap_or(u32::MAX).min(Self::MAX))
    }

    /// The time.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

impl Setting for Seconds {
    const FORM: &'static str = "a whole number of seconds between 10 and 604800, which is a week";

    fn from_toml(value: &Value) -> Option<Self> {
        let seconds = u32::try_from(value.as_integer()?).ok()?;
        (Self::MIN..=Self::MAX).contains(&seconds).then_some(Self(seconds))
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(self.0.into())
    }
}

/// A number of at least one and at most a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(usize);

impl Count {
    const MAX: usize = 1_000_000;

    pub(super) const fn new(count: usize) -> Self {
        Self(count)
    }

    /// `count`, or the most that there is.
    pub(super) fn of(count: u64) -> Self {
        Self(usize::try_from(count).unwrap_or(usize::MAX).min(Self::MAX))
    }

    /// The number.
    pub const fn get(self) -> usize {
        self.0
    }
}

impl Setting for Count {
    const FORM: &'static str = "a whole number between 1 and 1000000";

    fn from_toml(value: &Value) -> Option<Self> {
        let count = usize::try_from(value.as_integer()?).ok()?;
        (1..=Self::MAX).contains(&count).then_some(Self(count))
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

/// A number of at most a million, of which 0 means that there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance(u32);

impl Allowance {
    const MAX: u32 = 1_000_000;

    pub(super) const fn new(count: u32) -> Self {
        Self(count)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Setting for Allowance {
    const FORM: &'static str = "a whole number up to 1000000, or 0 for no limit";

    fn from_toml(value: &Value) -> Option<Self> {
        let count = u32::try_from(value.as_integer()?).ok()?;
        (0..=Self::MAX).contains(&count).then_some(Self(count))
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(self.0.into())
    }
}

/// Bytes a second, or 0, which means that there is no limit: at least 4 MiB, so that with all
/// transfers that a node takes under way each still gets a frame well within the minute after which
/// a body counts as idle. Kept in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth(u32);

impl Bandwidth {
    const MIN: u32 = 4096;
    const KIB: i64 = 1024;

    /// No limit.
    pub(super) const UNLIMITED: Self = Self(0);

    /// The number of KiB a second.
    pub const fn kib(self) -> u32 {
        self.0
    }
}

impl Setting for Bandwidth {
    const FORM: &'static str =
        "a whole number of bytes a second between 4194304 and 4398046510080, or 0 for no limit";

    fn from_toml(value: &Value) -> Option<Self> {
        let bytes = value.as_integer()?;
        let kib = u32::try_from(bytes / Self::KIB).ok()?;
        (bytes == 0 || kib >= Self::MIN).then_some(Self(kib))
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(i64::from(self.0) * Self::KIB)
    }
}

/// Bytes that a cache may take, or 0 for no cache: at least 64 MiB, of which a quarter is the
/// largest object that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSize(u64);

impl CacheSize {
    const MIN: u64 = 64 * 1024 * 1024;

    /// No cache.
    pub(super) const NONE: Self = Self(0);

    /// The number of bytes; none for no cache.
    pub const fn bytes(self) -> Option<u64> {
        match self.0 {
            0 => None,
            bytes => Some(bytes),
        }
    }
}

impl Setting for CacheSize {
    const FORM: &'static str = "a whole number of bytes from 67108864 on, or 0 for no cache";

    fn from_toml(value: &Value) -> Option<Self> {
        let bytes = u64::try_from(value.as_integer()?).ok()?;
        (bytes == 0 || bytes >= Self::MIN).then_some(Self(bytes))
    }

    fn toml_of(text: &str) -> Value {
        integer_of(text)
    }

    fn to_toml(&self) -> Value {
        Value::Integer(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

fn integer_of(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}
