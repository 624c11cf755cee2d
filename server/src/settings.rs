//! What a node is told: flags and environment first, then the settings file, then defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_catalog::Throttle;
use millstream_function::DotnetOptions;
use serde::Deserialize;

use crate::cli::{DurabilityName, ServeArgs};
use crate::machine;

/// How fast callers of all HTTP APIs may call together unless it is said: as the service's accounts begin with.
const API_THROTTLE: Throttle = Throttle { rate_thousandths: 10_000_000, burst: 5_000 };

/// Seconds that a subscription to a shard lasts unless it is said, and at most: what clients of the service expect.
const SUBSCRIPTION_SECONDS: u64 = 300;

/// The most processes of functions that may be asked for.
const FUNCTION_PROCESSES_MAX: u32 = 10_000;

/// A node's settings, whole.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Whether the access key `test` is accepted.
    pub dev: bool,
    /// Where the AWS protocols listen.
    pub aws_listen: SocketAddr,
    /// Where Event Hubs listens for AMQP.
    pub eventhubs_listen: SocketAddr,
    /// Where Event Hubs listens for AMQP under TLS.
    pub eventhubs_tls_listen: SocketAddr,
    /// Where Kafka clients are listened for.
    pub kafka_listen: SocketAddr,
    /// Where Kafka clients are listened for under TLS.
    pub kafka_tls_listen: SocketAddr,
    /// Whether a topic that a Kafka client asks for and that is not there is made.
    pub kafka_create_topics: bool,
    /// Whether shards are read by Kinesis clients as often and as much as the service lets them.
    pub kinesis_read_limits: bool,
    /// How long a Kinesis consumer's subscription to a shard lasts.
    pub kinesis_subscription_time: Duration,
    /// How often queries look for newer versions of reference data, unless it is as often as the service does.
    pub reference_scan_seconds: Option<std::num::NonZeroU64>,
    /// A certificate and its key, to listen under TLS too.
    pub tls: Option<TlsFiles>,
    /// Whether HTTP is taken under TLS only.
    pub require_tls: bool,
    /// Where others find the AWS and Azure protocols, when that is not where they listen.
    pub public_url: Option<String>,
    /// Where the console listens.
    pub console_listen: SocketAddr,
    /// Where the developer portal listens; `None`: there is none.
    pub portal_listen: Option<SocketAddr>,
    /// Where visitors find it when a proxy stands in front.
    pub portal_url: Option<String>,
    /// When a write is acknowledged.
    pub durability: DurabilityName,
    /// The region in names and signatures.
    pub region: String,
    /// Where buckets are: a folder, or an S3-class store.
    pub objects: ObjectSettings,
    /// Folders that Python functions may import from besides their package.
    pub python_path: Vec<PathBuf>,
    /// Folders that Node.js functions may require from besides their package.
    pub node_path: Vec<PathBuf>,
    /// Files and folders that functions may read besides their package, their runtime and the system's programs.
    pub function_readable: Vec<PathBuf>,
    /// How much functions are kept to themselves.
    pub confine_functions: ConfineFunctions,
    /// Processes of functions at once: each may take its whole memory limit.
    pub function_processes: usize,
    /// Where .NET is, and what compiles its bootstrap.
    pub dotnet: DotnetOptions,
    /// Waits before the first and the second retry of an asynchronous invocation, seconds, where the file says them.
    pub invoke_retry_seconds: Option<[u64; 2]>,
    /// First and longest wait before a batch that failed is brought to a mapping's function again, milliseconds.
    pub mapping_retry_ms: [u64; 2],
    /// Whether HTTP backends of APIs may be at loopback and private addresses; so in `--dev` unless it is said.
    pub private_backends: bool,
    /// How fast all callers of all HTTP APIs together may call; `None`: no limit.
    pub api_throttle: Option<Throttle>,
    /// Whether webhooks may have addresses of this machine and its networks.
    pub webhook_private_addresses: bool,
    /// Waits between attempts to deliver an event, seconds, the last one repeating; `None`: the documented schedule.
    pub event_retry_seconds: Option<Vec<u64>>,
}

