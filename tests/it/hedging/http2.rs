//! Races over HTTP/2: a loser is a stream that is reset, and its connection serves on.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use turnpike::dialect::Dialect;

use super::{NEVER_MS, PATIENT, Stage, body, counting};
use crate::support::h2::Tls;
use crate::support::{Setup, runtime};

/// Takes TLS off connections and hands them on to a provider, which speaks HTTP/2 without it, too.
/// Counts those for which HTTP/2 was agreed on.
fn unwrap_tls(listener: TcpListener, tls: &Tls, provider: SocketAddr) -> Arc<AtomicUsize> {
    let (acceptor, agreed) = (tls.acceptor(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&agreed);
    listener.set_nonblocking(true).expect("a socket option");
    runtime().spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        while let Ok((socket, _)) = listener.accept().await {
            let mut outside = acceptor.accept(socket).await.expect("a handshake");
            let http2 = outside.get_ref().1.alpn_protocol() == Some(&b"h2"[..]);
            counted.fetch_add(usize::from(http2), Ordering::Relaxed);
            tokio::spawn(async move {
                let inside = tokio::net::TcpStream::connect(provider).await;
                let mut inside = inside.expect("the provider accepts");
                // Either side may close at any time.
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await.unwrap_or_default()
            });
        }
    });
    agreed
}

#[test]
fn a_loser_over_http2_is_a_stream_that_is_reset() {
    let tls = Tls::new();
    let listener = TcpListener::bind("localhost:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let url = format!("https://localhost:{port}/v1");
    let strangers = vec![("h2".to_owned(), "openai", url)];
    let setup = Setup { prices: ("0", "0"), strangers, ..Setup::default() };
    let hedging = format!("{PATIENT}\ndelay_default_ms = 700");
    let mut stage = Stage::with([Dialect::OpenAi; 3], &hedging, setup);
    let agreed = unwrap_tls(listener, &tls, stage.provider("two").addr());
    stage.gateway.kill();
    stage.gateway.within = vec!["env".to_owned(), format!("SSL_CERT_FILE={}", tls.authority())];
    stage.gateway.restart();

    let ask = |order: [&str; 2], outcomes: &[&str]| {
        let body = body(json!({"provider": {"order": order, "only": order}}));
        stage.check(&stage.gateway.client().chat(&body), outcomes);
    };
    stage.set("one", counting(NEVER_MS));
    ask(["one", "h2"], &["beaten", "ok"]);
    stage.set("one", counting(1));
    stage.set("two", counting(NEVER_MS));
    ask(["h2", "one"], &["beaten", "ok"]);
    stage.until("two", "its stream is reset", |stats| stats.cancelled == 1);
    stage.set("two", counting(1));
    ask(["h2", "one"], &["ok"]);
    assert_eq!(stage.provider("two").stats().connections, 1, "all over one connection");
    assert_eq!(agreed.load(Ordering::Relaxed), 1, "which speaks HTTP/2");
}
