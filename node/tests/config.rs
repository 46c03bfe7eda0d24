//! What configurations mean, and how wrong ones are refused.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::path::Path;

use node::Config;
use node::config::{LogFormat, Source, Voters};

fn read(variables: &[(&str, &str)], file: &str) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let source = Source::new(variables).with_text(Path::new("node.toml"), file);
    source.and_then(|mut source| Config::read(&mut source)).map_err(|error| error.to_string())
}

#[test]
fn everything_has_a_default() {
    let config = read(&[], "").unwrap();
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(config.storage.path, Path::new("/var/lib/roadstead/blobs"));
    assert_eq!(config.cluster.voters, Voters::Three);
    assert!(config.api.deletion);
    assert!(!config.api.sparse);
}

#[test]
fn the_example_file_says_the_defaults() {
    let mut example = Source::default().with_file(Path::new("../deploy/roadstead.toml")).unwrap();
    Config::read(&mut example).unwrap();
    let mut nothing = Source::default();
    Config::read(&mut nothing).unwrap();
    assert_eq!(example.to_string(), nothing.to_string());
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    let mut first = Source::default()
        .with_text(
            Path::new("a"),
            "cluster.join = ['a:1', '[::1]:2']\npeer.advertise = 'b:1'\nstorage.path = '/\"c\"'\n",
        )
        .unwrap();
    Config::read(&mut first).unwrap();
    let mut second = Source::default().with_text(Path::new("b"), &first.to_string()).unwrap();
    Config::read(&mut second).unwrap();
    assert_eq!(first.to_string(), second.to_string());
}

#[test]
fn a_secret_is_not_shown() {
    let token = format!("RSJ1-{}-{}-{}", "07".repeat(16), "08".repeat(32), "09".repeat(16));
    let mut source = Source::new([("ROADSTEAD_CLUSTER_TOKEN".to_owned(), token.clone())]);
    assert!(Config::read(&mut source).unwrap().cluster.token.unwrap().is_some());
    let shown = source.to_string();
    assert!(!shown.contains(&token) && shown.contains("# token is set, and not shown"), "{shown}");
}

#[test]
fn the_environment_goes_before_the_file() {
    let variables = [
        ("ROADSTEAD_API_LISTEN", "0.0.0.0:80"),
        ("ROADSTEAD_API_DELETION", "false"),
        ("ROADSTEAD_API_SPARSE", "true"),
        ("ROADSTEAD_CLUSTER_JOIN", "node-1:5001, node-3:5001"),
        ("ROADSTEAD_CLUSTER_VOTERS", "5"),
        ("ROADSTEAD_PEER_ADVERTISE", "node-2:5001"),
        ("ROADSTEAD_API_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7,2001:db8::/32"),
        ("ROADSTEAD_LIMITS_UPLOADS_PER_CLIENT_PER_MINUTE", "0"),
        ("ROADSTEAD_STORAGE_PATH", "/blobs"),
        ("ROADSTEAD_STORAGE_SWEEP_EVERY_S", "86400"),
        ("ROADSTEAD_LOG_FORMAT", "json"),
        ("ROADSTEAD_RAFT_HEARTBEAT_MS", "100"),
        ("ROADSTEAD_RAFT_REPLACE_AFTER_S", "60"),
        // What container platforms invent for a service of that name.
        ("ROADSTEAD_PORT", "tcp://10.0.0.1:5000"),
        ("ROADSTEAD_API_SERVICE_HOST", "10.0.0.1"),
        ("ROADSTEAD_API_PORT_5000_TCP_ADDR", "10.0.0.1"),
        ("ROADSTEAD_CLUSTER_PORT", "tcp://10.0.0.1:5001"),
        ("ROADSTEAD_CLUSTER_SERVICE_PORT", "5001"),
        ("ROADSTEAD_STORAGE_SERVICE_HOST", "10.0.0.1"),
        ("ROADSTEAD_ACCESS_PORT_5000_TCP_ADDR", "10.0.0.1"),
        ("ROADSTEAD_LOG_SERVICE_PORT_HTTP", "80"),
        ("ROADSTEAD_CLUSTER_NAME", "/node-1/roadstead-cluster"),
        ("ROADSTEAD_CLUSTER_ENV_LANG", "C"),
    ];
    let config =
        read(&variables, "[api]\nlisten = '127.0.0.1:1'\n[cluster]\nvoters = 1\n").unwrap();
    assert_eq!(config.api.listen.to_string(), "0.0.0.0:80");
    assert!(!config.api.deletion);
    assert!(config.api.sparse);
    assert_eq!(config.cluster.join.len(), 2);
    assert_eq!(config.cluster.voters, Voters::Five);
    let proxies: Vec<String> = config.api.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]);
    assert_eq!(config.limits.uploads_per_client_per_minute.get(), 0);
    assert_eq!(config.storage.sweep_every.duration().as_secs(), 86_400);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.raft.heartbeat.millis(), 100);
    assert_eq!(config.raft.replace_after.duration().as_secs(), 60);
}

