//! A gateway process over simulated providers.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use turnpike::ledger::{Ledger, Options};
use turnpike::simulate::Running;
use turnpike::terms::{AccountTerms, KeyTerms};
use turnpike::vocab::{AccountId, NanoUsd};

use super::Client;

/// What a gateway is started with.
pub(crate) struct Setup {
    /// Lines for sections of the configuration, for instance `("server", "threads = 1")`.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Added to each provider's table.
    pub(crate) provider: String,
    /// Added to the table of the provider with this id, as its timeouts.
    pub(crate) timeouts: Vec<(String, String)>,
    /// Providers beside the simulated ones: id, dialect and base URL.
    pub(crate) strangers: Vec<(String, &'static str, String)>,
    /// More tables, as they are written in the file.
    pub(crate) more: String,
    /// Models: id and the providers that host it. Empty: `test/model` at every provider.
    pub(crate) models: Vec<(String, Vec<String>)>,
    /// Dollars per million prompt and completion tokens.
    pub(crate) prices: (&'static str, &'static str),
    /// More prices, for instance `cache_read = "0.1"`.
    pub(crate) more_prices: &'static str,
    /// The account's credit in dollars.
    pub(crate) credit: &'static str,
    /// The account's terms.
    pub(crate) account: AccountTerms,
    /// The key's terms.
    pub(crate) key: KeyTerms,
    /// The largest answer, in tokens.
    pub(crate) max_output: u32,
    /// Chat templates of providers that serve raw completions.
    pub(crate) templates: Vec<(String, &'static str)>,
    /// The models' name at the providers, where it is not the id.
    pub(crate) upstream_model: Option<&'static str>,
    /// The program, if not the one that the tests were built with.
    pub(crate) program: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Vec::new(),
            provider: String::new(),
            timeouts: Vec::new(),
            strangers: Vec::new(),
            more: String::new(),
            models: Vec::new(),
            prices: ("1", "2"),
            more_prices: "",
            credit: "1000",
            account: AccountTerms::default(),
            key: KeyTerms::default(),
            max_output: 4096,
            templates: Vec::new(),
            upstream_model: None,
            program: None,
        }
    }
}

/// The model that every provider hosts unless a setup says otherwise.
pub(crate) const MODEL: &str = "test/model";
/// The account that pays.
pub(crate) const ACCOUNT: &str = "acme";

/// A running gateway. Dropped, it is killed.
pub(crate) struct Gateway {
    child: Option<Child>,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    /// The caller's key.
    pub(crate) key: String,
    /// Holds the configuration, the ledger and the logs.
    pub(crate) dir: tempfile::TempDir,
    /// What stands before the command when the process is started, for instance `nsenter`.
    pub(crate) within: Vec<String>,
    program: PathBuf,
}

impl Gateway {
    /// Starts a gateway over these providers.
    pub(crate) fn start(providers: &Running, setup: &Setup) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (address, admin) = (free(), free());
        let text = config(providers, setup, dir.path(), address, admin);
        std::fs::write(dir.path().join("turnpike.toml"), text).expect("a configuration");
        let key = open_account(&dir.path().join("data"), setup);
        let within = Vec::new();
        let own = || PathBuf::from(env!("CARGO_BIN_EXE_turnpike"));
        let program = setup.program.clone().unwrap_or_else(own);
        let mut gateway = Self { child: None, address, admin, key, dir, within, program };
        gateway.restart();
        gateway
    }

    /// Starts the process (again) on the same directory, and waits until it accepts.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "the gateway still runs");
        let log = |name: &str| {
            let path = self.dir.path().join(name);
            File::options().create(true).append(true).open(path).expect("a log file")
        };
        let program = self.program.to_str().expect("UTF-8");
        let words = self.within.iter().map(String::as_str);
        let mut words = words.chain([program, "serve", "-c", "turnpike.toml"]);
        let child = Command::new(words.next().expect("a command"))
            .args(words)
            .current_dir(self.dir.path())
            .env("SIM_KEY", "provider-secret-canary")
            .env("ADMIN_TOKEN", "admin-token-of-the-test")
            .env("CONTENT_KEY", "0123456789abcdef".repeat(4))
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .expect("the gateway starts");
        self.child = Some(child);
        for address in [self.address, self.admin] {
            self.until_it_accepts(address);
        }
    }

    /// Waits for a listener: they come up one after another.
    pub(crate) fn until_it_accepts(&mut self, address: SocketAddr) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let exited = self.child.as_mut().and_then(|c| c.try_wait().expect("a child"));
            assert!(exited.is_none(), "the gateway ended: {}", self.log("stderr"));
            assert!(Instant::now() < deadline, "the gateway did not come up at {address}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A client with the caller's key.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, Some(self.key.clone()))
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the gateway runs").id()
    }

    /// Sends a signal by name, for instance `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "SIG{name} is sent");
    }

    /// Kills the process at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the gateway can be killed");
            child.wait().expect("the gateway ends");
        }
    }

    /// Waits until the process has ended by itself.
    pub(crate) fn wait(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("the gateway runs");
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait().expect("a child") {
                return status;
            }
            if Instant::now() > deadline {
                child.kill().expect("the gateway can be killed");
                panic!("the gateway did not end within {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What `ledger verify` says of the stopped gateway's ledger.
    pub(crate) fn verify(&self) -> Result<String, String> {
        assert!(self.child.is_none(), "the gateway still runs");
        let output = Command::new(env!("CARGO_BIN_EXE_turnpike"))
            .args(["ledger", "verify", "--data", "data"])
            .current_dir(self.dir.path())
            .output()
            .expect("verify runs");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() { Ok(text) } else { Err(text) }
    }

    /// The text of a log file: `stdout`, `stderr` or `access.log`.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    /// A metric's value, summed over its series whose labels contain all of these texts.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = Client::new(self.admin, None).get("/metrics").text();
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// The ledger's directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- the gateway's log\n{}", self.log("stderr"));
        }
    }
}

