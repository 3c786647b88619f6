//! What the client's socket takes, counted beneath TLS, and a way to make it take more.
//!
//! A client is closed on when it takes nothing for too long. What was given to TLS does not tell: it
//! holds bytes back that were taken from the writer before, and while these leave one by one, nothing
//! more is taken. So the bytes are counted where they leave. HTTP/1 and HTTP/2 read the same count.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that a socket has taken so far; it grows while the client reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicU64,
    is_prodded: AtomicBool,
}

impl Progress {
    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Writes are tried though the socket has not said that it takes more, until it takes none.
    pub(super) fn prod(&self) {
        self.0.is_prodded.store(true, Ordering::Relaxed);
    }
}

/// A socket whose writes are counted.
#[derive(Debug)]
pub(super) struct Counting<S> {
    io: S,
    progress: Progress,
    /// Writes past the runtime, which waits for a word of the kernel.
    send: fn(&S, &[u8]) -> io::Result<usize>,
    /// What was read from it before: the first bytes behind a PROXY header.
    input: BytesMut,
}

impl<S: AsFd> Counting<S> {
    /// One from which `input` was read before.
    pub(super) fn new(io: S, input: BytesMut) -> Counting<S> {
        let send = |io: &S, bytes: &[u8]| SockRef::from(io).send(bytes);
        Counting { io, progress: Progress::default(), send, input }
    }

    /// Sends `head`, and behind it what lies in `file` from `from` on, `count` bytes: see
    /// [`super::io::SendFile`].
    pub(super) fn send_file(
        &self,
        head: &[u8],
        file: BorrowedFd<'_>,
        (from, count): (u64, usize),
    ) -> io::Result<usize> {
        let mut taken = 0;
        if !head.is_empty() {
            // In a packet of its own: held back to share one with the content (`MSG_MORE`), it costs a hit of
            // 100 KB nearly twice the time.
            taken = send(&self.io, head, SendFlags::NOSIGNAL)?;
            self.add(taken);
        }
        if taken < head.len() {
            return Ok(taken);
        }
        let mut from = from;
        match sendfile(&self.io, file, Some(&mut from), count) {
            Ok(sent) => {
                self.add(sent);
                Ok(taken + sent)
            }
            // It is told when there is nothing else to tell.
            Err(_) if taken > 0 => Ok(taken),
            Err(error) => Err(error.into()),
        }
    }
}

impl<S> Counting<S> {
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn count(&self, taken: Poll<io::Result<usize>>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = match taken {
            Poll::Ready(taken) => taken?,
            Poll::Pending => ready!(self.poll_prodded(bytes))?,
        };
        self.add(taken);
        Poll::Ready(Ok(taken))
    }

    fn add(&self, taken: usize) {
        // One task writes: nothing is lost between the two.
        let count = &self.progress.0.bytes;
        count.store(count.load(Ordering::Relaxed) + taken as u64, Ordering::Relaxed);
    }

    /// Called when the runtime will wake the task with the kernel's word.
    #[cold]
    fn poll_prodded(&self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let is_prodded = &self.progress.0.is_prodded;
        if !is_prodded.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        match (self.send)(&self.io, bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                is_prodded.store(false, Ordering::Relaxed);
                Poll::Pending
            }
            sent => Poll::Ready(sent),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.input.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let length = self.input.len().min(buffer.remaining());
        buffer.put_slice(&self.input.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.io).poll_write(context, bytes);
        self.count(taken, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.count(taken, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio_rustls::server::TlsStream;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::config::listen::Certificate;
    use crate::listen::tls::{Certificates, self_signed};

    /// A server's end of a handshake over a pipe of one kilobyte, and the client's bare pipe.
    async fn shaken() -> (TlsStream<Counting<DuplexStream>>, DuplexStream) {
        let certificate = self_signed(["a.example"]).expect("made");
        let Certificate::Pem { chain, .. } = &certificate else { panic!("made in memory") };
        let mut roots = rustls::RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM");
        roots.add(der).expect("an anchor");
        let client = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ));
        let client = client.with_safe_default_protocol_versions().expect("versions");
        let client = client.with_root_certificates(roots).with_no_client_auth();
        let server = Certificates::load(&[certificate]).expect("loaded").server_config();
        let (near, far) = tokio::io::duplex(1_024);
        let near = Counting {
            io: near,
            progress: Progress::default(),
            send: |_, _| Err(io::ErrorKind::WouldBlock.into()),
            input: BytesMut::new(),
        };
        let name = ServerName::try_from("a.example").expect("a name");
        let (server, client) = tokio::join!(
            TlsAcceptor::from(server).accept(near),
            TlsConnector::from(Arc::new(client)).connect(name, far),
        );
        let (far, _) = client.expect("a handshake").into_inner();
        (server.expect("a handshake"), far)
    }

    #[test]
    fn what_leaves_beneath_tls_is_progress_though_tls_takes_nothing_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(async {
            let (mut server, mut far) = shaken().await;
            let progress = server.get_ref().0.progress();
            server.get_mut().1.set_buffer_limit(Some(4_096));
            // As much as TLS takes while nobody reads.
            poll_fn(|context| {
                while Pin::new(&mut server).poll_write(context, &[0; 16_384])?.is_ready() {}
                Poll::Ready(io::Result::Ok(()))
            })
            .await
            .expect("written");
            let mut stood_still = 0;
            for _ in 0..3 {
                let before = progress.bytes();
                far.read_exact(&mut [0; 100]).await.expect("it holds a kilobyte");
                let is_taken = poll_fn(|context| {
                    Poll::Ready(Pin::new(&mut server).poll_write(context, &[0; 16_384]).is_ready())
                });
                if !is_taken.await {
                    stood_still += 1;
                }
                assert!(progress.bytes() > before, "{before}");
            }
            assert!(stood_still > 0, "TLS took something each time: nothing is shown");
        });
    }
}
