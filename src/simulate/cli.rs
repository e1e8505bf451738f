//! `turnpike simulate`: simulated providers from the command line.

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::behaviour::{BadKnob, Behaviour};
use super::config::{ApiKey, Config, ProviderConfig};
use super::{Running, Simulator, StartError};
use crate::dialect::Dialect;

/// Simulated LLM providers, for trying things out and for benchmarks. One provider from the flags,
/// or several from a file.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// The file that describes several providers; replaces the flags that describe one.
    #[arg(long, conflicts_with_all = [
        "listen", "dialect", "id", "model", "api_key", "ttft_ms", "token_ms", "jitter", "tokens",
        "chunk_tokens", "bytes", "numbered", "repeat", "canned", "coalesce", "fault", "rate", "retry_after",
        "seed",
    ])]
    pub config: Option<PathBuf>,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9001")]
    pub listen: SocketAddr,
    /// The wire format: openai or anthropic.
    #[arg(long, default_value = "openai", value_parser = parse_dialect)]
    pub dialect: Dialect,
    /// The provider's id.
    #[arg(long, default_value = "sim")]
    pub id: String,
    /// A model that it serves (may be repeated). Without any, every name is served.
    #[arg(long)]
    pub model: Vec<String>,
    /// The credential that it demands.
    #[arg(long, value_parser = parse_key)]
    pub api_key: Option<ApiKey>,
    /// To the first token, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub ttft_ms: u32,
    /// Between tokens, in milliseconds.
    #[arg(long, default_value_t = 0.0)]
    pub token_ms: f64,
    /// How much delays vary, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    pub jitter: f64,
    /// Length of an answer, in tokens.
    #[arg(long, default_value_t = 32)]
    pub tokens: u32,
    /// Tokens per streamed event.
    #[arg(long, default_value_t = 1)]
    pub chunk_tokens: u32,
    /// Lengthens answers to at least this many bytes.
    #[arg(long, default_value_t = 0)]
    pub bytes: u32,
    /// Answers count: w0 w1 w2 …
    #[arg(long)]
    pub numbered: bool,
    /// Asked to go on with an answer of its own, it repeats so many words first.
    #[arg(long, default_value_t = 0)]
    pub repeat: u32,
    /// Answers from prebuilt bytes, without reading the request: the quickest.
    #[arg(long)]
    pub canned: bool,
    /// Sends events that are due together as one HTTP chunk.
    #[arg(long)]
    pub coalesce: bool,
    /// A fault (may be repeated): reset, hang, status:429, cut_after:10, in_band, empty, …
    #[arg(long)]
    pub fault: Vec<String>,
    /// The share of requests that each fault strikes, 0 to 1.
    #[arg(long, requires = "fault")]
    pub rate: Option<f64>,
    /// The Retry-After of error answers, in seconds.
    #[arg(long, requires = "fault")]
    pub retry_after: Option<u32>,
    /// Everything that looks random follows from it.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Worker threads; 0 takes one for each processor.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
}

/// Why the command failed.
#[derive(Debug)]
pub enum CliError {
    /// The file can't be read.
    File(PathBuf, io::Error),
    /// The file or a flag has faults: all of them.
    Faults(Vec<String>),
    /// The providers did not start.
    Start(StartError),
    /// Threads, signals or the terminal failed.
    Io(io::Error),
}

/// Runs simulated providers until Ctrl-C (or SIGTERM).
///
/// # Errors
/// The file or a flag is wrong, or an address can't be listened on.
pub fn run(args: &Args) -> Result<(), CliError> {
    let config = config(args)?;
    let mut builder = match args.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if args.threads > 1 {
        builder.worker_threads(args.threads);
    }
    let runtime = builder.enable_all().build().map_err(CliError::Io)?;
    runtime.block_on(async {
        let running = Simulator::start(config).await.map_err(CliError::Start)?;
        print(&running).map_err(CliError::Io)?;
        stopped().await.map_err(CliError::Io)?;
        running.stop().await;
        Ok(())
    })
}

/// What the flags or the file describe.
///
/// # Errors
/// The file can't be read, or has faults; a flag has.
pub fn config(args: &Args) -> Result<Config, CliError> {
    if let Some(path) = &args.config {
        let text = std::fs::read_to_string(path).map_err(|e| CliError::File(path.clone(), e))?;
        return Config::parse(&text).map_err(CliError::Faults);
    }
    let behaviour = behaviour(args).map_err(|bad| CliError::Faults(vec![bad.to_string()]))?;
    let mut provider = ProviderConfig::new(&args.id, args.dialect).behaving(behaviour);
    provider.listen = args.listen;
    provider.models.clone_from(&args.model);
    provider.api_key.clone_from(&args.api_key);
    let config = Config { seed: args.seed, control: None, providers: vec![provider] };
    let faults = config.faults();
    if faults.is_empty() { Ok(config) } else { Err(CliError::Faults(faults)) }
}

fn behaviour(args: &Args) -> Result<Behaviour, BadKnob> {
    let mut behaviour = Behaviour {
        ttft_ms: args.ttft_ms,
        token_ms: args.token_ms,
        jitter: args.jitter,
        tokens: args.tokens,
        chunk_tokens: args.chunk_tokens,
        bytes: args.bytes,
        numbered: args.numbered,
        repeat: args.repeat,
        canned: args.canned,
        coalesce: args.coalesce,
        ..Behaviour::default()
    };
    for fault in &args.fault {
        behaviour.apply("fault", fault)?;
        if let Some(rule) = behaviour.faults.last_mut() {
            rule.rate = args.rate.unwrap_or(1.0);
            rule.retry_after = args.retry_after;
        }
    }
    behaviour.check()?;
    Ok(behaviour)
}

fn print(running: &Running) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for provider in running.providers() {
        let closed = if provider.is_listening() { "" } else { " (closed)" };
        let (id, dialect) = (provider.id(), provider.config().dialect);
        writeln!(out, "{id}: {dialect} at {}{closed}", provider.base_url())?;
    }
    if let Some(addr) = running.control_addr() {
        writeln!(out, "control: http://{addr}/_sim/state")?;
    }
    out.flush()
}

async fn stopped() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = terminate.recv() => Ok(()),
    }
}

fn parse_dialect(name: &str) -> Result<Dialect, String> {
    Dialect::parse(name)
        .ok_or_else(|| format!("expected one of {}", Dialect::ALL.map(Dialect::name).join(", ")))
}

#[expect(clippy::unnecessary_wraps, reason = "the form that clap asks for")]
fn parse_key(key: &str) -> Result<ApiKey, std::convert::Infallible> {
    Ok(ApiKey::new(key))
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, e) => write!(f, "{}: {e}", path.display()),
            Self::Faults(faults) => f.write_str(&faults.join("\n")),
            Self::Start(e) => e.fmt(f),
            Self::Io(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for CliError {}
