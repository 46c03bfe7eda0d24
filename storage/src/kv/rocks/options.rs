//! How RocksDB is set up, and why.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType,
    DBRecoveryMode, Env, Error, Options, WriteBufferManager,
};

use super::super::Space;

/// Bytes that RocksDB may hold in memory for both spaces, unwritten batches included: most of an
/// idle node's memory.
const MEMORY_BYTES_MAX: usize = 40 * 1024 * 1024;

/// Bytes of unwritten batches of both spaces, within [`MEMORY_BYTES_MAX`].
const UNWRITTEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of one space's batches after which they are written out to a table.
const MEMTABLE_BYTES: usize = 8 * 1024 * 1024;

/// Tables of the catalog, as memory was written out to them, that are merged into the others at
/// once. The merge goes through most of the next level, up to 256 MiB, and a table has some 3 MB,
/// being compressed: with RocksDB's 4, a catalog of a million manifests was written 16 times over.
const TABLES_MERGED: i32 = 8;

/// Keys of an index that share the beginning of one of them. Keys begin with long names, and
/// without that a million manifests have 35 MB of indexes, which take turns in
/// [`MEMORY_BYTES_MAX`].
const INDEX_KEYS_SHARED: i32 = 16;

/// Bytes of write-ahead log that a restart may have to replay.
const WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Table files held open at once.
const OPEN_FILES_MAX: i32 = 256;

/// Info logs that RocksDB keeps in the folder, and the bytes of each.
const INFO_LOGS_MAX: usize = 4;
const INFO_LOG_BYTES: usize = 4 * 1024 * 1024;

/// What the database is opened with: the options of the whole, and of each column family.
pub(super) struct Setup {
    pub(super) database: Options,
    pub(super) families: Vec<ColumnFamilyDescriptor>,
}

impl Setup {
    /// The setup of a new store or of an existing one, with a budget of memory of its own.
    pub(super) fn new() -> Result<Self, Error> {
        let cache = Cache::new_lru_cache(MEMORY_BYTES_MAX);
        let families = [Space::Log, Space::Catalog]
            .map(|space| ColumnFamilyDescriptor::new(family_name(space), family(space, &cache)));
        Ok(Self { database: database(&cache)?, families: families.into() })
    }
}

/// The name of the column family that holds `space`.
pub(super) const fn family_name(space: Space) -> &'static str {
    match space {
        Space::Log => "log",
        Space::Catalog => "catalog",
    }
}

fn database(cache: &Cache) -> Result<Options, Error> {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A prefix of the log, whatever the crash left of its tail; never what lies behind a gap.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    // A whole write-ahead log that is missing would be such a gap, and is noticed only with this.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager_with_cache(
        UNWRITTEN_BYTES_MAX,
        false,
        cache.clone(),
    ));
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(INFO_LOGS_MAX);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    // Nobody waits for a merge of tables: it takes what those leave of the processors who answer.
    // Memory is written out by other threads.
    let mut env = Env::new()?;
    env.lower_thread_pool_cpu_priority();
    options.set_env(&env);
    Ok(options)
}

fn family(space: Space, cache: &Cache) -> Options {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    // In the cache, so that they count against its bound.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In parts of a few KiB: whole, those of one large table are a megabyte, and reads that go
    // everywhere would have to unpack them again and again.
    tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    tables.set_partition_filters(true);
    tables.set_index_block_restart_interval(INDEX_KEYS_SHARED);
    let mut options = Options::default();
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(3);
    match space {
        // Read soon or never, then deleted in ranges: compressing it, or filtering reads of it, is
        // lost work.
        Space::Log => options.set_compression_type(DBCompressionType::None),
        Space::Catalog => {
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_level_zero_file_num_compaction_trigger(TABLES_MERGED);
            tables.set_bloom_filter(10.0, false);
            // Most of what is read was written out long ago, and need not be looked for in memory.
            options.set_memtable_whole_key_filtering(true);
            options.set_memtable_prefix_bloom_ratio(0.02);
        }
    }
    options.set_block_based_table_factory(&tables);
    options
}
