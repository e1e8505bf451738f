//! Kill -9 at random moments, and SIGTERM.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use turnpike::dialect::Dialect;
use turnpike::simulate::Behaviour;

use super::{
    CLIENTS, Dice, all_charged, books, export, sound, stop, under_load, until_asked, verified,
};
use crate::support::gateway::MODEL;
use crate::support::{Client, Gateway, Setup, ask, providers};

/// `TURNPIKE_KILLS=200` for the long run.
#[test]
fn whatever_moment_it_is_killed_at_the_books_are_right() {
    let kills = std::env::var("TURNPIKE_KILLS").map_or(5, |n| n.parse().expect("a number"));
    let mut dice = Dice::new();
    eprintln!("seed {}", dice.0);
    let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::Anthropic)]);
    let mut gateway = Gateway::start(&running, &Setup { credit: "100000", ..Setup::default() });
    let (asked, mut seen) = (AtomicU64::new(0), Vec::new());
    for kill in 1..=kills {
        let moment = Duration::from_micros(dice.roll(250_000));
        let wanted = asked.load(Ordering::Relaxed) + dice.roll(300);
        let (address, key) = (gateway.address, gateway.key.clone());
        seen.extend(under_load((address, &key), kill * CLIENTS, &asked, || {
            // So many requests are under way, and then some time passes.
            until_asked(&asked, wanted);
            std::thread::sleep(moment);
            gateway.kill();
        }));
        if kill <= 5 || kill % 20 == 0 {
            sound(&gateway, &format!("after kill {kill}"));
        }
        gateway.restart();
        // What was open has been ended by the time that it accepts.
        assert_eq!(gateway.metric("turnpike_holds_open", &[]), 0.0, "after kill {kill}");
    }
    stop(&mut gateway);
    let report = sound(&gateway, "at the end");
    assert_eq!(verified(&report, "open holds"), "0");
    let books = books(&export(&gateway));
    assert_eq!(books.held, books.ended(), "every hold ended");
    let (whole, streamed, partial) = all_charged(&seen, &books);
    let unseen = books.charged.len() - seen.len();
    let (settled, voided) = (books.settled_by_rule, books.voided_by_rule);
    let unused = books.unused_by_rule;
    eprintln!(
        "{kills} kills under {CLIENTS} clients, {} requests, {} holds: {whole} answers received \
         whole ({streamed} streamed), each charged once at the cost it told; {partial} received in \
         part and charged; {unseen} charged whose first bytes were on their way; {} void. Recovery \
         settled {settled}, voided {voided} and took {unused} back.",
        asked.load(Ordering::Relaxed),
        books.held,
        books.void.len(),
    );
    assert!(whole > kills && settled > 0 && voided + unused > 0, "the load was real: {report}");
}

#[test]
fn sigterm_under_load_loses_nothing_and_leaves_nothing_open() {
    let running = providers(&[("one", Dialect::OpenAi), ("two", Dialect::Anthropic)]);
    let mut gateway = Gateway::start(&running, &Setup { credit: "100000", ..Setup::default() });
    let (asked, mut seen) = (AtomicU64::new(0), Vec::new());
    for round in 1..=2 {
        let wanted = asked.load(Ordering::Relaxed) + 200;
        let (address, key) = (gateway.address, gateway.key.clone());
        seen.extend(under_load((address, &key), round * CLIENTS, &asked, || {
            until_asked(&asked, wanted);
            gateway.signal("TERM");
            let status = gateway.wait(Duration::from_secs(60));
            assert!(status.success(), "{status}");
        }));
        let report = sound(&gateway, "after SIGTERM");
        assert_eq!(verified(&report, "open holds"), "0", "{report}");
        assert_eq!(verified(&report, "torn tail"), "0 bytes", "{report}");
        gateway.restart();
    }
    stop(&mut gateway);
    let books = books(&export(&gateway));
    let (whole, _, _) = all_charged(&seen, &books);
    let by_rule = (books.settled_by_rule, books.voided_by_rule, books.unused_by_rule);
    assert_eq!(by_rule, (0, 0, 0), "nothing for recovery");
    assert_eq!(books.held, books.ended(), "every hold ended");
    assert!(whole > 100, "the load was real: {whole}");
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
