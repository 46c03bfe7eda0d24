//! Why changes of access are refused, as it is kept for repetitions.

use super::{DecodeError, bytes, id, parse};
use crate::access::AccessRefusal;
use crate::pb::access as pb;

impl From<&AccessRefusal> for pb::Refusal {
    fn from(refusal: &AccessRefusal) -> Self {
        use pb::refusal::Refusal as Pb;
        let refusal = match refusal {
            AccessRefusal::TagExists(tag) => Pb::TagExists(tag.to_string()),
            AccessRefusal::TagAbsent(tag) => Pb::TagAbsent(tag.to_string()),
            AccessRefusal::AlreadyAppointed => Pb::AlreadyAppointed(pb::Nothing {}),
            AccessRefusal::AccountExists(name) => Pb::AccountExists(name.to_string()),
            AccessRefusal::AccountUnknown(name) => Pb::AccountUnknown(name.to_string()),
            AccessRefusal::RobotPassword(name) => Pb::RobotPassword(name.to_string()),
            AccessRefusal::LastAdministrator(name) => Pb::LastAdministrator(name.to_string()),
            AccessRefusal::TooManyGroups => Pb::TooManyGroups(pb::Nothing {}),
            AccessRefusal::TooManyKeys(name) => Pb::TooManyKeys(name.to_string()),
            AccessRefusal::DescriptionTooLong => Pb::DescriptionTooLong(pb::Nothing {}),
            AccessRefusal::KeyExists(key) => Pb::KeyExists(bytes(key.as_bytes())),
            AccessRefusal::KeyUnknown(key) => Pb::KeyUnknown(bytes(key.as_bytes())),
            AccessRefusal::RoleBuiltIn(name) => Pb::RoleBuiltIn(name.to_string()),
            AccessRefusal::RoleUnknown(name) => Pb::RoleUnknown(name.to_string()),
            AccessRefusal::RoleInUse { by, .. } => Pb::RoleInUse(by.into()),
            AccessRefusal::TooManyRoles => Pb::TooManyRoles(pb::Nothing {}),
            AccessRefusal::GrantUnknown(grant) => Pb::GrantUnknown(grant.into()),
            AccessRefusal::TooManyGrants => Pb::TooManyGrants(pb::Nothing {}),
        };
        Self { refusal: Some(refusal) }
    }
}

impl TryFrom<pb::Refusal> for AccessRefusal {
    type Error = DecodeError;

    fn try_from(refusal: pb::Refusal) -> Result<Self, DecodeError> {
        use pb::refusal::Refusal as Pb;
        Ok(match refusal.refusal.ok_or_else(|| DecodeError::unknown("access refusal"))? {
            Pb::TagExists(tag) => Self::TagExists(parse("tag", &tag)?),
            Pb::TagAbsent(tag) => Self::TagAbsent(parse("tag", &tag)?),
            Pb::AlreadyAppointed(_) => Self::AlreadyAppointed,
            Pb::AccountExists(name) => Self::AccountExists(parse("account", &name)?),
            Pb::AccountUnknown(name) => Self::AccountUnknown(parse("account", &name)?),
            Pb::RobotPassword(name) => Self::RobotPassword(parse("account", &name)?),
            Pb::LastAdministrator(name) => Self::LastAdministrator(parse("account", &name)?),
            Pb::TooManyGroups(_) => Self::TooManyGroups,
            Pb::TooManyKeys(name) => Self::TooManyKeys(parse("account", &name)?),
            Pb::DescriptionTooLong(_) => Self::DescriptionTooLong,
            Pb::KeyExists(key) => Self::KeyExists(id("key", &key)?),
            Pb::KeyUnknown(key) => Self::KeyUnknown(id("key", &key)?),
            Pb::RoleBuiltIn(name) => Self::RoleBuiltIn(parse("role", &name)?),
            Pb::RoleUnknown(name) => Self::RoleUnknown(parse("role", &name)?),
            Pb::RoleInUse(by) => {
                Self::RoleInUse { role: parse("role", &by.role)?, by: by.try_into()? }
            }
            Pb::TooManyRoles(_) => Self::TooManyRoles,
            Pb::GrantUnknown(grant) => Self::GrantUnknown(grant.try_into()?),
            Pb::TooManyGrants(_) => Self::TooManyGrants,
        })
    }
}