#[test]
fn a_bucket_needs_no_folder() {
    let variables = [
        ("ROADSTEAD_PEER_LISTEN", "10.0.0.2:5001"),
        ("ROADSTEAD_STORAGE_KIND", "s3"),
        ("ROADSTEAD_STORAGE_BUCKET", "images"),
        ("ROADSTEAD_STORAGE_ENDPOINT", "https://s3.example:9000/"),
        ("ROADSTEAD_STORAGE_PATH_STYLE", "true"),
        ("ROADSTEAD_STORAGE_SSE", "aws:kms"),
        ("ROADSTEAD_STORAGE_REDIRECT", "auto"),
    ];
    let config = read(&variables, "[cluster]\njoin = ['a:1']\n[storage]\nprefix = 'p'").unwrap();
    assert_eq!(config.storage.bucket.as_deref(), Some("images"));
    assert_eq!(config.storage.endpoint.unwrap().as_str(), "https://s3.example:9000");
    assert_eq!(config.storage.prefix.as_deref(), Some("p"));
    assert!(config.storage.path_style);
}

#[test]
fn another_issuer_and_its_url_can_be_named() {
    let file = "[access]\nissuer = 'i'\nissuer_keys = '/k'\ntoken_url = 'https://a:8/t?x=1'\n";
    let config = read(&[], file).unwrap();
    assert_eq!(config.access.issuer.as_deref(), Some("i"));
    assert_eq!(config.access.token_url.unwrap().to_string(), "https://a:8/t?x=1");
}