/// A loopback address that nobody listens on, and that is this process's own until it ends.
///
/// A port that the kernel picks is free only for a moment: until the gateway listens on it, another
/// test's connection or listener may be given the same one. So ports come from below the range that
/// the kernel picks from, and each is claimed by a lock on a file of its own.
pub(crate) fn free() -> SocketAddr {
    static CLAIMS: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("turnpike-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder for claims");
    let first = std::process::id() as usize * 7;
    for port in (0..PORTS.len()).map(|i| PORTS.start + (first + i) % PORTS.len()) {
        let claim = File::create(folder.join(port.to_string())).expect("a file for a claim");
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")));
        if claim.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
            CLAIMS.lock().expect("no test panics here").push(claim);
            return address;
        }
    }
    panic!("no port from {} to {} is free", PORTS.start, PORTS.end);
}

/// Where tests listen: below Linux's ephemeral ports (from 32768), above the well-known ones.
const PORTS: Range<usize> = 20_000..32_000;

/// Makes the account with its credit and a key; gives the key.
fn open_account(data: &Path, setup: &Setup) -> String {
    let mut options = Options::new(|| 1_700_000_000_000);
    options.keeps_content = setup.account.content_days > 0;
    let (ledger, _recovery) = Ledger::open(data, options).expect("a ledger");
    let account = AccountId::parse(ACCOUNT).expect("an id");
    ledger.create_account(&account, setup.account.clone()).expect("an account");
    let amount = NanoUsd::parse_dollars(setup.credit).expect("an amount");
    if amount > NanoUsd::ZERO {
        let _made = ledger.top_up(&account, amount, "test", "first").expect("credit");
    }
    let (_id, key) = ledger.create_key(&account, setup.key.clone()).expect("a key");
    ledger.close().expect("a closed ledger");
    key.reveal().to_owned()
}

fn config(
    providers: &Running,
    setup: &Setup,
    dir: &Path,
    address: SocketAddr,
    admin: SocketAddr,
) -> String {
    let mut text = String::new();
    let base: [(&str, String); 4] = [
        ("server", format!("listen = [\"{address}\"]")),
        ("admin", format!("listen = \"{admin}\"\ntoken = \"env:ADMIN_TOKEN\"")),
        ("ledger", "data_dir = \"data\"".to_owned()),
        ("log", format!("access = {:?}\nlevel = \"info\"", dir.join("access.log"))),
    ];
    let mut sections: Vec<&str> = base.iter().map(|(name, _)| *name).collect();
    sections.extend(setup.settings.iter().map(|(name, _)| *name));
    sections.sort_unstable();
    sections.dedup();
    for section in sections {
        writeln!(text, "[{section}]").expect("text");
        for (_, lines) in base.iter().chain(&setup.settings).filter(|(name, _)| *name == section) {
            writeln!(text, "{lines}").expect("text");
        }
    }
    let simulated = providers.providers().into_iter().map(|provider| {
        let dialect = provider.config().dialect.name();
        (provider.id().to_owned(), dialect, provider.base_url())
    });
    let all: Vec<_> = simulated.chain(setup.strangers.iter().cloned()).collect();
    for (id, dialect, url) in &all {
        let own = setup.timeouts.iter().find(|(provider, _)| provider == id);
        let timeouts =
            own.map_or_else(String::new, |(_, lines)| format!("[providers.timeouts]\n{lines}"));
        let extra = &setup.provider;
        write!(
            text,
            "[[providers]]\nid = \"{id}\"\nname = \"{id}\"\ndialect = \"{dialect}\"\n\
             base_url = \"{url}\"\napi_key = \"env:SIM_KEY\"\n{extra}\n{timeouts}\n"
        )
        .expect("text");
    }
    let all: Vec<String> = all.into_iter().map(|(id, _, _)| id).collect();
    let everywhere = vec![(MODEL.to_owned(), all)];
    let models = if setup.models.is_empty() { &everywhere } else { &setup.models };
    for (model, hosts) in models {
        writeln!(
            text,
            "[[models]]\nid = \"{model}\"\nname = \"{model}\"\ncontext_length = 1000000000"
        )
        .expect("text");
        for host in hosts {
            let (prompt, completion) = setup.prices;
            let most = setup.max_output;
            let comma = if setup.more_prices.is_empty() { "" } else { ", " };
            let more = setup.more_prices;
            let upstream = setup.upstream_model.unwrap_or(model);
            write!(
                text,
                "[[models.endpoints]]\nprovider = \"{host}\"\nupstream_model = \"{upstream}\"\n\
                 max_output = {most}\nprices = {{ prompt = \"{prompt}\", completion = \"{completion}\"{comma}{more} }}\n"
            )
            .expect("text");
            if let Some((_, template)) = setup.templates.iter().find(|(name, _)| name == host) {
                writeln!(text, "template = {template:?}").expect("text");
            }
        }
    }
    text + &setup.more
}