/// How much functions are kept to themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfineFunctions {
    /// As far as this machine allows.
    #[default]
    Available,
    /// Wholly, or the node does not start.
    Required,
    /// Only their memory, files and time are limited.
    Off,
}

impl ConfineFunctions {
    /// Whether there is anything to be done.
    #[must_use]
    pub fn wanted(self) -> bool {
        self != Self::Off
    }
}

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, its chain behind it.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Where buckets are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, tag = "kind")]
pub enum ObjectSettings {
    /// Each bucket is a folder below this one.
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// Each bucket is one of an S3-class store.
    S3 {
        /// Its address: `https://s3.example.org`.
        endpoint: String,
        /// Its region.
        #[serde(default = "default_region")]
        region: String,
        /// An access key of it.
        access_key: String,
        /// The key's secret.
        secret: String,
    },
}

/// What a settings file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SettingsFile {
    dev: bool,
    aws_listen: Option<SocketAddr>,
    eventhubs_listen: Option<SocketAddr>,
    eventhubs_tls_listen: Option<SocketAddr>,
    kafka_listen: Option<SocketAddr>,
    kafka_tls_listen: Option<SocketAddr>,
    kafka_create_topics: bool,
    kinesis_read_limits: bool,
    kinesis_subscription_seconds: Option<u64>,
    reference_scan_seconds: Option<std::num::NonZeroU64>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    require_tls: bool,
    public_url: Option<String>,
    console_listen: Option<SocketAddr>,
    portal_listen: Option<SocketAddr>,
    portal_url: Option<String>,
    durability: Option<DurabilityName>,
    region: Option<String>,
    objects: Option<ObjectSettings>,
    python_path: Vec<PathBuf>,
    node_path: Vec<PathBuf>,
    function_readable: Vec<PathBuf>,
    confine_functions: ConfineFunctions,
    function_processes: Option<u32>,
    dotnet: Option<PathBuf>,
    csharp_compiler: Option<PathBuf>,
    dotnet_references: Option<PathBuf>,
    dotnet_bootstrap: Option<PathBuf>,
    invoke_retry_seconds: Option<[u64; 2]>,
    mapping_retry_ms: Option<[u64; 2]>,
    private_backends: Option<bool>,
    api_throttle: Option<ThrottleSetting>,
    webhook_private_addresses: Option<bool>,
    event_retry_seconds: Option<Vec<u64>>,
}

/// How fast all callers of all HTTP APIs together may call.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct ThrottleSetting {
    /// Calls a second.
    rate: f64,
    /// Calls at once after a pause.
    burst: u32,
}

/// Why a node cannot be started so.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{file}: {error}")]
    Io {
        /// The file.
        file: String,
        /// The system's words.
        error: std::io::Error,
    },
    /// The file is no TOML or has a field that does not exist.
    #[error("{file}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Line and reason.
        message: String,
    },
    /// Everybody could come in.
    #[error(
        "--dev accepts a published key, so {what} {address} must be a loopback address\n  try: leave --dev out, or listen on 127.0.0.1"
    )]
    DevelopmentKeysInPublic {
        /// Which listener.
        what: &'static str,
        /// Its address.
        address: SocketAddr,
    },
    /// The console has no credentials in this version.
    #[error(
        "the console shows all data to everybody who reaches it, so {0} must be a loopback address\n  try: listen on 127.0.0.1 and put a proxy with credentials and TLS in front"
    )]
    ConsoleInPublic(SocketAddr),
    /// No such rate.
    #[error("api_throttle: expected a rate from 0 to 1000000000 calls a second, found {0}")]
    ApiThrottle(f64),
    /// A subscription that ends at once, or that no client expects.
    #[error("kinesis_subscription_seconds: expected 1 to {SUBSCRIPTION_SECONDS}, found {0}")]
    SubscriptionSeconds(u64),
    /// So many processes are none, or more than any machine runs.
    #[error("function_processes: expected 1 to {FUNCTION_PROCESSES_MAX}, found {0}")]
    FunctionProcesses(u32),
    /// A certificate without its key, or the other way round.
    #[error("expected both a certificate (--tls-cert) and its key (--tls-key), or neither")]
    HalfOfTls,
    /// Nothing to be required.
    #[error("--require-tls needs a certificate (--tls-cert) and its key (--tls-key)")]
    RequiredWithoutTls,
    /// No address of a page or a service.
    #[error("{setting}: expected an address like https://data.example.org, found {found}")]
    Url {
        /// Which setting.
        setting: &'static str,
        /// What it holds.
        found: String,
    },
    /// Without TLS bodies travel readable.
    #[error("{address} is not a loopback address and takes what comes without TLS\n  try: {instead}")]
    PlainInPublic {
        /// The address.
        address: SocketAddr,
        /// What can be done.
        instead: &'static str,
    },
}

