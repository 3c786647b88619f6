//! What stands before a real authority and can what it cannot: it says when to renew (RFC 9773), or has had
//! enough.

use std::sync::{Arc, Mutex};

use forebay_signals::clock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::authority::Place;

/// How many seconds from now an authority wants a certificate to be renewed, by its identifier.
pub(crate) type When = Box<dyn Fn(&str) -> i64 + Send + Sync>;

/// What it does by itself; all else is the business of the authority behind it.
pub(crate) enum Does {
    /// Says when to renew.
    SaysWhen(When),
    /// Takes no orders for so many seconds.
    Refuses(u64),
}

/// A directory that leads to an authority.
pub(crate) struct Front {
    pub(crate) directory: String,
    /// Identifiers that it was asked for.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Front {
    pub(crate) async fn before(place: &Arc<Place>, does: Does) -> Front {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let acceptor = acceptor(place);
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (place, seen) = (Arc::clone(place), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let answer = match (&does, path.strip_prefix("/renewal/")) {
                    (Does::SaysWhen(when), Some(identifier)) => {
                        seen.lock().expect("no panic").push(identifier.to_owned());
                        answer("200 OK", "Retry-After: 21600", &window(when(identifier)))
                    }
                    (Does::Refuses(seconds), None) if path == "/orders" => answer(
                        "429 Too Many Requests",
                        &format!(
                            "Retry-After: {seconds}\r\nContent-Type: application/problem+json"
                        ),
                        r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#,
                    ),
                    _ => answer("200 OK", "X: y", &directory(&place, port, &does).await),
                };
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        Front { directory: format!("https://127.0.0.1:{port}/dir"), asked, serving }
    }
}

fn answer(status: &str, more: &str, content: &str) -> String {
    let length = content.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{more}\r\nConnection: close\r\n\r\n{content}"
    )
}

/// That of the authority, with what we do in place of it.
async fn directory(place: &Place, port: u16, does: &Does) -> String {
    let directory = get(place, "/dir").await.unwrap_or_else(|| "{}".into());
    let mut directory: serde_json::Value = serde_json::from_str(&directory).expect("JSON");
    let (name, path) = match does {
        Does::SaysWhen(_) => ("renewalInfo", "renewal"),
        Does::Refuses(_) => ("newOrder", "orders"),
    };
    directory[name] = format!("https://127.0.0.1:{port}/{path}").into();
    directory.to_string()
}

fn acceptor(place: &Place) -> TlsAcceptor {
    let chain = CertificateDer::from_pem_file(place.path("own.pem")).expect("PEM");
    let key = PrivateKeyDer::from_pem_file(place.path("own.key")).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("they belong together");
    TlsAcceptor::from(Arc::new(config))
}

async fn get(place: &Place, path: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(&place.root).expect("PEM");
    roots.add(root).expect("an anchor");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", place.port)).await.ok()?;
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n\r\n", place.port);
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer).await);
    let (head, content) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| content.to_owned())
}

/// A window of an hour that begins in so many seconds.
fn window(begins: i64) -> String {
    let at = |seconds: i64| {
        let at = jiff::Timestamp::try_from(clock::wall()).expect("a time of ours");
        at.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("soon").to_string()
    };
    let (start, end) = (at(begins), at(begins + 3600));
    serde_json::json!({ "suggestedWindow": { "start": start, "end": end } }).to_string()
}
