//! From frames of content to whoever reads it, and the windows that go with it (RFC 9113 §5.2, §6.1).

use http::HeaderMap;

use super::frame::{self, Code, MAX_WINDOW, kind};
use super::inbound::Fault;
use super::stream::Progress;
use super::streams::Streams;
use super::upload::WrongLength;
use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::listen::Handler;

impl<H: Handler> Streams<H> {
    pub(super) fn begin_data(
        &mut self,
        id: u32,
        counts: usize,
        unread: usize,
        ends: bool,
    ) -> Result<(), Fault> {
        self.check_not_idle(id)?;
        if counts == unread && !ends {
            self.budget.steer()?;
        }
        let left = self.receive_window.checked_sub(counts);
        self.receive_window = left.ok_or(Fault(Code::FLOW_CONTROL_ERROR))?;
        self.grant(unread);
        let was_reset = self.was_reset(id);
        let Some(stream) = self.find(id) else {
            // §5.1: what was on the way when we reset it is let pass.
            return if was_reset { Ok(()) } else { Err(Fault(Code::STREAM_CLOSED)) };
        };
        if stream.has_ended {
            return self.break_stream(id, Code::STREAM_CLOSED);
        }
        let Some(room) = stream.room.checked_sub(counts) else {
            return self.break_stream(id, Code::FLOW_CONTROL_ERROR);
        };
        stream.room = room;
        if stream.passing.is_some() {
            self.let_pass(id, counts);
        } else {
            stream.credit += unread;
        }
        Ok(())
    }

    pub(super) fn take_data(&mut self, id: u32, bytes: &[u8]) -> Result<(), Fault> {
        let feed = self.find(id).and_then(|stream| stream.feed.as_mut());
        let taken = feed.map_or(Ok(bytes.len()), |feed| feed.take(bytes));
        self.grant(taken.unwrap_or(bytes.len()));
        taken.map_or_else(|WrongLength| self.break_stream(id, Code::PROTOCOL_ERROR), |_| Ok(()))
    }

    /// A request's content is complete.
    pub(super) fn end_content(
        &mut self,
        id: u32,
        trailers: Option<HeaderMap>,
    ) -> Result<(), Fault> {
        let Some(stream) = self.find(id) else { return Ok(()) };
        stream.has_ended = true;
        if stream.passing.is_some() {
            self.remove(id);
            return Ok(());
        }
        match stream.feed.as_mut().map_or(Ok(()), |feed| feed.finish(trailers)) {
            Ok(()) => Ok(()),
            Err(WrongLength) => self.break_stream(id, Code::PROTOCOL_ERROR),
        }
    }

    /// Grants what the reader of a request's content has made room for.
    pub(super) fn tend_feed(&mut self, id: u32) {
        let Some(stream) = self.find(id) else { return };
        let Some(feed) = &mut stream.feed else { return };
        let progress = feed.progress();
        stream.credit += progress.taken;
        let wants_continue =
            progress.wants_continue && matches!(stream.answer, Progress::Waiting(_));
        // Half a window at a time: a client is never out of window while we are quick.
        let is_due = !stream.has_ended && stream.credit >= STREAM_WINDOW as usize / 2;
        let credit = if is_due { std::mem::take(&mut stream.credit) } else { 0 };
        stream.room += credit;
        if wants_continue {
            self.write_interim(id, http::StatusCode::CONTINUE, b"");
        }
        if let Some(credit) = u32::try_from(credit).ok().filter(|credit| *credit > 0) {
            let bytes = credit.to_be_bytes();
            frame::write(self.output.bytes(), kind::WINDOW_UPDATE, 0, id, &bytes);
        }
        self.grant(progress.taken);
    }

    /// Gives the connection's window so much back.
    pub(super) fn grant(&mut self, bytes: usize) {
        self.credit += bytes;
        if self.credit < CONNECTION_WINDOW as usize / 2 {
            return;
        }
        let credit = std::mem::take(&mut self.credit);
        self.receive_window += credit;
        let bytes = u32::try_from(credit).unwrap_or(MAX_WINDOW).to_be_bytes();
        frame::write(self.output.bytes(), kind::WINDOW_UPDATE, 0, 0, &bytes);
    }
}