impl Settings {
    /// Puts flags, file and defaults together and refuses what is not safe.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_args(args: &ServeArgs) -> Result<Self, SettingsError> {
        let file = args.config.as_deref().map(read).transpose()?.unwrap_or_default();
        let data = args.node.data.clone();
        let certificate = args.tls_cert.clone().or(file.tls_cert);
        let tls = match (certificate, args.tls_key.clone().or(file.tls_key)) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(SettingsError::HalfOfTls),
        };
        let require_tls = args.require_tls || file.require_tls;
        if require_tls && tls.is_none() {
            return Err(SettingsError::RequiredWithoutTls);
        }
        let function_processes = match args.function_processes.or(file.function_processes) {
            None => machine::function_processes(),
            Some(number) if (1..=FUNCTION_PROCESSES_MAX).contains(&number) => number as usize,
            Some(number) => return Err(SettingsError::FunctionProcesses(number)),
        };
        let api_throttle = file
            .api_throttle
            .map(|setting| Throttle::new(setting.rate, setting.burst).ok_or(SettingsError::ApiThrottle(setting.rate)));
        let settings = Self {
            dev: args.dev || file.dev,
            aws_listen: args.aws_listen.or(file.aws_listen).unwrap_or_else(|| loopback(4566)),
            eventhubs_listen: args.eventhubs_listen.or(file.eventhubs_listen).unwrap_or_else(|| loopback(5672)),
            eventhubs_tls_listen: args.eventhubs_tls_listen.or(file.eventhubs_tls_listen).unwrap_or(loopback(5671)),
            kafka_listen: args.kafka_listen.or(file.kafka_listen).unwrap_or_else(|| loopback(9092)),
            kafka_tls_listen: args.kafka_tls_listen.or(file.kafka_tls_listen).unwrap_or_else(|| loopback(9093)),
            kafka_create_topics: file.kafka_create_topics,
            kinesis_read_limits: file.kinesis_read_limits,
            kinesis_subscription_time: subscription_time(file.kinesis_subscription_seconds)?,
            reference_scan_seconds: file.reference_scan_seconds,
            tls,
            require_tls,
            public_url: args.public_url.clone().or(file.public_url),
            console_listen: args.console_listen.or(file.console_listen).unwrap_or_else(|| loopback(8080)),
            portal_listen: args.portal_listen.or(file.portal_listen),
            portal_url: args.portal_url.clone().or(file.portal_url),
            durability: args.durability.or(file.durability).unwrap_or(DurabilityName::Fsync),
            region: file.region.unwrap_or_else(default_region),
            objects: file.objects.unwrap_or_else(|| ObjectSettings::Folder { path: data.join("objects") }),
            python_path: paths("MILLSTREAM_PYTHON_PATH", file.python_path),
            node_path: paths("MILLSTREAM_NODE_PATH", file.node_path),
            function_readable: paths("MILLSTREAM_FUNCTION_READABLE", file.function_readable),
            confine_functions: file.confine_functions,
            function_processes,
            dotnet: DotnetOptions {
                host: path("MILLSTREAM_DOTNET", file.dotnet),
                compiler: path("MILLSTREAM_CSHARP_COMPILER", file.csharp_compiler),
                references: path("MILLSTREAM_DOTNET_REFERENCES", file.dotnet_references),
                bootstrap: path("MILLSTREAM_DOTNET_BOOTSTRAP", file.dotnet_bootstrap),
            },
            invoke_retry_seconds: file.invoke_retry_seconds,
            mapping_retry_ms: file.mapping_retry_ms.unwrap_or([1_000, 60_000]),
            private_backends: file.private_backends.unwrap_or(args.dev || file.dev),
            api_throttle: api_throttle.transpose()?.or(Some(API_THROTTLE)),
            webhook_private_addresses: file.webhook_private_addresses.unwrap_or(args.dev || file.dev),
            event_retry_seconds: file.event_retry_seconds,
            data,
        };
        settings.refuse_public()?;
        Ok(settings)
    }

    /// The host under which others find the node.
    #[must_use]
    pub fn public_host(&self) -> String {
        let url = self.public_url.as_ref().and_then(|url| url.parse::<http::Uri>().ok());
        url.and_then(|url| url.host().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned())
    }

    fn refuse_public(&self) -> Result<(), SettingsError> {
        for (what, address) in [
            ("--aws-listen", self.aws_listen),
            ("--eventhubs-listen", self.eventhubs_listen),
            ("--eventhubs-tls-listen", self.eventhubs_tls_listen),
            ("--kafka-listen", self.kafka_listen),
            ("--kafka-tls-listen", self.kafka_tls_listen),
        ] {
            if self.dev && !address.ip().is_loopback() {
                return Err(SettingsError::DevelopmentKeysInPublic { what, address });
            }
        }
        if let Some(address) = self.portal_listen.filter(|address| self.dev && !address.ip().is_loopback()) {
            return Err(SettingsError::DevelopmentKeysInPublic { what: "--portal-listen", address });
        }
        if !self.console_listen.ip().is_loopback() {
            return Err(SettingsError::ConsoleInPublic(self.console_listen));
        }
        for (setting, url) in [("portal_url", &self.portal_url), ("public_url", &self.public_url)] {
            if let Some(found) = url.clone().filter(|url| !is_origin(url)) {
                return Err(SettingsError::Url { setting, found });
            }
        }
        let http = [self.aws_listen].into_iter().chain(self.portal_listen).filter(|_| !self.require_tls);
        let http = http.map(|address| (address, "set a certificate and --require-tls, or listen on 127.0.0.1"));
        let others = [self.eventhubs_listen, self.kafka_listen];
        let others = others.map(|address| (address, "listen on 127.0.0.1, and under TLS on an address of its own"));
        for (address, instead) in http.chain(others) {
            if !address.ip().is_loopback() {
                return Err(SettingsError::PlainInPublic { address, instead });
            }
        }
        Ok(())
    }

    /// Where others find the AWS and Azure protocols, which listen at `listening`; without a slash at the end.
    #[must_use]
    pub fn endpoint(&self, listening: SocketAddr) -> String {
        let public = self.public_url.as_ref().map(|url| url.trim_end_matches('/').to_owned());
        public.unwrap_or_else(|| format!("{}://{listening}", if self.require_tls { "https" } else { "http" }))
    }
}

