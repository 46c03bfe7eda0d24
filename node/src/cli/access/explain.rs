//! `roadstead access explain`: why somebody may do something, or may not.

use clap::Subcommand;

use super::{Managed, text};
use crate::cli::cluster::StatusError;
use crate::cli::management::Management;
use crate::cli::{Failure, say};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AccessCommand {
    /// Say whether somebody may do something, and which grant decides.
    Explain {
        /// The account; `anonymous` stands for clients that do not log in.
        account: String,
        /// What: pull, push, create-tag, move-tag, delete or manage.
        verb: String,
        /// Where; without a repository, what concerns the whole registry.
        repository: Option<String>,
    },
}

/// Does what the command line says.
pub(in crate::cli) async fn run(arguments: &Managed<AccessCommand>) -> Result<(), Failure> {
    let AccessCommand::Explain { account, verb, repository } = &arguments.command;
    let registry = arguments.registry.open()?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("verb", verb);
    if account != "anonymous" {
        query.append_pair("account", account);
    }
    if let Some(repository) = repository {
        query.append_pair("repository", repository);
    }
    let answer = registry.get(&format!("explanation?{}", query.finish())).await?;
    let is_permitted = answer["permitted"].as_bool().ok_or_else(|| registry.foreign())?;
    let place = repository.as_deref().unwrap_or("the registry");
    let grant = &answer["grant"];
    let by = ["grantee", "role", "pattern"].map(|field| text(&grant[field]));
    let verdict = match (is_permitted, answer["enabled"].as_bool()) {
        (true, _) => {
            format!(
                "yes: {account} may {verb} in {place}, since {} is {} on {}",
                by[0], by[1], by[2]
            )
        }
        (_, Some(false)) => format!("no: {account} may log in no more"),
        _ => format!("no: nothing grants {account} to {verb} in {place}"),
    };
    say(match account == "anonymous" || is_known(&registry, account).await? {
        true => verdict,
        false => format!(
            "{verdict} (the cluster has no account {account}: only a file of users, or another \
             issuer, can have them log in)"
        ),
    });
    Ok(())
}

/// Whether the cluster has this account, which is one by its form.
async fn is_known(registry: &Management, account: &str) -> Result<bool, Failure> {
    match registry.get(&format!("accounts/{account}")).await {
        Ok(_) => Ok(true),
        Err(Failure::Status(StatusError::Absent { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}
