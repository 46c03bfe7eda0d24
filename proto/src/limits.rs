//! The limits that clients or several crates know, each with its unit and its reason: what has no
//! limit is a way to take a node down. Others stand where they hold.

use std::time::Duration;

/// Longest repository name, in bytes: what docker accepts, and beyond which `docs/abuse-cases.md`
/// promises a 400.
pub const REPO_NAME_BYTES_MAX: usize = 255;

/// Longest tag, in bytes (distribution-spec, "Pulling manifests": at most 128 characters).
pub const TAG_BYTES_MAX: usize = 128;

/// Longest media type, in bytes (RFC 6838, section 4.2: 127 for the type and 127 for the subtype,
/// and the slash).
pub const MEDIA_TYPE_BYTES_MAX: usize = 255;

/// Largest manifest, in bytes (distribution-spec, "Pushing manifests": registries should accept at
/// least 4 MiB).
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most blobs and child manifests that one manifest may name: keeps one decision well under an
/// election timeout.
pub const MANIFEST_LINKS_MAX: usize = 10_000;

/// Most bytes that the manifests which one index names have, by what it says, each counted once: a
/// decision reads all of each to find out whether it has that size, and has to stay well under an
/// election timeout. An index of 10,000 may have 6 KiB for each, as many as an image of 30 layers.
pub const INDEX_CHILDREN_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most keys in all the objects of one manifest: five for each blob or manifest that it may name.
/// Bounds the time that reading it takes.
pub const MANIFEST_KEYS_MAX: usize = 50_000;

/// Most tags that one push may set at once.
pub const TAGS_PER_PUSH_MAX: usize = 64;

/// Most tags that the deletion of one manifest deletes with it: keeps one decision, of some 100 ms,
/// well under an election timeout. A manifest may have more, which are then deleted before it.
pub const TAGS_PER_DELETION_MAX: usize = 10_000;

/// Most digests that one precondition of a change may list.
pub const PRECONDITION_DIGESTS_MAX: usize = 64;

/// Largest blob, in bytes: 5 TiB, beyond any layer, so that no upload is without end.
pub const BLOB_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024 * 1024;

/// Most parts (acknowledged chunks) that one upload may have: S3's limit, held on every store.
pub const UPLOAD_PARTS_MAX: usize = 10_000;

/// Chunks that uploads are asked to come in, at least, in bytes: a multipart upload's smallest part
/// on S3. Smaller ones are taken too, as many as [`UPLOAD_PARTS_MAX`].
pub const UPLOAD_CHUNK_BYTES_MIN: u64 = 5 * 1024 * 1024;

/// How long an upload may stay open after its last acknowledged chunk.
pub const UPLOAD_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How much longer than an upload can go on what was left stays: for clocks that differ, and for
/// uploads that are being ended.
pub const UPLOAD_LIFETIME_MARGIN: Duration = Duration::from_secs(60 * 60);

/// For how long nothing must have been written to what a sweep frees. An upload may go on twice
/// [`UPLOAD_LIFETIME`] after its last acknowledged chunk: until then the next one may begin, and
/// from then on it may take as long to arrive; that it does, nothing in the store shows.
pub const SWEEP_AGE: Duration =
    UPLOAD_LIFETIME.saturating_mul(2).saturating_add(UPLOAD_LIFETIME_MARGIN);

/// Most entries of one page of a list.
pub const PAGE_ENTRIES_MAX: usize = 1_000;

/// Largest gRPC message between nodes, in bytes: room for the largest manifest beside a batch of
/// log entries.
pub const PEER_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of log entries that one read for replication collects before it stops; one larger entry
/// still travels alone.
pub const LOG_READ_BYTES_MAX: usize = 1024 * 1024;

/// Most terms that a vote of another node, of the second half of all terms, may be ahead of the
/// last one that a node knows: after the last of all nobody could be elected any more. There are
/// fewer elections than this while a node is away: it would take one a second for 136 years. And a
/// node that sends votes to use the terms up needs 2 to the power of 31, each of which is synced.
pub const TERMS_AHEAD_MAX: u64 = 1 << 32;

