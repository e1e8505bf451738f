//! `turnpike` without arguments: the whole gateway over simulated providers.
//!
//! Everything is real but the models: the same proxy, ledger, cache and metrics as in production,
//! in front of providers that run in this process and answer with invented words.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, say};
use crate::config;
use crate::edge::{self, Serve};
use crate::ledger::{Ledger, NewKey};
use crate::observe;
use crate::simulate::{self, Running};
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

/// Runs the demo until Ctrl-C.
pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    observe::log::init("warn", observe::log::LogFormat::Text)?;
    let listen = free(args.listen)?;
    let admin = free(args.admin)?;
    let (data, temporary) = match &args.data {
        Some(dir) => (dir.clone(), None),
        None => {
            let dir = std::env::temp_dir().join(format!("turnpike-demo-{}", std::process::id()));
            (dir.clone(), Some(dir))
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let simulated = simulate::Config::of(simulate::demo_providers());
    let running = simulate::Simulator::start_on(simulated, runtime.handle())?;
    let text = toml(listen, admin, &data, args.access_log, &running);
    let config = config::parse(&text, &|_| Some("simulated".to_owned()), &|_| {
        Err(std::io::ErrorKind::NotFound.into())
    })
    .map_err(|faults| super::check::refuse("the demo".as_ref(), &faults))?;
    let (ledger, _recovery) = super::serve::open(&config)?;
    let key = key(&ledger)?;
    edge::serve(Serve {
        on_ready: Box::new(move || greet(listen, admin, &key)),
        on_end: Box::new(move || tidy_up(temporary)),
        config,
        config_path: None,
        ledger,
    })?;
    Ok(())
}

/// The wanted address, or the same host with the next free port.
fn free(wanted: SocketAddr) -> Result<SocketAddr, Failure> {
    for port in wanted.port()..=wanted.port().saturating_add(100) {
        let address = SocketAddr::new(wanted.ip(), port);
        if let Ok(listener) = TcpListener::bind(address) {
            return Ok(listener.local_addr()?);
        }
    }
    Err(Failure(format!("{wanted} and the hundred ports above it are in use: choose another port")))
}

/// The demo's configuration, in the words of a real one.
fn toml(
    listen: SocketAddr,
    admin: SocketAddr,
    data: &std::path::Path,
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

/// A fresh key on the demo's account; the account and its credit are made at the first start.
fn key(ledger: &Ledger) -> Result<String, Failure> {
    let account = AccountId::parse(ACCOUNT)?;
    if ledger.account(&account).is_none() {
        ledger.create_account(&account)?;
        let credit = NanoUsd::parse_dollars(CREDIT)?;
        let _made = ledger.top_up(&account, credit, "demo", "demo-credit")?;
    }
    let wanted = NewKey { label: "demo".to_owned(), limit: None, expires_ms: None };
    let (_id, secret) = ledger.create_key(&account, wanted)?;
    Ok(secret.reveal().to_owned())
}

/// Says how to use the gateway. Each fact stands on a line of its own, so that a script can read
/// it: `base_url: …`, `api_key: …`.
fn greet(listen: SocketAddr, admin: SocketAddr, key: &str) {
    let base = format!("http://{listen}/v1");
    let model = simulate::DEMO_MODEL;
    let bold = |text: &str| {
        if std::io::stdout().is_terminal() {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    };
    say(bold("Turnpike demo: simulated providers, a real gateway and ledger."));
    say(format_args!("base_url: {base}"));
    say(format_args!("api_key: {key}"));
    say(format_args!("balance: ${CREDIT}.00 (account {ACCOUNT})"));
    say(format_args!("metrics: http://{admin}/metrics"));
    say("");
    say(bold("curl:"));
    say(format_args!(
        "curl -N {base}/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \
         -d '{{\"model\":\"{model}\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'"
    ));
    say("");
    say(bold("python (pip install openai):"));
    say(format_args!(
        "python3 -c 'from openai import OpenAI; print(OpenAI(base_url=\"{base}\", api_key=\"{key}\")\
         .chat.completions.create(model=\"{model}\", messages=[{{\"role\": \"user\", \"content\": \"Hello\"}}])\
         .choices[0].message.content)'"
    ));
    say("");
    say("Ctrl-C ends it.");
}

fn tidy_up(temporary: Option<PathBuf>) {
    if let Some(dir) = temporary
        && let Err(error) = std::fs::remove_dir_all(&dir)
    {
        super::complain(format_args!("{} could not be removed: {error}", dir.display()));
    }
}
