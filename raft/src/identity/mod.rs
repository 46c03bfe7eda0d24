//! Who a node is when it starts: what it remembers, else what it founds or joins; and what those
//! who are asked tell one that joins.

mod admission;
mod founding;
mod join;
mod stored;

use std::sync::Arc;

use proto::Authority;
use storage::{Batch, Kv, Space};

pub(crate) use self::admission::decided_as;
pub(crate) use self::founding::FOUNDER;
pub use self::stored::is_settled;
pub(crate) use self::stored::{Identity, has_store, remember_removal, remember_store, was_removed};
use crate::credentials::certificates;
use crate::credentials::{Credentials, Papers};
use crate::log::keys;
use crate::neighbours::Neighbours;
use crate::store::write;
use crate::{Clock, Config, Dial, PeerName, StartError, random};

/// Who a node is, and what it has to show.
pub(crate) struct Identified {
    pub(crate) identity: Identity,
    /// None where nodes have no certificates.
    pub(crate) credentials: Option<Credentials>,
}

/// Finds out who this node is, and makes that durable. The dial shows it from then on.
pub(crate) async fn identify(
    config: &Config,
    kv: &Arc<dyn Kv>,
    neighbours: &Neighbours,
    dial: &dyn Dial,
    clock: &Clock,
) -> Result<Identified, StartError> {
    let identified = match Identity::load(&**kv)? {
        Some(identity) => remember(&**kv, identity, dial)?,
        None if config.join.is_empty() => found(config, kv, dial, clock).await?,
        None => {
            let token = match (&config.token, dial.is_secure()) {
                (Some(token), true) => Some(token),
                (None, true) => return Err(StartError::TokenMissing),
                (_, false) => None,
            };
            if let Some(token) = token {
                dial.show(Papers::Token(token.clone()))?;
            }
            let joined = join::join(config, token, neighbours, clock).await?;
            // The connections so far are those of a node without a name.
            neighbours.lanes().keep(&Default::default());
            save(kv, &joined, None).await?;
            joined
        }
    };
    if let Some(credentials) = &identified.credentials {
        dial.show(Papers::Credentials(credentials.clone()))?;
    }
    Ok(identified)
}

fn remember(kv: &dyn Kv, identity: Identity, dial: &dyn Dial) -> Result<Identified, StartError> {
    if was_removed(kv)? {
        return Err(StartError::Removed(identity.node));
    }
    let credentials = Credentials::load(kv, identity)?;
    if dial.is_secure() && credentials.is_none() {
        return Err(StartError::NoCredentials);
    }
    let credentials = credentials.filter(|_| dial.is_secure());
    Ok(Identified { identity, credentials })
}

async fn found(
    config: &Config,
    kv: &Arc<dyn Kv>,
    dial: &dyn Dial,
    clock: &Clock,
) -> Result<Identified, StartError> {
    let identity = Identity { cluster: random::cluster_id(), node: FOUNDER };
    if !dial.is_secure() {
        let founded = Identified { identity, credentials: None };
        save(kv, &founded, None).await?;
        return Ok(founded);
    }
    let now = clock.now();
    let authority = match &config.authority {
        Some(own) => own.clone(),
        None => certificates::authority(identity.cluster, random::bytes(), now)?,
    };
    let name = PeerName::from(identity);
    let credentials = Credentials::by(&authority, name, random::bytes(), now)?;
    let founded = Identified { identity, credentials: Some(credentials) };
    save(kv, &founded, Some(&authority)).await?;
    Ok(founded)
}

/// Makes it durable, in one step: half of it would be no use.
async fn save(
    kv: &Arc<dyn Kv>,
    identified: &Identified,
    founding: Option<&Authority>,
) -> Result<(), StartError> {
    let mut batch = Batch::new();
    identified.identity.add_to(&mut batch);
    if let Some(credentials) = &identified.credentials {
        credentials.add_to(&mut batch);
    }
    if let Some(authority) = founding {
        batch.put(keys::FOUNDING, authority.encode());
    }
    Ok(write(kv, batch).await?)
}

/// The authority that this node has for the cluster that it founds, until the catalog has it.
pub(crate) fn founding_authority(kv: &dyn Kv) -> Result<Option<Authority>, StartError> {
    let Some(value) = kv.get(Space::Log, keys::FOUNDING)? else { return Ok(None) };
    Ok(Some(Authority::decode(value)?))
}

/// Forgets it, since the catalog has it.
pub(crate) async fn forget_founding(kv: &Arc<dyn Kv>) -> Result<(), StartError> {
    let mut batch = Batch::new();
    batch.delete(keys::FOUNDING);
    Ok(write(kv, batch).await?)
}
