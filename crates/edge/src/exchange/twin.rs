//! A second copy of content, from which the kernel sends without copying once more.
//!
//! It lies in a file of memory that is sealed before anybody sees it: what a client gets cannot change
//! while it is sent, nor become shorter than its head says. Which bytes of an answer lie in it is told by
//! their address: a piece of the very buffer that was copied stands in the file at the same distance from
//! the beginning. So whatever becomes of an answer on its way (ranges, parts, pieces, another content in
//! its place), other bytes than these are never sent for it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

/// The kernel keeps whole pages.
const PAGE_BYTES: u64 = 4_096;

static ARE_REFUSED: AtomicBool = AtomicBool::new(false);

/// Content with its second copy.
#[derive(Debug)]
pub struct Twin {
    content: Bytes,
    slot: Arc<TwinSlot>,
}

/// Where the file of a twin is kept, until its descriptor is wanted for another.
#[derive(Debug)]
pub struct TwinSlot {
    file: ArcSwapOption<Sealed>,
    /// Somebody has been sent of it since this was asked last.
    is_used: AtomicBool,
}

#[derive(Debug)]
struct Sealed {
    file: File,
    _seat: Seat,
}

/// A twin for one answer, whose file stays open as long as that is sent.
#[derive(Debug)]
pub struct Lent(Box<Loan>);

/// Apart, so that the answers of those who have none are no larger for it.
#[derive(Debug)]
struct Loan {
    twin: Arc<Twin>,
    file: Arc<Sealed>,
}

/// A place among the descriptors that twins may have.
#[derive(Debug)]
pub struct Seat(Arc<AtomicUsize>);

impl Twin {
    /// Copies `content`, which takes its time: not for a runtime's thread.
    ///
    /// # Errors
    /// The kernel has no such files, or a sandbox forbids them, or memory or descriptors are short.
    pub fn write(content: Bytes, seat: Seat) -> io::Result<Twin> {
        let mut file = File::from(memory_file()?);
        file.write_all(&content)?;
        let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&file, all)?;
        let file = ArcSwapOption::from_pointee(Sealed { file, _seat: seat });
        Ok(Twin { content, slot: Arc::new(TwinSlot { file, is_used: AtomicBool::new(true) }) })
    }

    /// The same for content that lies elsewhere by now, if it is the one that was copied.
    pub fn moved_to(&self, content: Bytes) -> Option<Twin> {
        let is_same = content == self.content;
        is_same.then(|| Twin { content, slot: Arc::clone(&self.slot) })
    }

    /// What it takes in memory.
    pub fn weight(&self) -> u64 {
        twin_weight(self.content.len() as u64)
    }

    /// Where its file is kept.
    pub fn slot(&self) -> &Arc<TwinSlot> {
        &self.slot
    }

    /// True once this system has shown that it has no twins.
    pub fn are_refused() -> bool {
        ARE_REFUSED.load(Ordering::Relaxed)
    }

    /// Takes note of what the kernel says of twins: some sandboxes forbid them. Content is then copied, as it
    /// is without them.
    pub fn note_failure(error: &io::Error) {
        use io::ErrorKind as K;
        // Anything else passes: broken sockets, a lack of memory or of descriptors.
        if matches!(error.kind(), K::Unsupported | K::PermissionDenied | K::InvalidInput)
            && !ARE_REFUSED.swap(true, Ordering::Relaxed)
        {
            tracing::debug!(%error, "the kernel does not send from memory files");
        }
    }

    /// For an answer that is made of the content; nothing once its descriptor is another's.
    #[inline(never)]
    pub fn lend(self: &Arc<Twin>) -> Option<Lent> {
        let file = self.slot.file.load_full()?;
        Some(Lent(Box::new(Loan { twin: Arc::clone(self), file })))
    }
}

impl TwinSlot {
    /// True if it was sent from since this was asked last.
    pub fn was_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// True until it is closed.
    pub fn is_open(&self) -> bool {
        self.file.load().is_some()
    }

    /// Closes the file as soon as nobody is sent from it any more.
    pub fn close(&self) {
        self.file.store(None);
    }
}

