//! Kill -9 at random moments: what a client was given is charged, once, and nothing else.

use std::collections::HashMap;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use turnpike::dialect::Dialect;
use turnpike::simulate::Behaviour;

use crate::support::gateway::MODEL;
use crate::support::{Client, Gateway, Setup, ask, providers};

const CLIENTS: u64 = 16;

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

/// Asks until the gateway is gone; tells of every answer whose header came.
fn client(address: SocketAddr, key: &str, number: u64, asked: &AtomicU64) -> Vec<Seen> {
    let mut seen = Vec::new();
    let Ok(stream) = TcpStream::connect(address) else { return seen };
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut stream = BufReader::new(stream);
    for turn in 0.. {
        let streamed = (number + turn).is_multiple_of(2);
        let pace = (number * 7 + turn * 3) % 11;
        let tokens = 4 + (number + turn * 5) % 20;
        let prompt = format!("Number {number}, turn {turn} [[sim token_ms={pace} ttft_ms={pace}]]");
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
        let (raw, ended) = receive(&mut stream);
        if let Some(one) = understand(&raw, streamed) {
            seen.push(one);
        }
        if !ended {
            return seen;
        }
    }
    seen
}

/// Reads to the end of the answer; also tells whether that came.
fn receive(stream: &mut BufReader<TcpStream>) -> (Vec<u8>, bool) {
    let (mut raw, mut part) = (Vec::new(), [0; 16 * 1024]);
    loop {
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

/// How generations ended.
#[derive(Debug, Default)]
struct Books {
    /// Cost by generation.
    charged: HashMap<String, u64>,
    void: HashMap<String, ()>,
    settled_by_rule: u64,
    voided_by_rule: u64,
    held: usize,
}

/// Reads the export; no generation may end twice.
fn books(entries: &[Value]) -> Books {
    let mut books = Books::default();
    for entry in entries {
        let id = || entry["record"]["id"].as_str().expect("an id").to_owned();
        let by_rule = u64::from(entry["cause"] == "recovered");
        match entry["kind"].as_str().expect("a kind") {
            "held" => books.held += 1,
            "settled" => {
                let cost = entry["record"]["cost"].as_u64().expect("a cost");
                assert_eq!(entry["transfer"]["amount_nano_usd"], cost, "{entry}");
                assert!(books.charged.insert(id(), cost).is_none(), "charged twice: {entry}");
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

#[test]
fn whatever_moment_it_is_killed_at_the_books_are_right() {
    let kills = std::env::var("TURNPIKE_KILLS").map_or(12, |n| n.parse().expect("a number"));
    let mut dice = Dice::new();
    eprintln!("seed {}", dice.0);
    let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::Anthropic)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let (asked, mut seen) = (AtomicU64::new(0), Vec::new());
    for kill in 1..=kills {
        let over = AtomicBool::new(false);
        let moment = Duration::from_micros(dice.roll(250_000));
        let wanted = asked.load(Ordering::Relaxed) + dice.roll(100);
        let (address, key) = (gateway.address, gateway.key.clone());
        std::thread::scope(|scope| {
            let (key, asked, over) = (&key, &asked, &over);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    scope.spawn(move || {
                        let mut seen = client(address, key, n + kill * CLIENTS, asked);
                        // A connection that ends before the kill is begun anew.
                        while !over.load(Ordering::Acquire) {
                            seen.extend(client(address, key, n, asked));
                        }
                        seen
                    })
                })
                .collect();
            // So many requests are under way, and then some time passes.
            let deadline = Instant::now() + Duration::from_secs(20);
            while asked.load(Ordering::Relaxed) < wanted {
                assert!(Instant::now() < deadline, "the load runs");
                std::thread::yield_now();
            }
            std::thread::sleep(moment);
            over.store(true, Ordering::Release);
            gateway.kill();
            seen.extend(clients.into_iter().flat_map(|c| c.join().expect("a client")));
        });
        sound(&gateway, &format!("after kill {kill}"));
        gateway.restart();
        // What was open has been ended by the time that it accepts.
        assert_eq!(gateway.metric("turnpike_holds_open", &[]), 0.0, "after kill {kill}");
    }
    stop(&mut gateway);
    let report = sound(&gateway, "at the end");
    assert_eq!(verified(&report, "open holds"), "0");
    let books = books(&export(&gateway));
    assert_eq!(books.held, books.charged.len() + books.void.len(), "every hold ended");
    let (mut whole, mut streamed, mut partial) = (0, 0, 0);
    for one in &seen {
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
    let unseen = books.charged.len() - seen.len();
    let (settled, voided) = (books.settled_by_rule, books.voided_by_rule);
    eprintln!(
        "{kills} kills, {} requests, {} holds: {whole} answers received whole ({streamed} \
         streamed), each charged once at the cost it told; {partial} received in part and \
         charged; {unseen} charged whose first bytes were on their way; {} void. Recovery \
         settled {settled} and voided {voided}.",
        asked.load(Ordering::Relaxed),
        books.held,
        books.void.len(),
    );
    assert!(whole > kills && settled > 0 && voided > 0, "the load was real: {report}");
}

/// Starts the process without waiting for it, kills it after a moment.
fn kill_while_starting(gateway: &Gateway, after: Duration) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["serve", "-c", "turnpike.toml"])
        .current_dir(gateway.dir.path())
        .env("SIM_KEY", "k")
        .env("ADMIN_TOKEN", "admin-token-of-the-test")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the gateway starts");
    std::thread::sleep(after);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}

#[test]
fn killed_while_it_starts_it_starts_again() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let provider = running.provider("one").unwrap();
    let mut gateway = Gateway::start(&running, &Setup::default());
    // Holds that the next start must end, with and without progress.
    provider.set(Behaviour { token_ms: 600_000.0, tokens: 3, ..Behaviour::default() }).unwrap();
    let hanging: Vec<_> = [(0, "ttft_ms=0"), (1, "ttft_ms=600000")]
        .map(|(i, knob)| {
            let stream = gateway.client().connect();
            let body = ask(MODEL, &format!("Wait [[sim {knob}]]"), true, 100 + i);
            let request = format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                gateway.key,
                body.len()
            );
            stream.get_ref().write_all(request.as_bytes()).unwrap();
            stream
        })
        .into_iter()
        .collect();
    let mut first = [0; 1];
    hanging[0].get_ref().read_exact(&mut first).expect("a first byte");
    let deadline = Instant::now() + Duration::from_secs(20);
    while provider.stats().requests < 2 {
        assert!(Instant::now() < deadline, "both are under way");
        std::thread::sleep(Duration::from_millis(5));
    }
    // An entry that follows both holds is durable, so that they are, too.
    let mut admin = Client::new(gateway.admin, Some("admin-token-of-the-test".to_owned()));
    let made = admin.send("POST", "/admin/v1/accounts", &[], b"{\"id\":\"later\"}");
    assert_eq!(made.status, 201, "{}", made.text());
    gateway.kill();
    for after in [0, 3, 10, 20, 40, 80, 120, 160] {
        kill_while_starting(&gateway, Duration::from_millis(after));
        sound(&gateway, &format!("killed {after} ms after the start"));
    }
    gateway.restart();
    assert_eq!(gateway.metric("turnpike_holds_open", &[]), 0.0);
    stop(&mut gateway);
    sound(&gateway, "at the end");
    let books = books(&export(&gateway));
    assert_eq!((books.settled_by_rule, books.voided_by_rule), (1, 1), "{books:?}");
}

