//! `turnpike` without arguments: the whole gateway over simulated providers.
//!
//! Everything is real but the models: the same proxy, ledger, cache and metrics as in production,
//! in front of providers that run in this process and answer with invented words.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::config;
use crate::edge::{self, Quit, Serve};
use crate::ledger::Ledger;
use crate::observe;
use crate::simulate::{self, Running};
use crate::terms::{AccountTerms, KeyTerms};
use crate::vocab::{AccountId, NanoUsd};

/// Options of the demo.
#[derive(Args, Clone)]
pub(super) struct DemoArgs {
    /// Where to listen; the next free port is taken if this one is in use.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where the admin listener (health, metrics) listens.
    #[arg(long, default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Where the ledger is kept; a temporary directory if absent.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Access log: one line per request on standard error.
    #[arg(long)]
    access_log: bool,
}

/// The account that the demo's key belongs to.
const ACCOUNT: &str = "demo";
/// What it starts with.
const CREDIT: &str = "5";
/// What the simulated providers are sent as a credential.
const PROVIDER_KEY: &str = "no-secret-for-simulated-providers";

/// Runs the demo until Ctrl-C.
pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let quit = Quit::catch()?;
    match &args.data {
        Some(dir) => start(args, quit, dir, None),
        None => {
            let dir = temporary_directory()?;
            let started = start(args, quit, &dir, Some(dir.clone()));
            // Returns only if the gateway could not start.
            tidy_up(Some(dir));
            started
        }
    }
}

fn start(
    args: &DemoArgs,
    quit: Quit,
    data: &Path,
    temporary: Option<PathBuf>,
) -> Result<(), Failure> {
    observe::log::init(&edge::log_filter("warn"), observe::log::LogFormat::Text)?;
    // Kept until the gateway takes them, so that two demos started at once do not meet.
    let (listener, admin_listener) = (free(args.listen)?, free(args.admin)?);
    let (listen, admin) = (listener.local_addr()?, admin_listener.local_addr()?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let simulated = simulate::Config::of(simulate::demo_providers());
    let running = simulate::Simulator::start_on(simulated, runtime.handle())?;
    let text = toml(listen, admin, data, args.access_log, &running);
    let config = config::parse(&text, &|_| Some(PROVIDER_KEY.to_owned()), &|_| {
        Err(io::ErrorKind::NotFound.into())
    })
    .map_err(|faults| super::check::refuse("the demo".as_ref(), &faults))?;
    let (ledger, _recovery) = super::serve::open(&config)?;
    let (key, balance) = key(&ledger)?;
    drop((listener, admin_listener));
    edge::serve(Serve {
        on_ready: Box::new(move || greet(&greeting(listen, admin, &key, balance))),
        on_end: Box::new(move || tidy_up(temporary)),
        config,
        config_path: None,
        ledger,
        quit,
    })?;
    Ok(())
}

/// A directory that nobody else can have made or can look into.
fn temporary_directory() -> Result<PathBuf, Failure> {
    let random = getrandom::u64()?;
    let dir = std::env::temp_dir().join(format!("turnpike-demo-{random:016x}"));
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&dir)
        .map_err(|e| Failure(format!("{} cannot be made: {e}", dir.display())))?;
    Ok(dir)
}

/// The wanted address, or the same host with the next free port.
fn free(wanted: SocketAddr) -> Result<TcpListener, Failure> {
    for port in wanted.port()..=wanted.port().saturating_add(100) {
        match TcpListener::bind(SocketAddr::new(wanted.ip(), port)) {
            Ok(listener) => return Ok(listener),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
            Err(e) => return Err(Failure(format!("{wanted} cannot be listened on: {e}"))),
        }
    }
    Err(Failure(format!("{wanted} and the hundred ports above it are in use: choose another port")))
}

/// The demo's configuration, in the words of a real one.
fn toml(
    listen: SocketAddr,
    admin: SocketAddr,
    data: &Path,
    access_log: bool,
    running: &Running,
) -> String {
    let access = if access_log { "stderr" } else { "off" };
    let mut text = format!(
        "[server]\nlisten = [\"{listen}\"]\n[admin]\nlisten = \"{admin}\"\n\
         [ledger]\ndata_dir = {data:?}\n[log]\naccess = \"{access}\"\nlevel = \"warn\"\n"
    );
    for provider in running.providers() {
        let config = provider.config();
        // Writing into a String cannot fail.
        let _infallible = write!(
            text,
            "[[providers]]\nid = \"{id}\"\nname = \"{id}\"\ndialect = \"{dialect}\"\n\
             base_url = \"{url}\"\napi_key = \"env:SIMULATED\"\n",
            id = config.id,
            dialect = config.dialect,
            url = provider.base_url(),
        );
    }
    text.push_str(MODELS);
    text
}

/// Three hosts of one open model that differ in price, speed and dialect, and a model of its own
/// for each dialect. The prices are invented.
const MODELS: &str = include_str!("demo_models.toml");

/// A fresh key on the demo's account, and the account's balance; the account and its credit are
/// made at the first start.
fn key(ledger: &Ledger) -> Result<(String, NanoUsd), Failure> {
    let account = AccountId::parse(ACCOUNT)?;
    if ledger.account(&account).is_none() {
        ledger.create_account(&account, AccountTerms::default())?;
        let credit = NanoUsd::parse_dollars(CREDIT)?;
        let _made = ledger.top_up(&account, credit, "demo", "demo-credit")?;
    }
    let wanted = KeyTerms { label: "demo".to_owned(), ..KeyTerms::default() };
    let (_id, secret) = ledger.create_key(&account, wanted)?;
    let balance = ledger.account(&account).map(|account| account.balance).unwrap_or_default();
    Ok((secret.reveal().to_owned(), balance))
}

/// How to use the gateway. Each fact stands on a line of its own, so that a script can read it:
/// `base_url: …`, `api_key: …`.
fn greeting(listen: SocketAddr, admin: SocketAddr, key: &str, balance: NanoUsd) -> String {
    let base = format!("http://{listen}/v1");
    let model = simulate::DEMO_MODEL;
    let terminal = io::stdout().is_terminal();
    let (bold, plain) = if terminal { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!(
        "{bold}Turnpike demo: simulated providers, a real gateway and ledger.{plain}\n\
         base_url: {base}\n\
         api_key: {key}\n\
         balance: ${balance} (account {ACCOUNT})\n\
         metrics: http://{admin}/metrics\n\
         \n\
         {bold}curl:{plain}\n\
         curl -N {base}/chat/completions -H 'Authorization: Bearer {key}' \
         -H 'Content-Type: application/json' -d '{{\"model\":\"{model}\",\"stream\":true,\
         \"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n\
         \n\
         {bold}python (pip install openai):{plain}\n\
         python3 -c 'from openai import OpenAI; print(OpenAI(base_url=\"{base}\", api_key=\"{key}\")\
         .chat.completions.create(model=\"{model}\", \
         messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}]).choices[0].message.content)'\n\
         \n\
         Ctrl-C ends it.\n"
    )
}

/// Prints the greeting. The gateway serves on if nobody reads it, as behind `| head -3`.
fn greet(text: &str) {
    let mut out = io::stdout().lock();
    let _unread = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn tidy_up(temporary: Option<PathBuf>) {
    if let Some(dir) = temporary
        && let Err(error) = std::fs::remove_dir_all(&dir)
    {
        super::complain(format_args!("{} could not be removed: {error}", dir.display()));
    }
}
