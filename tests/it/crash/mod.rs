//! What a crash, a full disk or a damaged file does to the books: what a client was given is charged,
//! once and at the right price, and nothing else.

mod files;
mod full;
mod kills;

use std::collections::HashMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::gateway::MODEL;
use crate::support::{Gateway, ask};

/// How many ask at the same time.
const CLIENTS: u64 = 64;

/// Draws numbers that differ from run to run; a failure tells the seed.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Self(u64::from(now.subsec_nanos()) << 20 | 1)
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// What a client saw of an answer.
#[derive(Debug)]
struct Seen {
    id: String,
    /// The answer came whole, and said that it cost this many nano-dollars.
    whole: Option<u64>,
    streamed: bool,
}

/// What happens to a request at one of the two providers, beside its pace.
const TROUBLE: [&str; 8] = [
    "",
    "",
    "",
    "[[sim@one fault=status:500]]",
    "[[sim@two fault=reset]]",
    "[[sim@one fault=cut_after:3]]",
    "[[sim@two fault=in_band_after:2]]",
    "[[sim@one fault=no_usage]]",
];

/// Asks until the gateway is gone or it is over; tells of every answer whose header came. Every fifth
/// client leaves in the middle of its third answer.
fn client(
    (address, key): (SocketAddr, &str),
    number: u64,
    asked: &AtomicU64,
    over: &AtomicBool,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    let Ok(stream) = TcpStream::connect(address) else { return seen };
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut stream = BufReader::new(stream);
    for turn in (0..).take_while(|_| !over.load(Ordering::Acquire)) {
        let streamed = (number + turn).is_multiple_of(2);
        let pace = (number * 7 + turn * 3) % 11;
        let tokens = 4 + (number + turn * 5) % 20;
        let trouble = TROUBLE[usize::try_from(number * 3 + turn).unwrap() % TROUBLE.len()];
        let prompt =
            format!("Number {number}, turn {turn} [[sim token_ms={pace} ttft_ms={pace}]]{trouble}");
        let leaves = turn == 2 && number.is_multiple_of(5);
        let body = ask(MODEL, &prompt, streamed, u32::try_from(tokens).unwrap());
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.get_mut().write_all(request.as_bytes()).is_err() {
            return seen;
        }
        asked.fetch_add(1, Ordering::Relaxed);
        let (raw, ended) = receive(&mut stream, if leaves { 400 } else { usize::MAX });
        if let Some(one) = understand(&raw, streamed) {
            seen.push(one);
        }
        if !ended || leaves {
            return seen;
        }
    }
    seen
}

/// Reads to the end of the answer, or until there are so many bytes; also tells whether the end
/// came.
fn receive(stream: &mut BufReader<TcpStream>, enough: usize) -> (Vec<u8>, bool) {
    let (mut raw, mut part) = (Vec::new(), [0; 16 * 1024]);
    while raw.len() < enough {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return (raw, false),
            Ok(n) => raw.extend_from_slice(&part[..n]),
        }
        let text = String::from_utf8_lossy(&raw);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        match length(head) {
            Some(length) if body.len() >= length => return (raw, true),
            None if body.ends_with("0\r\n\r\n") => return (raw, true),
            _ => {}
        }
    }
    (raw, false)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (n, value) = line.split_once(": ")?;
        n.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn length(head: &str) -> Option<usize> {
    header(head, "content-length")?.parse().ok()
}

fn understand(raw: &[u8], streamed: bool) -> Option<Seen> {
    let text = String::from_utf8_lossy(raw);
    let (head, body) = text.split_once("\r\n\r\n")?;
    if head.starts_with("HTTP/1.1 503") {
        // No answer, and none that is charged: a full disk, or both providers in trouble.
        assert!(body.contains("\"error\""), "{text}");
        return None;
    }
    assert!(head.starts_with("HTTP/1.1 200"), "{text}");
    let id = header(head, "x-generation-id").expect("an id").to_owned();
    // With the terminal event a client has all of a stream, whether or not its framing ends.
    let whole = if streamed { body.contains("data: [DONE]") } else { length(head)? <= body.len() };
    let cost = || {
        let (_, after) = body.split_once("\"cost\":").expect("a cost");
        let end = after.find([',', '}']).expect("an end");
        let dollars: f64 = after[..end].parse().expect("a number");
        format!("{:.0}", dollars * 1e9).parse().expect("a whole number")
    };
    Some(Seen { id, whole: whole.then(cost), streamed })
}

/// Every entry of the stopped gateway's ledger.
fn export(gateway: &Gateway) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["ledger", "export", "--data", "data"])
        .current_dir(gateway.dir.path())
        .output()
        .expect("export runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The value of a line of `ledger verify`.
fn verified(report: &str, name: &str) -> String {
    let line = report.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}: {report}")).trim().to_owned()
}