impl Lent {
    /// Where `piece` begins in the file, if it lies there.
    pub fn offset_of(&self, piece: &[u8]) -> Option<u64> {
        // While the content lives nothing else has its addresses, and `Bytes` never change.
        let content = &self.0.twin.content;
        let offset = piece.as_ptr().addr().checked_sub(content.as_ptr().addr())?;
        let end = offset.checked_add(piece.len())?;
        (end <= content.len()).then_some(offset as u64)
    }

    /// The file, for whoever sends from it.
    pub fn file(&self) -> BorrowedFd<'_> {
        let is_used = &self.0.twin.slot.is_used;
        // Looked at before it is written: cores share it.
        if !is_used.load(Ordering::Relaxed) {
            is_used.store(true, Ordering::Relaxed);
        }
        self.0.file.file.as_fd()
    }
}

impl Seat {
    /// One of `most`, if one is free; `taken` counts those that are not.
    pub fn take(taken: &Arc<AtomicUsize>, most: usize) -> Option<Seat> {
        let one_more = |taken: usize| (taken < most).then_some(taken + 1);
        let found = taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        found.is_ok().then(|| Seat(Arc::clone(taken)))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a twin of content of this length takes in memory.
pub fn twin_weight(length: u64) -> u64 {
    length.next_multiple_of(PAGE_BYTES)
}

fn memory_file() -> Result<std::os::fd::OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems insist on files that nobody can execute; kernels before 6.3 do not know the word.
    match memfd_create("forebay", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create("forebay", flags),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek};

    use super::*;

    fn twin(content: &Bytes) -> Arc<Twin> {
        let seat = Seat::take(&Arc::default(), 1).expect("it is free");
        Arc::new(Twin::write(content.clone(), seat).expect("Linux has memory files"))
    }

    fn lent(content: &Bytes) -> Lent {
        twin(content).lend().expect("it is open")
    }

    #[test]
    fn what_lies_in_the_file_is_told_by_address_and_nothing_else() {
        let content = Bytes::from((0..=255).cycle().take(70_000).collect::<Vec<u8>>());
        let of_content = lent(&content);
        assert_eq!(of_content.offset_of(&content), Some(0));
        assert_eq!(of_content.offset_of(&content.slice(300..69_000)), Some(300));
        let same = Bytes::copy_from_slice(&content);
        assert_eq!(of_content.offset_of(&same), None, "equal, but elsewhere");
        // A buffer of which the content is a part reaches beyond it on both sides.
        let whole = Bytes::from(vec![7; 1_000]);
        let inner = lent(&whole.slice(100..900));
        assert_eq!(inner.offset_of(&whole.slice(99..200)), None);
        assert_eq!(inner.offset_of(&whole.slice(800..901)), None);
        assert_eq!(inner.offset_of(&whole.slice(150..900)), Some(50));
    }

    #[test]
    fn the_file_holds_the_content_and_nobody_can_change_it() {
        let content = Bytes::from(vec![b'a'; 5_000]);
        assert_eq!(twin(&content).weight(), 8_192);
        let lent = lent(&content);
        let mut file = &lent.0.file.file;
        assert!(file.write_all(b"b").is_err());
        assert!(file.set_len(10).is_err());
        assert!(file.set_len(10_000).is_err());
        file.rewind().expect("it is a file");
        let mut read = Vec::new();
        file.read_to_end(&mut read).expect("read");
        assert_eq!(read, content);
    }

    #[test]
    fn it_moves_with_content_that_is_the_same_alone() {
        let twin = twin(&Bytes::from(vec![b'a'; 5_000]));
        let elsewhere = Bytes::from(vec![b'a'; 5_000]);
        let moved = Arc::new(twin.moved_to(elsewhere.clone()).expect("it is the same"));
        assert_eq!(moved.lend().and_then(|lent| lent.offset_of(&elsewhere)), Some(0));
        assert!(twin.moved_to(Bytes::from(vec![b'b'; 5_000])).is_none());
    }

    #[test]
    fn a_seat_is_given_back_by_the_last_who_sends() {
        let taken = Arc::default();
        let seat = Seat::take(&taken, 1).expect("it is free");
        let twin = Arc::new(Twin::write(Bytes::from_static(b"x"), seat).expect("written"));
        let lent = twin.lend().expect("it is open");
        twin.slot().close();
        assert!(!twin.slot().is_open() && twin.lend().is_none());
        assert!(Seat::take(&taken, 1).is_none());
        drop(lent);
        assert!(Seat::take(&taken, 1).is_some());
    }
}