/// Whether a text is an address with a host and nothing behind it.
fn is_origin(text: &str) -> bool {
    let is_web = |url: &http::Uri| matches!(url.scheme_str(), Some("http" | "https"));
    text.parse::<http::Uri>().is_ok_and(|url| is_web(&url) && url.host().is_some() && url.path() == "/")
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

/// Folders of a variable in the form of `PATH`, else those of the file.
fn paths(variable: &str, file: Vec<PathBuf>) -> Vec<PathBuf> {
    std::env::var_os(variable).map_or(file, |value| std::env::split_paths(&value).collect())
}

/// The path of a variable, else that of the file.
fn path(variable: &str, file: Option<PathBuf>) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from).or(file)
}

fn subscription_time(seconds: Option<u64>) -> Result<Duration, SettingsError> {
    match seconds.unwrap_or(SUBSCRIPTION_SECONDS) {
        seconds @ 1..=SUBSCRIPTION_SECONDS => Ok(Duration::from_secs(seconds)),
        seconds => Err(SettingsError::SubscriptionSeconds(seconds)),
    }
}

fn read(path: &Path) -> Result<SettingsFile, SettingsError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| SettingsError::Io { file: file.clone(), error })?;
    toml::from_str(&text).map_err(|error| SettingsError::Syntax { file, message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn settings(flags: &[&str]) -> Result<Settings, SettingsError> {
        let command = ["millstream", "serve"].iter().chain(flags).copied();
        match crate::cli::Cli::parse_from(command).command {
            crate::cli::Command::Serve(args) => Settings::from_args(&args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_loopback_and_durable() {
        let defaults = settings(&["--data", "d"]).unwrap();
        assert_eq!(defaults.aws_listen.to_string(), "127.0.0.1:4566");
        assert_eq!(defaults.durability, DurabilityName::Fsync);
        assert_eq!(defaults.objects, ObjectSettings::Folder { path: "d/objects".into() });
        assert!(!defaults.webhook_private_addresses && settings(&["--dev"]).unwrap().webhook_private_addresses);
    }

    #[test]
    fn what_is_not_safe_is_refused_with_the_way_out() {
        for flags in [
            &["--dev", "--aws-listen", "0.0.0.0:1"][..],
            &["--console-listen", "10.0.0.1:1"],
            &["--aws-listen", "[::]:1"],
            &["--dev", "--eventhubs-tls-listen", "0.0.0.0:1"],
            &["--eventhubs-listen", "0.0.0.0:1"],
            &["--portal-listen", "0.0.0.0:1"],
            &["--kafka-listen", "0.0.0.0:1"],
            &["--dev", "--kafka-tls-listen", "0.0.0.0:1"],
            &["--dev", "--portal", "10.0.0.1:1"],
            &["--tls-cert", "c", "--tls-key", "k", "--aws-listen", "0.0.0.0:1"],
            &["--tls-cert", "c", "--tls-key", "k", "--require-tls", "--kafka-listen", "0.0.0.0:1"],
        ] {
            let error = settings(flags).unwrap_err().to_string();
            assert!(error.contains("try:"), "{error}");
        }
    }

    #[test]
    fn under_tls_alone_the_protocols_may_be_public() {
        let tls = ["--tls-cert", "c", "--tls-key", "k", "--require-tls", "--aws-listen", "0.0.0.0:1"];
        let public = settings(&tls).unwrap();
        assert_eq!(public.endpoint(public.aws_listen), "https://0.0.0.0:1");
        assert!(settings(&["--require-tls"]).unwrap_err().to_string().contains("--tls-cert"));
        let named = settings(&["--public-url", "https://data.example.org/"]).unwrap();
        assert_eq!(named.endpoint(named.aws_listen), "https://data.example.org");
        assert_eq!(named.public_host(), "data.example.org");
        for bad in ["data.example.org", "https://data.example.org/x", "ftp://data.example.org"] {
            assert!(settings(&["--public-url", bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn processes_of_functions_are_a_number_within_bounds() {
        assert_eq!(settings(&["--function-processes", "7"]).unwrap().function_processes, 7);
        assert!(settings(&[]).unwrap().function_processes > 0);
        for bad in ["0", "10001"] {
            let error = settings(&["--function-processes", bad]).unwrap_err().to_string();
            assert!(error.contains(bad), "{error}");
        }
    }

    #[test]
    fn the_file_is_checked_and_flags_win() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.toml");
        std::fs::write(&file, "aws_listen = \"127.0.0.1:1\"\nregion = \"eu-west-1\"\n").unwrap();
        let found = settings(&["--config", file.to_str().unwrap(), "--aws-listen", "127.0.0.1:2"]).unwrap();
        assert_eq!((found.aws_listen.port(), found.region.as_str()), (2, "eu-west-1"));
        std::fs::write(&file, "regio = 1\n").unwrap();
        let error = settings(&["--config", file.to_str().unwrap()]).unwrap_err().to_string();
        assert!(error.contains("unknown field `regio`"), "{error}");
        std::fs::write(&file, "kinesis_subscription_seconds = 301\n").unwrap();
        let found = settings(&["--config", file.to_str().unwrap()]).unwrap_err();
        assert!(matches!(found, SettingsError::SubscriptionSeconds(301)), "{found}");
    }
}
