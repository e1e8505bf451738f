//! A small HTTP/2 client over TLS, and the certificates that it trusts.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{Answer, runtime};

/// An authority and the certificate that it gave to `localhost`.
pub(crate) struct Tls {
    authority: CertificateDer<'static>,
    /// Holds `cert.pem` and `key.pem`.
    dir: tempfile::TempDir,
}

impl Tls {
    /// Makes both anew.
    pub(crate) fn new() -> Self {
        let authority_key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).expect("an authority");
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        let leaf = params.signed_by(&key, &issuer).expect("a certificate");
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("cert.pem"), leaf.pem()).expect("a file");
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).expect("a file");
        std::fs::write(dir.path().join("authority.pem"), authority.pem()).expect("a file");
        Self { authority: authority.der().clone(), dir }
    }

    /// Lines for the `server` section that make a gateway listen here with this certificate.
    pub(crate) fn settings(&self, address: SocketAddr) -> String {
        let path = |name: &str| Path::join(self.dir.path(), name).display().to_string();
        format!(
            "tls_listen = [\"{address}\"]\ntls_cert = {:?}\ntls_key = {:?}",
            path("cert.pem"),
            path("key.pem")
        )
    }
}

impl Tls {
    /// The path of the authority's own certificate.
    pub(crate) fn authority(&self) -> String {
        self.dir.path().join("authority.pem").display().to_string()
    }

    /// Takes TLS connections with this certificate, for HTTP/2 alone.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let path = |name: &str| self.dir.path().join(name);
        let chain = CertificateDer::from_pem_file(path("cert.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(path("key.pem")).expect("a key");
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(vec![chain], key).expect("they fit");
        config.alpn_protocols = vec![b"h2".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// One HTTP/2 connection.
pub(crate) struct H2 {
    send: SendRequest<Bytes>,
    key: String,
}

impl H2 {
    /// Connects with TLS; the server must choose HTTP/2.
    pub(crate) fn connect(address: SocketAddr, tls: &Tls, key: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(tls.authority.clone()).expect("an authority");
        let mut config =
            ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let send = runtime().block_on(async {
            let tcp = TcpStream::connect(address).await.expect("the gateway accepts");
            let name = "localhost".try_into().expect("a name");
            let stream = connector.connect(name, tcp).await.expect("a handshake");
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (send, connection) =
                Builder::new().handshake(stream).await.expect("an HTTP/2 connection");
            tokio::spawn(connection);
            send
        });
        Self { send, key: key.to_owned() }
    }

    /// A chat completion.
    pub(crate) fn chat(&self, body: Bytes, headers: &[(&str, &str)]) -> Answer {
        runtime().block_on(exchange(self.send.clone(), &self.key, body, headers))
    }
}

async fn exchange(
    send: SendRequest<Bytes>,
    key: &str,
    mut body: Bytes,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = http::Request::post("https://localhost/v1/chat/completions")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {key}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut send = send.ready().await.expect("a connection");
    let request = request.body(()).expect("a request");
    let (answer, mut stream) = send.send_request(request, body.is_empty()).expect("a stream");
    let sending = async {
        while !body.is_empty() {
            stream.reserve_capacity(body.len().min(1 << 18));
            // No capacity: the server has answered and wants no more.
            let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
            let part = body.split_to(room.min(body.len()));
            if stream.send_data(part, body.is_empty()).is_err() {
                return;
            }
        }
    };
    let ((), answer) = tokio::join!(sending, answer);
    let (head, mut incoming) = answer.expect("an answer").into_parts();
    let headers = head.headers.iter();
    let mut answer = Answer {
        status: head.status.as_u16(),
        headers: headers
            .map(|(n, v)| (n.to_string(), v.to_str().expect("text").to_owned()))
            .collect(),
        body: Vec::new(),
        whole: true,
    };
    while let Some(part) = incoming.data().await {
        let Ok(part) = part else {
            answer.whole = false;
            break;
        };
        answer.body.extend_from_slice(&part);
        incoming.flow_control().release_capacity(part.len()).expect("capacity");
    }
    answer
}