/// Bytes of rows that one message of a snapshot carries.
pub const SNAPSHOT_CHUNK_BYTES: usize = 128 * 1024;

/// Most times in a row that the log is not purged when it would be, because a catalog is on its way
/// to another node: the log then has as many times the entries, or three and a half times the
/// bytes.
pub const SNAPSHOTS_DEFERRED_MAX: u32 = 20;

/// How long a node waits for the next message of a snapshot before it gives the snapshot up.
pub const SNAPSHOT_IDLE_MAX: Duration = Duration::from_secs(30);

/// How long the answer to a request is kept for its repetitions, in the time by which answers age.
pub const ANSWER_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Most that one command may advance the time by which answers age: however wrong a leader's clock
/// is, an answer outlives `ANSWER_LIFETIME / ANSWER_AGE_STEP_MAX` further commands.
pub const ANSWER_AGE_STEP_MAX: Duration = Duration::from_secs(1);

/// Most expired answers that one applied command removes: removal keeps up with arrival, and one
/// apply stays short.
pub const ANSWERS_EXPIRED_PER_APPLY: usize = 8;

/// Longest peer address, in bytes (RFC 1035's 253 for the host, and the port).
pub const ADDRESS_BYTES_MAX: usize = 260;

/// Join tokens that are good at a time; a further one takes the place of that which ends first.
pub const TOKENS_MAX: usize = 16;

/// How long a join token is good, unless the operator says otherwise: a day of setting up machines.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a node's certificate is good. It is renewed when two thirds of that are over, so that a
/// node may be off for a month and come back.
pub const NODE_CERTIFICATE_LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How long the certificate of a cluster's authority is good: longer than clusters live.
pub const AUTHORITY_LIFETIME: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Longest name of an actor in the journal, in bytes: room for the address of a node, which is how
/// one that asks to be admitted is called.
pub const ACTOR_BYTES_MAX: usize = 260;

/// Most bytes of the head of a request, its target and headers: several times what a client with a
/// long token sends.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of the target of a request: RFC 9110, section 4.1, asks for at least 8,000, and the
/// Location of an upload has some 600.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

/// Most headers of a request: ten times what clients send.
pub const HEADERS_MAX: usize = 100;

/// Most bytes between the chunks of a body: sizes, extensions and trailers, which no client of a
/// registry has a use for.
pub const CHUNK_OVERHEAD_BYTES_MAX: usize = 16 * 1024;

/// How long a client may keep a node waiting, in all, for each [`PACE_BYTES`] of a body that it
/// sends or is sent: some 1 KiB a second, less than any line that pulls an image.
pub const PACE_PATIENCE: Duration = Duration::from_secs(60);

/// See [`PACE_PATIENCE`].
pub const PACE_BYTES: usize = 64 * 1024;

/// How long a client may take over the handshake of TLS: a few round trips, and the smart
/// card of a client that shows a certificate.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes of a file of certificates or keys: as many as a bundle of all public CAs has, twice.
pub const PEM_BYTES_MAX: u64 = 512 * 1024;

/// Transfers at once, unless the operator sets another number: at 4 MiB for each, 2 GiB of memory
/// when all of them are as slow and as large as they may be. Parts of uploads to S3 come on top,
/// out of a budget that all transfers share: see `storage/src/blob/s3/sizes.rs`.
pub const TRANSFERS_DEFAULT: usize = 512;

/// Transfers at once of one client address, unless the operator sets another number: a quarter of
/// all, since behind one address may be a whole network.
pub const TRANSFERS_PER_CLIENT_DEFAULT: usize = 128;

/// Uploads and blobs that are read back at once to answer those who end uploads: each costs the
/// store as much as a pull, and its client nothing.
pub const READINGS_MAX: usize = 64;

/// How many of these one client address may have. They are rare: an upload whose digest can be told
/// without reading it, as of all that usual clients push, is none.
pub const READINGS_PER_CLIENT_MAX: usize = 2;

