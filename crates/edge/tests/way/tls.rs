//! A TLS client that trusts one certificate.

use std::sync::Arc;

use forebay_edge::config::listen::Certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Whether the client says whom it wants.
#[derive(Clone, Copy)]
pub(crate) enum Names {
    Server,
    Nobody,
}

/// Settings of a client that trusts `trusted` alone.
pub(crate) fn client(trusted: &Certificate, names: Names) -> ClientConfig {
    let Certificate::Pem { chain, .. } = trusted else { panic!("made in memory") };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")).expect("an anchor");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.enable_sni = matches!(names, Names::Server);
    config
}

/// Sends one message to `server` at `port` on a connection of its own and reads to the end.
pub(crate) async fn ask(port: u16, config: ClientConfig, server: &str, message: &str) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let name = ServerName::try_from(server.to_owned()).expect("a name");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let mut stream = stream.expect("a handshake");
    stream.write_all(message.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
}
