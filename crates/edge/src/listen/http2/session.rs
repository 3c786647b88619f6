//! One connection without its socket and without time: bytes in, bytes out.

use std::mem;
use std::sync::Arc;
use std::task::Waker;

use bytes::{Buf, BytesMut};
use forebay_signals::drain::Drain;

use super::inbound::{Fault, Inbound};
use super::streams::{Context, Streams, Work};
use crate::config::admit::Admit;
use crate::config::listen::Listen;
use crate::exchange::Client;
use crate::listen::Handler;
use crate::listen::settings::Settings;

/// Bytes that a block may have before it is decoded, in heads: it is never longer than what it stands for.
const LONGEST_BLOCK: usize = 2;

/// The server's end of one HTTP/2 connection.
pub struct Session<H> {
    inbound: Inbound,
    pub(super) streams: Streams<H>,
    /// Read and not taken yet: part of a frame, or what waits until the output is not full.
    held: BytesMut,
    /// How often something came that was no part of a head that still goes on.
    moves: u64,
}

impl<H: Handler> Session<H> {
    pub(super) fn new(context: Context<H>, input: BytesMut) -> Session<H> {
        let most = context.settings.http1.limits.head_bytes.saturating_mul(LONGEST_BLOCK);
        Session {
            inbound: Inbound::new(most),
            streams: Streams::new(context),
            held: input,
            moves: 0,
        }
    }

    /// Begins one for whoever brings his own bytes.
    pub fn open(client: Client, listen: &Listen, admit: &Admit, handler: H) -> Session<H> {
        let settings = Arc::new(Settings::new(listen, admit));
        let (counters, drain) = (Arc::default(), Drain::default());
        let context = Context { client, settings, counters, handler, drain };
        Session::new(context, BytesMut::new())
    }

    /// Takes bytes of the client and gives those for it.
    ///
    /// # Errors
    /// The code (RFC 9113 §7) with which the connection must end.
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Vec<u8>, u32> {
        let mut out = Vec::new();
        let mut taken = self.receive(bytes).map(|()| true);
        loop {
            self.streams.wakes.begin(Waker::noop());
            let has_worked = self.streams.work() == Work::Some;
            out.append(&mut self.streams.output.take());
            match taken {
                Ok(has_taken) if has_taken || has_worked => taken = self.receive_held(),
                Ok(_) => return Ok(out),
                Err(Fault(code)) => return Err(code.0),
            }
        }
    }

    /// Takes what has come; what cannot be taken yet is held.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.held.is_empty() {
            let taken = self.take(bytes)?;
            self.held.extend_from_slice(bytes.get(taken..).unwrap_or_default());
            return Ok(());
        }
        self.held.extend_from_slice(bytes);
        self.receive_held().map(drop)
    }

    /// Takes what was held; true if it was anything.
    pub(super) fn receive_held(&mut self) -> Result<bool, Fault> {
        if self.held.is_empty() {
            return Ok(false);
        }
        let held = mem::take(&mut self.held);
        let taken = self.take(&held)?;
        if taken < held.len() {
            // A connection that waits holds no buffer but for what it has to hold.
            self.held = held;
            self.held.advance(taken);
        }
        Ok(taken > 0)
    }

    /// Takes events until they end or the output is full; says how many bytes they had.
    fn take(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        // What takes no bytes does not wait: nothing would come that asks for it again.
        while (self.inbound.is_at_end_of_data() || !self.streams.output.is_full())
            && let Some((event, taken)) = self.inbound.next(bytes.get(at..).unwrap_or_default())?
        {
            self.streams.take(event)?;
            at += taken;
        }
        self.moves += u64::from(at > 0 && !self.inbound.is_in_block());
        self.inbound.tidy();
        Ok(at)
    }

    /// While part of a frame or of a field block is here, and only the client can go on: which one,
    /// by number.
    pub(super) fn head(&self) -> Option<u64> {
        let is_in_head =
            self.inbound.is_in_block() || (!self.held.is_empty() && !self.streams.output.is_full());
        is_in_head.then_some(self.moves)
    }
}
