//! Who gives a command, where the registry wants to know.

use std::io::{self, IsTerminal as _};

use clap::Args;
use reqwest::RequestBuilder;

use super::Failure;

/// The environment variable that holds the password, or an access key in its place.
const PASSWORD: &str = "ROADSTEAD_PASSWORD";

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LoginArgs {
    /// The account that gives the command; its password, or an access key, is in the environment
    /// variable ROADSTEAD_PASSWORD, or is asked for.
    #[arg(long, value_name = "NAME", env = "ROADSTEAD_USER", global = true)]
    user: Option<String>,
}

/// An account's name and password.
#[derive(Clone)]
pub(crate) struct Login {
    name: String,
    password: String,
}

impl Login {
    /// The login of `name`.
    pub(crate) const fn new(name: String, password: String) -> Self {
        Self { name, password }
    }

    /// The name and the password.
    pub(super) fn into_parts(self) -> (String, String) {
        (self.name, self.password)
    }

    /// The password.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }
}

impl LoginArgs {
    /// The account and its password; `None` when no account is named.
    pub(super) fn read(&self) -> Result<Option<Login>, Failure> {
        let Some(name) = self.user.clone() else { return Ok(None) };
        let password = match std::env::var(PASSWORD) {
            Ok(password) => password,
            Err(_) => ask(&format!("password of {name}: "))?,
        };
        Ok(Some(Login { name, password }))
    }
}

/// `request` as `login` sends it.
pub(crate) fn with(request: RequestBuilder, login: Option<&Login>) -> RequestBuilder {
    match login {
        Some(login) => request.basic_auth(&login.name, Some(&login.password)),
        None => request,
    }
}

/// A password that somebody types, which is not shown.
pub(super) fn ask(prompt: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::NoPassword);
    }
    rpassword::prompt_password(prompt).map_err(Failure::Terminal)
}