fn last_segment(gateway: &Gateway) -> std::path::PathBuf {
    let files = std::fs::read_dir(gateway.data().join("journal")).expect("the journal");
    let files =
        files.map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "seg"));
    files.max().expect("a segment")
}

/// Asks once and gives the generation's id.
fn answered(gateway: &Gateway) -> String {
    let answer = gateway.client().chat(&ask(MODEL, "Say something", true, 8));
    assert!(answer.is_good(), "{}", answer.text());
    answer.header("x-generation-id").expect("an id").to_owned()
}

#[test]
fn a_torn_tail_is_cut_off() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let mut ids = vec![answered(&gateway)];
    let mut dice = Dice::new();
    for round in 0..4 {
        gateway.kill();
        let path = last_segment(&gateway);
        let sound_len = cut_space(&path);
        let garbage: Vec<u8> = match round {
            0 => vec![0xa5; 100],
            1 => vec![0xff; 5_000],
            // The beginning of a frame, as a write that was cut leaves it.
            2 => vec![0x40, 0, 0, 0, 1, 2, 3, 4, 0, 0, 1],
            _ => (0..777).map(|_| dice.roll(256).to_le_bytes()[0]).collect(),
        };
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(&garbage).unwrap();
        drop(file);
        let report = sound(&gateway, &format!("garbage {round}"));
        assert_eq!(
            verified(&report, "torn tail"),
            format!("{} bytes", garbage.len()),
            "garbage {round} after {sound_len} bytes: {report}"
        );
        gateway.restart();
        ids.push(answered(&gateway));
    }
    stop(&mut gateway);
    let report = sound(&gateway, "at the end");
    assert_eq!(verified(&report, "torn tail"), "0 bytes", "{report}");
    let books = books(&export(&gateway));
    for id in &ids {
        assert!(books.charged.contains_key(id), "{id}: {books:?}");
    }
}

