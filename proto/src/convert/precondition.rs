//! Preconditions, inside commands.

use super::{DecodeError, parse_all};
use crate::pb::catalog as pb;
use crate::{Digest, Precondition};

impl From<&Precondition> for pb::Precondition {
    fn from(precondition: &Precondition) -> Self {
        use pb::precondition::Condition as Pb;
        let list = |digests: &[Digest]| pb::DigestList {
            digests: digests.iter().map(ToString::to_string).collect(),
        };
        let condition = match precondition {
            Precondition::Exists => Pb::Exists(pb::Existence {}),
            Precondition::Absent => Pb::Absent(pb::Absence {}),
            Precondition::AnyOf(digests) => Pb::AnyOf(list(digests)),
            Precondition::NoneOf(digests) => Pb::NoneOf(list(digests)),
        };
        Self { condition: Some(condition) }
    }
}

impl TryFrom<pb::Precondition> for Precondition {
    type Error = DecodeError;

    /// A condition that this version does not know is an error: to pass over it would be to do what
    /// the client asked not to do.
    fn try_from(precondition: pb::Precondition) -> Result<Self, DecodeError> {
        use pb::precondition::Condition as Pb;
        let condition = precondition.condition;
        Ok(match condition.ok_or_else(|| DecodeError::unknown("precondition"))? {
            Pb::Exists(_) => Self::Exists,
            Pb::Absent(_) => Self::Absent,
            Pb::AnyOf(list) => Self::AnyOf(parse_all("digest", &list.digests)?),
            Pb::NoneOf(list) => Self::NoneOf(parse_all("digest", &list.digests)?),
        })
    }
}
