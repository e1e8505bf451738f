//! What happened to an account is told to a receiver: signed, again until it is accepted, and over
//! a restart.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;
use turnpike::dialect::Dialect;
use turnpike::events::SigningSecret;
use turnpike::simulate::Running;
use turnpike::terms::AccountTerms;
use turnpike::vocab::NanoUsd;

use crate::support::gateway::MODEL;
use crate::support::{Gateway, Setup, ask, providers};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const LIMIT: Duration = Duration::from_secs(60);

/// One delivery as it came.
struct Delivery {
    id: String,
    timestamp: u64,
    signature: String,
    body: Vec<u8>,
}

impl Delivery {
    fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let (mut id, mut timestamp, mut signature, mut length) = Default::default();
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        assert!(line.starts_with("POST /hook HTTP/1.1"), "{line}");
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            match name {
                "webhook-id" => id = value.to_owned(),
                "webhook-timestamp" => timestamp = value.parse().expect("seconds"),
                "webhook-signature" => signature = value.to_owned(),
                "content-length" => length = value.parse::<usize>().expect("a length"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { id, timestamp, signature, body })
    }

    fn is_signed(&self) -> bool {
        let secret = SigningSecret::parse(SECRET).expect("a secret");
        secret.sign(&self.id, self.timestamp, &self.body).expect("a signature") == self.signature
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// A receiver that answers with these statuses, and from then on with the last one.
fn receiver(statuses: &'static [u16]) -> (SocketAddr, Receiver<Delivery>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, deliveries) = mpsc::channel();
    std::thread::spawn(move || {
        let mut left = statuses.iter().copied().peekable();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let Some(delivery) = Delivery::read(&stream) else { continue };
            let status = *left.peek().expect("a status");
            if left.len() > 1 {
                left.next();
            }
            let answer =
                format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            // The gateway may have been killed meanwhile.
            let _gone = stream.write_all(answer.as_bytes());
            if sender.send(delivery).is_err() {
                return;
            }
        }
    });
    (address, deliveries)
}

/// A gateway, and who is told of it.
struct Story {
    gateway: Gateway,
    deliveries: Receiver<Delivery>,
    _running: Running,
    _secret: tempfile::NamedTempFile,
}

/// A gateway whose account has $1 and falls below its warning of 99 cents by one request. The
/// receiver answers with these statuses.
fn low_balance(statuses: &'static [u16]) -> Story {
    let (address, deliveries) = receiver(statuses);
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), SECRET).expect("a secret");
    let running = providers(&[("one", Dialect::OpenAi)]);
    let low_balance = Some(NanoUsd(990_000_000));
    let setup = Setup {
        credit: "1",
        prices: ("1000", "1000"),
        account: AccountTerms { low_balance, ..AccountTerms::default() },
        more: format!(
            "[webhooks]\nurl = \"http://{address}/hook\"\nsecret = \"file:{}\"\n\
             private_networks = true\n",
            secret.path().display()
        ),
        ..Setup::default()
    };
    let gateway = Gateway::start(&running, &setup);
    assert!(gateway.client().chat(&ask(MODEL, "Hello", false, 50)).is_good());
    Story { gateway, deliveries, _running: running, _secret: secret }
}

#[test]
fn what_is_not_accepted_is_told_again() {
    let story = low_balance(&[500, 204]);
    let first = story.deliveries.recv_timeout(LIMIT).expect("a delivery");
    let again = story.deliveries.recv_timeout(LIMIT).expect("a delivery");
    assert!(first.is_signed() && again.is_signed());
    assert_eq!((&first.id, &first.body), (&again.id, &again.body), "the same event");
    let event = first.json();
    assert_eq!(event["type"], "account.low_balance", "{event}");
    assert_eq!(event["data"]["account_id"], "acme", "{event}");
}

#[test]
fn what_was_not_accepted_is_told_after_a_crash() {
    let mut story = low_balance(&[503, 200]);
    let first = story.deliveries.recv_timeout(LIMIT).expect("a delivery");
    story.gateway.kill();
    story.gateway.restart();
    let again = story.deliveries.recv_timeout(LIMIT).expect("a delivery");
    assert!(again.is_signed());
    assert_eq!((&first.id, &first.body), (&again.id, &again.body), "the same event");
}