/// Cuts the unwritten space off that a killed process leaves behind its last entry; gives where the
/// entries end.
fn cut_space(segment: &std::path::Path) -> u64 {
    let bytes = std::fs::read(segment).unwrap();
    let mut end = 56;
    // A frame is a length, six other bytes, and so much payload.
    while let Some(len) = bytes.get(end..).and_then(<[u8]>::first_chunk::<4>)
        && *len != [0; 4]
    {
        end += 10 + usize::try_from(u32::from_le_bytes(*len)).unwrap();
    }
    assert!(bytes[end..].iter().all(|byte| *byte == 0), "zeros to the end");
    let end = u64::try_from(end).unwrap();
    std::fs::File::options().write(true).open(segment).unwrap().set_len(end).unwrap();
    end
}

#[test]
fn a_lost_index_is_built_anew() {
    let running = providers(&[("one", Dialect::OpenAi)]);
    let mut gateway = Gateway::start(&running, &Setup::default());
    let ids: Vec<String> = (0..20).map(|_| answered(&gateway)).collect();
    for (killed, damage) in [(true, "gone"), (false, "gone"), (true, "damaged")] {
        if killed {
            gateway.kill();
        } else {
            stop(&mut gateway);
        }
        let index = gateway.data().join("index");
        if damage == "gone" {
            std::fs::remove_dir_all(&index).expect("an index");
        } else {
            overwrite(&index);
        }
        gateway.restart();
        let mut client = gateway.client();
        for id in &ids {
            let found = client.get(&format!("/api/v1/generation?id={id}"));
            assert_eq!(found.status, 200, "{damage} {id}: {}", found.text());
        }
        let _id = answered(&gateway);
    }
    stop(&mut gateway);
    let report = sound(&gateway, "at the end");
    assert!(verified(&report, "index").starts_with("at entry"), "{report}");
    assert_eq!(books(&export(&gateway)).charged.len(), ids.len() + 3);
}

/// Writes nonsense over every file below.
fn overwrite(dir: &std::path::Path) {
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            overwrite(&path);
        } else {
            let len = std::fs::metadata(&path).unwrap().len();
            std::fs::write(&path, vec![0x5a; usize::try_from(len).unwrap()]).unwrap();
        }
    }
}
