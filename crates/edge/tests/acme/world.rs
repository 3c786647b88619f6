//! An edge with a listener of each kind that asks a real authority for certificates.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::acme::{self, Standing};
use forebay_edge::config::Config;
use forebay_edge::config::acme::{Acme, Challenge};
use forebay_edge::config::listen::{Listener, Place as At, Protocol};
use forebay_edge::config::log::{Format, Log};
use forebay_edge::config::route::{Action, Route};
use forebay_edge::edge::{Edge, StartError};
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http::StatusCode;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::authority::{Place, Ports};

/// Longest wait for anything here: a machine under load takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on a runtime of one thread, as the process does.
pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        clock::timeout(PATIENCE * 3, test).await.expect("in time");
    });
}

/// What an edge is made of; its folder outlives it.
pub(crate) struct Plan {
    pub(crate) acme: Acme,
    /// Those of an edge before; else free ones.
    pub(crate) ports: Option<Ports>,
    _folder: TempDir,
}

impl Plan {
    pub(crate) fn new(place: &Place, names: &[&[&str]], challenges: &[Challenge]) -> Plan {
        let folder = tempfile::tempdir().expect("a folder");
        let own = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let acme = Acme {
            certificates: names.iter().map(own).collect(),
            directory: place.directory(),
            authorities: Some(place.root.clone()),
            contact: vec!["mailto:ops@shop.example".into()],
            folder: folder.path().join("acme"),
            challenges: challenges.to_vec(),
            binding: None,
        };
        Plan { acme, ports: None, _folder: folder }
    }

    /// The only folder within: that of the directory.
    pub(crate) fn own_folder(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(&self.acme.folder).expect("it is there");
        entries.next().expect("one").expect("readable").path()
    }

    pub(crate) fn config(&self) -> Config {
        let ports = self.ports.unwrap_or(Ports { http: 0, tls: 0 });
        let listener = |protocol, port| Listener {
            place: At::Tcp(SocketAddr::from(([127, 0, 0, 1], port))),
            protocol,
        };
        // As sites have it: all that comes in clear text is sent to HTTPS, challenges too.
        let moved = Action::Fixed(StatusCode::IM_A_TEAPOT, bytes::Bytes::new());
        let mut config = Config {
            routes: vec![Route { action: moved, ..Route::everything_to("nobody") }],
            log: Log { format: Format::Off, path: None },
            acme: Some(self.acme.clone()),
            ..Config::default()
        };
        config.listen.listeners =
            vec![listener(Protocol::Plain, ports.http), listener(Protocol::Tls, ports.tls)];
        config
    }

    /// Opens and serves it, and looks after its certificates.
    pub(crate) fn open(&self) -> Result<Serving, StartError> {
        let edge = Edge::open(self.config(), 1)?;
        let port = |protocol: Protocol| {
            let addresses = edge.entrance.addresses();
            let found = addresses.iter().find(|listener| listener.protocol == protocol);
            match found.map(|listener| &listener.place) {
                Some(At::Tcp(address)) => address.port(),
                other => panic!("not on TCP: {other:?}"),
            }
        };
        let ports = Ports { http: port(Protocol::Plain), tls: port(Protocol::Tls) };
        let core = tokio::spawn(Arc::clone(&edge).serve(0));
        Ok(Serving { edge, ports, core, keeper: None })
    }
}

/// An edge that serves.
pub(crate) struct Serving {
    pub(crate) edge: Arc<Edge>,
    pub(crate) ports: Ports,
    core: JoinHandle<()>,
    keeper: Option<JoinHandle<()>>,
}

impl Serving {
    /// From now on it looks after its certificates.
    pub(crate) fn keep(&mut self) {
        let keeper = acme::tend(Arc::clone(&self.edge), Drain::default());
        self.keeper = Some(tokio::spawn(keeper));
    }

    pub(crate) fn standing(&self) -> Vec<Standing> {
        self.edge.acme.standing()
    }

    /// Puts the same settings in force again.
    pub(crate) fn reload(&self) {
        let next = self.edge.prepare(self.edge.snapshot().config.clone()).expect("good");
        self.edge.reload(next).expect("good");
    }

    /// A handshake under this name, or why there is none.
    pub(crate) async fn handshake(
        &self,
        name: &'static str,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.ports.tls)).await.expect("it listens");
        let name = ServerName::try_from(name).expect("a name");
        connector(protocols).connect(name, stream).await
    }

    /// The certificate that is shown under this name.
    pub(crate) async fn shown(&self, name: &'static str) -> Option<CertificateDer<'static>> {
        let stream = self.handshake(name, &[]).await.ok()?;
        stream.get_ref().1.peer_certificates()?.first().cloned().map(CertificateDer::into_owned)
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let stream = TcpStream::connect(("127.0.0.1", self.ports.http)).await;
        ask(stream.expect("it listens"), path).await
    }

    pub(crate) async fn end(self) {
        self.edge.drain.begin();
        for task in [Some(self.core), self.keeper].into_iter().flatten() {
            clock::timeout(PATIENCE, task).await.expect("it ends").expect("no panic");
        }
    }
}

/// One request; reads to the end.
pub(crate) async fn ask<S>(mut stream: S, path: &str) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let message = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// Waits until it is so, with a deadline.
pub(crate) async fn until(what: &str, is_true: impl Fn() -> bool) {
    let deadline = clock::now() + PATIENCE;
    while !is_true() {
        assert!(clock::now() < deadline, "in vain: {what}");
        clock::sleep(Duration::from_millis(10)).await;
    }
}

/// A client that takes any certificate: the tests look at it themselves.
#[derive(Debug)]
struct Anything(CryptoProvider);

fn connector(protocols: &[&str]) -> TlsConnector {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