fn sound(gateway: &Gateway, when: &str) -> String {
    let report = gateway.verify().unwrap_or_else(|report| panic!("{when}: {report}"));
    assert!(report.trim_end().ends_with("sound"), "{when}: {report}");
    assert_eq!(
        verified(&report, "total debits"),
        verified(&report, "total credits"),
        "{when}: {report}"
    );
    report
}

fn stop(gateway: &mut Gateway) {
    gateway.signal("TERM");
    let status = gateway.wait(Duration::from_secs(20));
    assert!(status.success(), "{status}");
}

/// Asks from all sides while `meanwhile` runs, and until it is over; gives what was seen.
fn under_load(
    (address, key): (SocketAddr, &str),
    first: u64,
    asked: &AtomicU64,
    meanwhile: impl FnOnce(),
) -> Vec<Seen> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                scope.spawn(move || {
                    let mut seen = client((address, key), first + n, asked, over);
                    // A connection that ends before the end is begun anew.
                    while !over.load(Ordering::Acquire) {
                        seen.extend(client((address, key), first + n, asked, over));
                    }
                    seen
                })
            })
            .collect();
        // Also where what happens meanwhile fails: the clients must end.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
        over.store(true, Ordering::Release);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        clients.into_iter().flat_map(|c| c.join().expect("a client")).collect()
    })
}

/// Waits until so many requests were sent.
fn until_asked(asked: &AtomicU64, wanted: u64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while asked.load(Ordering::Relaxed) < wanted {
        assert!(Instant::now() < deadline, "the load runs");
        std::thread::yield_now();
    }
}

/// How generations ended.
#[derive(Debug, Default)]
struct Books {
    /// Cost by generation.
    charged: HashMap<String, u64>,
    void: HashMap<String, ()>,
    settled_by_rule: u64,
    voided_by_rule: u64,
    /// Placed ahead, and nothing came of it.
    unused: usize,
    unused_by_rule: u64,
    held: usize,
}

impl Books {
    /// Holds that have ended.
    fn ended(&self) -> usize {
        self.charged.len() + self.void.len() + self.unused
    }
}

/// What so much costs by the configuration, in nano-dollars.
fn price(usage: &Value) -> u64 {
    let count = |name: &str| usage[name].as_u64().expect("a count");
    count("prompt") * 1_000 + count("completion") * 2_000
}

/// Reads the export; no generation may end twice.
fn books(entries: &[Value]) -> Books {
    let mut books = Books::default();
    for entry in entries {
        let id = || entry["record"]["id"].as_str().expect("an id").to_owned();
        let by_rule = u64::from(entry["cause"] == "recovered");
        match entry["kind"].as_str().expect("a kind") {
            "held" | "held_ahead" => books.held += 1,
            "unused" => {
                books.unused += 1;
                books.unused_by_rule += by_rule;
            }
            "settled" => {
                let cost = entry["record"]["cost"].as_u64().expect("a cost");
                assert_eq!(entry["transfer"]["amount_nano_usd"], cost, "{entry}");
                assert!(books.charged.insert(id(), cost).is_none(), "charged twice: {entry}");
                // By rule, a note of the cost is all that is known.
                if by_rule == 0 {
                    assert_eq!(cost, price(&entry["record"]["usage"]), "the right price: {entry}");
                }
                books.settled_by_rule += by_rule;
            }
            "voided" => {
                assert!(books.void.insert(id(), ()).is_none(), "void twice: {entry}");
                books.voided_by_rule += by_rule;
            }
            _ => {}
        }
    }
    assert!(!books.charged.keys().any(|id| books.void.contains_key(id)), "charged and void");
    books
}

/// Every answer that was seen is charged, a whole one at the cost that it told. Gives how many came
/// whole, how many of these were streamed, and how many came in part.
fn all_charged(seen: &[Seen], books: &Books) -> (u64, u64, u64) {
    let (mut whole, mut streamed, mut partial) = (0, 0, 0);
    for one in seen {
        match (one.whole, books.charged.get(&one.id)) {
            (Some(told), Some(paid)) => assert_eq!(told, *paid, "{one:?}"),
            (None, Some(_)) => {}
            // The header goes out together with the first bytes of the answer.
            (_, None) => panic!("delivered and not charged: {one:?}"),
        }
        whole += u64::from(one.whole.is_some());
        streamed += u64::from(one.whole.is_some() && one.streamed);
        partial += u64::from(one.whole.is_none());
    }
    (whole, streamed, partial)
}
