//! What the operator has set about the API, as the API takes it.

use api::{AccessMode, Options, Redirect};

use crate::{Config, config};

/// What `config` says, with `access` as it was opened.
pub(crate) fn of(config: &Config, access: AccessMode) -> Options {
    let limits = config.limits;
    Options {
        access,
        deletion: config.api.deletion,
        sparse: config.api.sparse,
        redirect: match config.storage.redirect {
            config::Redirect::Never => Redirect::Never,
            config::Redirect::Auto => Redirect::Auto,
            config::Redirect::Always => Redirect::Always,
        },
        transfers: limits.transfers.get(),
        transfers_per_client: limits.transfers_per_client.get(),
        requests_per_minute: limits.requests_per_client_per_minute.get(),
        requests_per_account_per_minute: limits.requests_per_account_per_minute.get(),
        kib_per_client_per_second: limits.bytes_per_client_per_second.kib(),
        kib_per_account_per_second: limits.bytes_per_account_per_second.kib(),
        uploads_per_minute: limits.uploads_per_client_per_minute.get(),
        uploads_at_once: limits.uploads_per_client_at_once.get(),
        trusted_proxies: config.api.trusted_proxies.clone(),
    }
}