#[test]
fn two_listeners_at_one_port_are_refused() {
    for (file, said) in [
        (
            "[api]\nlisten = '0.0.0.0:5002'",
            "admin.listen must have another port than api.listen: they are 127.0.0.1:5002 and",
        ),
        (
            "[peer]\nlisten = '10.0.0.1:9'\n[api]\nlisten = '10.0.0.1:9'",
            "peer.listen must have another port than api.listen",
        ),
    ] {
        let refused = read(&[], file).unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let apart = "[peer]\nlisten = '10.0.0.1:9'\n[api]\nlisten = '10.0.0.2:9'";
    assert!(read(&[], apart).is_ok());
}

#[test]
fn wrong_files_are_refused_with_a_sentence() {
    for (file, said) in [
        ("[api]\nlistne = 'x'", "node.toml: there is no key api.listne; did you mean api.listen?"),
        ("[apy]\nlisten = 'x'", "node.toml: there is no key apy.listen; did you mean api.listen?"),
        ("listen = '127.0.0.1:1'", "there is no key listen; did you mean api.listen?"),
        ("[api]\nlisten = 5000", "api.listen is 5000, but must be an IP address and a port"),
        ("[api]\nlisten = 'localhost'", "api.listen is \"localhost\", but must be an IP address"),
        ("[api]\ndeletion = 'no'", "api.deletion is \"no\", but must be true or false"),
        (
            "[api]\ntrusted_proxies = '10.0.0.0/8'",
            "but must be a list of networks and IP addresses",
        ),
        ("[api]\ntrusted_proxies = ['10.0.0.0/33']", "but must be a list of networks"),
        ("[cluster]\nvoters = 2", "cluster.voters is 2, but must be 1, 3 or 5"),
        ("[cluster]\njoin = 'a:1'", "cluster.join is \"a:1\", but must be a list of addresses"),
        ("[cluster]\njoin = ['a']", "cluster.join is [\"a\"], but must be a list of addresses"),
        ("[cluster]\njoin = ['a:1']", "storage.path must be set, because cluster.join is"),
        ("[peer]\nadvertise = 'a:0'", "peer.advertise is \"a:0\", but must be a host and a port"),
        ("[peer]\nlisten = '0.0.0.0:1'", "peer.advertise must be set"),
        (
            "[peer]\nlisten = '0.0.0.0:1'\nadvertise = '0.0.0.0:1'",
            "peer.advertise is 0.0.0.0:1, which is no machine's",
        ),
        (
            "[cluster]\njoin = ['localhost:1', '[::]:1']\n[storage]\npath = '/b'",
            "cluster.join is [::]:1, which is no machine's",
        ),
        (
            "[cluster]\njoin = ['localhost:1', 'a:1']\n[storage]\npath = '/b'",
            "peer.listen must be an address at which a:1, which cluster.join names, reaches",
        ),
        (
            "[limits]\nbytes_per_client_per_second = 1000",
            "must be a whole number of bytes a second between 4194304 and",
        ),
        (
            "[cluster]\ntoken = 'x'",
            "cluster.token is (not shown), but must be what `roadstead cluster",
        ),
        ("[tls]\ncertificate = 'c'", "tls.key must be set, because tls.certificate is"),
        ("[tls]\nkey = 'k'", "tls.certificate must be set, because tls.key is"),
        ("[tls]\nclient_ca = 'a'", "tls.certificate and tls.key must be set, because"),
        ("[limits]\ntransfers = 0", "limits.transfers is 0, but must be a whole number between 1"),
        (
            "[limits]\nuploads_per_client_at_once = -1",
            "limits.uploads_per_client_at_once is -1, but must be a whole number up to 1000000",
        ),
        ("[limits]\nconnections = 'x'", "limits.connections is \"x\", but must be a whole number"),
        ("[log]\nformat = 'xml'", "log.format is \"xml\", but must be \"human\" or \"json\""),
        ("[log]\nfilter = 'a=loud'", "log.filter is \"a=loud\", but must be a level or a filter"),
        ("[raft]\nheartbeat_ms = -1", "raft.heartbeat_ms is -1, but must be a whole number"),
        ("[raft]\nheartbeat_ms = 600", "raft.election_min_ms is 500, but must be at least twice"),
        ("[raft]\nelection_max_ms = 400", "raft.election_max_ms is 400, but must be more than"),
        ("[raft]\nreplace_after_s = 5", "raft.replace_after_s is 5, but must be a whole number"),
        ("[api]\nlisten = \n", "node.toml, line 2: "),
        ("[api]\n[api]\n", "node.toml, line 2: "),
    ] {
        is_refused(file, said);
    }
}

#[test]
fn what_the_storage_section_says_wrongly_is_refused_with_a_sentence() {
    for (file, said) in [
        ("[storage]\nkind = 'tape'", "storage.kind is \"tape\", but must be \"disk\" or \"s3\""),
        ("[storage]\nkind = 's3'", "storage.bucket must be set, because storage.kind is \"s3\""),
        ("[storage]\nbucket = 'b'", "storage.bucket is set, but storage.kind is \"disk\""),
        (
            "[storage]\nendpoint = 'http://s3:9'",
            "storage.endpoint and storage.prefix are of a store",
        ),
        ("[storage]\nprefix = 'p'", "are of a store on S3, but storage.kind is \"disk\""),
        ("[storage]\nbucket = ''", "storage.bucket is \"\", but must be a text that is not empty"),
        ("[storage]\nendpoint = 's3:9'", "storage.endpoint is \"s3:9\", but must be a URL"),
        ("[storage]\nredirect = 'auto'", "storage.redirect must be \"never\""),
        ("[storage]\ncache_bytes = 67108864", "storage.cache_bytes must be 0"),
        (
            "[storage]\ncache_bytes = 1000",
            "storage.cache_bytes is 1000, but must be a whole number of bytes from 67108864 on",
        ),
        ("[storage]\nsse_kms_key = 'k'", "storage.sse must be \"aws:kms\""),
        ("[storage]\npath = ''", "storage.path is \"\", but must be a path"),
    ] {
        is_refused(file, said);
    }
}

#[test]
fn a_file_without_a_token_is_a_fault_only_where_one_is_needed() {
    for (file, said) in [
        ("/", "/, which cluster.token_file names, cannot be read"),
        ("Cargo.toml", "has no join token: a join token is what"),
        ("/nowhere", "is not there, or is empty"),
    ] {
        let config = read(&[("ROADSTEAD_CLUSTER_TOKEN_FILE", file)], "").unwrap();
        let fault = config.cluster.token.unwrap_err().to_string();
        assert!(fault.contains(said), "{fault}");
    }
}

#[test]
fn what_the_access_section_says_wrongly_is_refused_with_a_sentence() {
    for (file, said) in [
        (
            "[access]\nissuer = 'i'",
            "access.issuer and access.issuer_keys belong together: set both, or neither",
        ),
        (
            "[access]\nmode = 'open'\nhtpasswd = '/h'",
            "access.htpasswd is set, but access.mode is \"open\", where nobody logs in",
        ),
        (
            "[access]\nmode = 'open'\nissuer = 'i'\nissuer_keys = '/k'",
            "access.issuer is set, but access.mode is \"open\"",
        ),
        (
            "[access]\nmode = 'open'\ntoken_url = 'https://a/t'",
            "access.token_url is set, but access.mode is \"open\"",
        ),
        (
            "[access]\nmode = 'open'\nadministrator_password_file = '/p'",
            "access.administrator_password_file is set, but access.mode is \"open\"",
        ),
        ("[access]\nissuer_keys = '/k'", "access.issuer and access.issuer_keys belong together"),
        (
            "[access]\ntoken_url = 'tokens.example'",
            "access.token_url is \"tokens.example\", but must be a URL of http or https",
        ),
        (
            "[access]\nservice = 'a \"b\"'",
            "but must be a text of ASCII that can be seen, without quotes and backslashes",
        ),
        ("[access]\nservice = 'a\\b'", "but must be a text of ASCII"),
        ("[access]\nservice = \"a\\u0007b\"", "but must be a text of ASCII"),
        ("[access]\nservice = 'é'", "but must be a text of ASCII"),
        ("[access]\nservice = ''", "but must be a text of ASCII"),
        (
            "[access]\nurl = 'registry.example'",
            "access.url is \"registry.example\", but must be a URL without a path, such as \
             \"https://host.example",
        ),
        ("[access]\ntoken_url = 'ftp://a/token'", "access.token_url is \"ftp://a/token\", but"),
        ("[access]\ntoken_url = 'https://'", "access.token_url is \"https://\", but must be"),
        ("[access]\ntoken_url = 'https://:80/t'", "access.token_url is \"https://:80/t\", but"),
        ("[access]\ntoken_url = 'http://a/\"'", "but must be a URL of http or https"),
    ] {
        is_refused(file, said);
    }
}

/// Checks that `file` is refused with a sentence that has `said` in it.
fn is_refused(file: &str, said: &str) {
    let refusal = read(&[], file).unwrap_err();
    assert!(refusal.contains(said), "{file}\n  said: {refusal}");
    assert!(!refusal.contains('\n'), "{refusal}");
}

#[test]
fn wrong_variables_are_refused_by_their_name() {
    for (name, value, said) in [
        (
            "ROADSTEAD_API_LISTEN",
            "x",
            "environment variable ROADSTEAD_API_LISTEN: api.listen is \"x\"",
        ),
        ("ROADSTEAD_API_LISTENS", "x", "no key ROADSTEAD_API_LISTENS; did you mean api.listen?"),
        ("ROADSTEAD_TLS_CERT", "/c", "no key ROADSTEAD_TLS_CERT; did you mean tls.certificate?"),
        ("ROADSTEAD_TLS_KEY_FILE", "/k", "no key ROADSTEAD_TLS_KEY_FILE; did you mean tls.key?"),
        (
            "ROADSTEAD_LIMITS_REQUESTS_PER_MINUTE",
            "60",
            "no key ROADSTEAD_LIMITS_REQUESTS_PER_MINUTE; did you mean limits.requests_per_",
        ),
        ("ROADSTEAD_AUDIT_DIR", "/a", "no key ROADSTEAD_AUDIT_DIR; did you mean audit.folder?"),
        ("ROADSTEAD_DATA_DIR", "/d", "no key ROADSTEAD_DATA_DIR; did you mean node.data_dir?"),
        ("ROADSTEAD_ACCESS_HTPASSWD_FILE", "/h", "did you mean access.htpasswd?"),
        ("ROADSTEAD_STORAGE_X", "x", "no key ROADSTEAD_STORAGE_X"),
        ("ROADSTEAD_CLUSTER_VOTERS", "three", "cluster.voters is \"three\", but must be 1, 3 or 5"),
        ("ROADSTEAD_CLUSTER_JOIN", "a:1,b", "cluster.join is [\"a:1\", \"b\"]"),
    ] {
        let refusal = read(&[(name, value)], "").unwrap_err();
        assert!(refusal.contains(said), "{refusal}");
    }
    // They are for other commands.
    for name in ["ROADSTEAD_SERVER", "ROADSTEAD_USER", "ROADSTEAD_PASSWORD", "ROADSTEAD_CA"] {
        assert!(read(&[(name, "x")], "").is_ok(), "{name}");
    }
}
