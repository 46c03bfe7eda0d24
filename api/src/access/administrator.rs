//! The first administrator, without whom nobody could let anybody in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::Command;
use proto::Refusal;
use proto::access::{AccessCommand, AccessRefusal, AccountName};

use super::NewPassword;
use crate::client::Client;
use crate::error::Error;
use crate::registry::{Registry, random};

/// What the administrator is called who is appointed by the node itself.
pub const ADMINISTRATOR: &str = "admin";

/// Why no administrator was appointed.
#[derive(Debug, thiserror::Error)]
pub enum AppointError {
    /// The cluster cannot agree now: try again.
    #[error("the cluster cannot agree now")]
    Unavailable,
    /// The password that was given can be none.
    #[error("{0}")]
    Password(String),
    /// It would fail again.
    #[error("{0}")]
    Refused(String),
}

/// The administrator who was appointed.
#[derive(Debug)]
pub struct Appointed {
    /// The account's name.
    pub name: String,
    /// Its password, when the node has drawn it: nobody else knows it.
    pub password: Option<String>,
}

impl Registry {
    /// Appoints an administrator: the first one only, so that it does nothing where there are
    /// accounts, or anew, for those who have lost the password. Without a `password` one is drawn.
    ///
    /// # Errors
    /// See [`AppointError`].
    pub async fn appoint_administrator(
        &self,
        password: Option<String>,
        only_first: bool,
    ) -> Result<Option<Appointed>, AppointError> {
        let given = password.map(NewPassword::new).transpose();
        let given = given.map_err(|error| AppointError::Password(error.to_string()))?;
        match self.appoint(given, only_first).await {
            Ok(appointed) => Ok(appointed),
            Err(Error::Refused(Refusal::Access(AccessRefusal::AlreadyAppointed))) => Ok(None),
            Err(
                Error::Unavailable { .. }
                | Error::OutcomeUnknown
                | Error::TooManyLogins { .. }
                | Error::Refused(Refusal::NotFounded),
            ) => Err(AppointError::Unavailable),
            Err(error) => Err(AppointError::Refused(error.to_string())),
        }
    }

    async fn appoint(
        &self,
        given: Option<NewPassword>,
        only_first: bool,
    ) -> Result<Option<Appointed>, Error> {
        if only_first && !self.newest().await?.accounts(None, 1)?.is_empty() {
            return Ok(None);
        }
        let (password, drawn) = match given {
            Some(password) => (password, None),
            None => {
                let drawn = URL_SAFE_NO_PAD.encode(random::<16>()?);
                (NewPassword::new(drawn.clone())?, Some(drawn))
            }
        };
        let hash = self.access()?.passwords.hash(Client::UNKNOWN, password).await?;
        let name: Result<AccountName, _> = ADMINISTRATOR.parse();
        let name = name.map_err(|error| Error::Internal(format!("{ADMINISTRATOR}: {error}")))?;
        let appoint = AccessCommand::Appoint { name, password: hash, only_first };
        self.propose_by_itself(Command::Access(appoint)).await?;
        Ok(Some(Appointed { name: ADMINISTRATOR.to_owned(), password: drawn }))
    }
}