/// Uploads that one client address may begin in a minute, unless the operator sets another number:
/// a hundred a second, for a network of build machines behind one address.
pub const UPLOADS_PER_MINUTE_DEFAULT: u32 = 6_000;

/// Uploads that one client address may begin without a pause, unless the operator sets another
/// number: some hundred images at once. An upload that is begun costs nothing until bytes come; but
/// what is sent of one stays for [`SWEEP_AGE`].
pub const UPLOADS_AT_ONCE_DEFAULT: u32 = 5_000;

/// Connections of clients at once, unless the operator sets another number. A node warns when it
/// may have too few descriptors for them.
pub const CONNECTIONS_DEFAULT: usize = 8192;

/// Connections at once from one client address, unless the operator sets another number.
pub const CONNECTIONS_PER_CLIENT_DEFAULT: usize = 1024;

/// Longest name of an account, group or role, in bytes: room for a mail address.
pub const ACCESS_NAME_BYTES_MAX: usize = 128;

/// Longest hash of a password, in bytes: twice what Argon2id writes with its longest salts.
pub const PASSWORD_HASH_BYTES_MAX: usize = 256;

/// Most groups that an account is a member of.
pub const ACCOUNT_GROUPS_MAX: usize = 64;

/// Most access keys of one account: they go with it in one decision.
pub const KEYS_PER_ACCOUNT_MAX: usize = 100;

/// How exactly it is known when an access key was last used: a key in use is a change of the
/// catalog an hour, and no more.
pub const KEY_USE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Longest description of an access key, in bytes.
pub const KEY_DESCRIPTION_BYTES_MAX: usize = 255;

/// Most parts of the scope of one access key.
pub const KEY_SCOPES_MAX: usize = 64;

/// Most roles beside those that every cluster has: each node keeps them in memory.
pub const ROLES_MAX: usize = 1_000;

/// Most grants: each node keeps them in memory.
pub const GRANTS_MAX: usize = 10_000;

/// Passwords that are checked for one client address without a pause: behind one address may be an
/// office, all of whose people a node asks anew when it has started.
pub const LOGINS_PER_CLIENT_AT_ONCE: u32 = 120;

/// Passwords that are checked for one client address in a minute: a tenth of what one core can
/// check.
pub const LOGINS_PER_CLIENT_PER_MINUTE: u32 = 300;

/// Refusals that the audit log has in a minute, and without a pause: of one client address, of
/// wrong passwords and of everything else, and of all nodes that ask to join. Strangers must not
/// fill a disk. More than passwords are checked for an address, so that none that is wrong is left
/// out.
pub const REFUSALS_RECORDED_PER_MINUTE: u32 = 600;

/// Passwords that are checked for one account without a pause.
pub const LOGINS_PER_ACCOUNT_AT_ONCE: u32 = 20;

/// Passwords that one client address has checked for one account without a pause: three quarters of
/// what is checked for that, so that no address locks others out. A client that logs in sends a
/// wrong password two or three times, and people try several.
pub const LOGINS_OF_CLIENT_PER_ACCOUNT_AT_ONCE: u32 = 15;

/// Passwords that one client address has checked for one account in a minute: two thirds of what is
/// checked for that.
pub const LOGINS_OF_CLIENT_PER_ACCOUNT_PER_MINUTE: u32 = 20;

/// Passwords that are checked for one account in a minute, from wherever they come: what a thousand
/// nodes would need a century for, to guess eight random letters.
pub const LOGINS_PER_ACCOUNT_PER_MINUTE: u32 = 30;

/// How long a key signs tokens until another takes its place.
pub const TOKEN_KEY_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An earlier stamp may be at most this far ahead of now. If it is further ahead, the leader that
/// made it had a wrong clock, and the stamp does not count as recent.
pub const STAMP_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How many keys are kept to check tokens with: the one that signs, and the one before.
pub const TOKEN_KEYS_KEPT: usize = 2;
