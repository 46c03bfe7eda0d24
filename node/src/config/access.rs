//! `[access]`: who may do what.

use std::path::PathBuf;

use super::{AccessKind, CertificateName, ConfigError, Endpoint, Service, Source, TokenUrl};

/// Who may do what.
#[derive(Clone, Debug)]
pub struct Access {
    /// Whether anybody may do anything.
    pub kind: AccessKind,
    /// The registry's name in tokens.
    pub service: Service,
    /// The URL by which clients reach the registry; `None`: what they call it themselves.
    pub url: Option<Endpoint>,
    /// Where clients get tokens, when not from the registry itself.
    pub token_url: Option<TokenUrl>,
    /// How an issuer outside of the cluster calls itself whose tokens count.
    pub issuer: Option<String>,
    /// The file with its public keys.
    pub issuer_keys: Option<PathBuf>,
    /// Which name in a client's certificate is that of its account.
    pub certificate_name: CertificateName,
    /// A file of users beside those of the cluster.
    pub htpasswd: Option<PathBuf>,
    /// The file that holds the password of the first administrator; `None`: one is drawn, and
    /// shown.
    pub administrator_password: Option<PathBuf>,
    /// Whether the administrator gets another password at this start, for those who have lost it.
    pub appoint_anew: bool,
}

impl Access {
    /// Has the administrator get another password at this start.
    ///
    /// # Errors
    /// When there are no accounts to be had.
    pub(crate) fn appoint_anew(&mut self) -> Result<(), ConfigError> {
        if self.kind == AccessKind::Open {
            return Err(ConfigError::conflict(
                "--reset-administrator is of no use while access.mode is \"open\", since everybody \
                 may do everything"
                    .to_owned(),
            ));
        }
        self.appoint_anew = true;
        Ok(())
    }

    pub(super) fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let access = Self {
            kind: source.take("access.mode", || AccessKind::Closed)?,
            service: source.take("access.service", Service::default)?,
            url: source.take_optional("access.url")?,
            token_url: source.take_optional("access.token_url")?,
            issuer: source.take_optional("access.issuer")?,
            issuer_keys: source.take_optional("access.issuer_keys")?,
            certificate_name: source.take("access.certificate_name", || CertificateName::Common)?,
            htpasswd: source.take_optional("access.htpasswd")?,
            administrator_password: source.take_optional("access.administrator_password_file")?,
            // Of one start, not of a file: the command line sets it.
            appoint_anew: false,
        };
        access.check()?;
        Ok(access)
    }

    /// What must hold between keys.
    fn check(&self) -> Result<(), ConfigError> {
        if self.issuer.is_some() != self.issuer_keys.is_some() {
            return Err(ConfigError::conflict(
                "access.issuer and access.issuer_keys belong together: set both, or neither"
                    .to_owned(),
            ));
        }
        let closing = [
            ("access.htpasswd", self.htpasswd.is_some()),
            ("access.issuer", self.issuer.is_some()),
            ("access.token_url", self.token_url.is_some()),
            ("access.administrator_password_file", self.administrator_password.is_some()),
        ];
        match closing.into_iter().find(|(_, is_set)| *is_set) {
            Some((key, _)) if self.kind == AccessKind::Open => Err(ConfigError::conflict(format!(
                "{key} is set, but access.mode is \"open\", where nobody logs in: set that to \
                 \"closed\", or leave {key} away"
            ))),
            _ => Ok(()),
        }
    }
}
