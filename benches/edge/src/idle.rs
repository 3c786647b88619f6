//! Idle TLS connections: each makes one handshake and one request and then says nothing, until
//! the caller closes standard input.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};

use crate::swarm::connect;
use crate::{Flags, say};

/// Opens `--connections` to `--port`, trusting `--ca`, says so and holds them.
pub(crate) fn run(flags: &Flags) -> Result<(), String> {
    let to = SocketAddr::from(([127, 0, 0, 1], flags.value("port")?));
    let config = Arc::new(settings(&flags.value::<String>("ca")?)?);
    let count = flags.value("connections")?;
    let mut held = Vec::with_capacity(count);
    for index in 0..count {
        held.push(
            open(&config, to, index).map_err(|error| format!("connection {index}: {error}"))?,
        );
    }
    say(&format!("connections={}", held.len()));
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).map_err(|error| format!("stdin: {error}"))?;
    Ok(())
}

fn settings(ca: &str) -> Result<ClientConfig, String> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot trust `{ca}`: {error}");
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(ca).map_err(|error| failed(&error))?;
    roots.add(certificate).map_err(|error| failed(&error))?;
    let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Full handshakes: a crowd has not been here before.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn open(
    config: &Arc<ClientConfig>,
    to: SocketAddr,
    index: usize,
) -> Result<(ClientConnection, TcpStream), Box<dyn std::error::Error>> {
    let mut socket = connect(to, index)?;
    let mut tls = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
    let mut stream = Stream::new(&mut tls, &mut socket);
    stream.write_all(b"GET /1k HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    // A head and 1,024 bytes: whole when the blank line is that far from the end.
    loop {
        let read = stream.read(answer.get_mut(filled..).unwrap_or_default())?;
        filled += read;
        let got = answer.get(..filled).unwrap_or_default();
        let end = memchr::memmem::find(got, b"\r\n\r\n");
        if read == 0 {
            return Err("closed before the answer was whole".into());
        }
        if end.is_some_and(|end| filled >= end + 4 + 1024) {
            return Ok((tls, socket));
        }
    }
}
