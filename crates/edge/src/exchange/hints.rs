//! Early hints (RFC 8297): heads before the head of an answer, on their way to one client.
//!
//! Whoever knows something early puts it in, `listen` takes it out as long as the answer is waited for. What
//! the application says so is passed on though the answer came in the same packet (RFC 9110 §15.2); what the
//! edge has made itself is dropped then: it would say nothing that the answer does not say.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use forebay_signals::counter::Counter;
use http::header::{CONTENT_SECURITY_POLICY, LINK};
use http::{HeaderMap, HeaderName};

use super::OwnLines;

/// Heads of one request: applications send one or a few, browsers use the first.
pub const MOST_HINTS: usize = 8;
/// Bytes of all of them.
pub const MOST_HINT_BYTES: usize = 16 * 1024;

/// What a hint is for: links, and the policy that they are loaded under. The rest of what an application
/// writes into one (cookies, tags, names of its own) would go by everything that the edge does with
/// an answer's fields.
const PASSED: [HeaderName; 2] = [LINK, CONTENT_SECURITY_POLICY];

/// Who has something to say early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintedBy {
    /// The application, by a 103 of its own.
    Origin,
    /// The edge, by the links of the page's last answer.
    Memory,
}

/// Hints of the whole process.
#[derive(Debug, Default)]
pub struct HintCounts {
    /// Of applications, sent on.
    pub passed: Counter,
    /// Made of links that were kept.
    pub made: Counter,
    /// More or larger ones than one request may have.
    pub dropped: Counter,
}

/// Hints for one client. Bounded, and shared by who fills it and who empties it.
#[derive(Debug, Clone)]
pub struct Hints(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: [u8; 32],
    counts: Arc<HintCounts>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Bytes, HintedBy)>,
    hints: usize,
    bytes: usize,
    /// Of whoever waits for the answer.
    waker: Option<Waker>,
}

impl Hints {
    /// For the request of this id.
    pub fn new(id: [u8; 32], counts: Arc<HintCounts>) -> Hints {
        Hints(Arc::new(Shared { id, counts, state: Mutex::default() }))
    }

    /// Takes the head of a 103; what clients have no use for is left out.
    pub fn pass(&self, fields: &HeaderMap) {
        let mut lines = OwnLines::default();
        for name in PASSED {
            for value in fields.get_all(&name) {
                lines.push(name.as_str(), |out| out.extend_from_slice(value.as_bytes()));
            }
        }
        self.push(lines.into(), HintedBy::Origin);
    }

    /// Takes field lines.
    pub fn push(&self, lines: Bytes, by: HintedBy) {
        if lines.is_empty() {
            return;
        }
        let mut state = self.state();
        let bytes = state.bytes + lines.len();
        if state.hints >= MOST_HINTS || bytes > MOST_HINT_BYTES {
            self.0.counts.dropped.increment();
            return;
        }
        (state.hints, state.bytes) = (state.hints + 1, bytes);
        state.waiting.push_back((lines, by));
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    /// The field lines of the next one.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Bytes> {
        let mut state = self.state();
        let Some((lines, by)) = state.waiting.pop_front() else {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(state);
        self.count(&lines, by);
        Poll::Ready(lines)
    }

    /// The field lines of the next one that must not be left out, now that the answer is there.
    pub fn next_of_origin(&self) -> Option<Bytes> {
        let mut state = self.state();
        while let Some((lines, by)) = state.waiting.pop_front() {
            if by == HintedBy::Origin {
                drop(state);
                self.count(&lines, by);
                return Some(lines);
            }
        }
        None
    }

    fn count(&self, lines: &Bytes, by: HintedBy) {
        let counts = &self.0.counts;
        let counter = match by {
            HintedBy::Origin => &counts.passed,
            HintedBy::Memory => &counts.made,
        };
        counter.increment();
        let id = std::str::from_utf8(&self.0.id).unwrap_or_default();
        tracing::debug!(id, ?by, bytes = lines.len(), "early hints");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hints() -> (Hints, Arc<HintCounts>) {
        let counts = Arc::<HintCounts>::default();
        (Hints::new([b'0'; 32], Arc::clone(&counts)), counts)
    }

    fn next(hints: &Hints) -> Option<Bytes> {
        match hints.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(lines) => Some(lines),
            Poll::Pending => None,
        }
    }

    #[test]
    fn only_links_and_their_policy_are_passed() {
        let (hints, counts) = hints();
        let mut fields = HeaderMap::new();
        for (name, value) in [("link", "</a>"), ("set-cookie", "s=1"), ("link", "</b>")] {
            fields.append(name, HeaderValue::from_static(value));
        }
        fields.insert("content-security-policy", HeaderValue::from_static("default-src 'self'"));
        hints.pass(&fields);
        let expected =
            "link: </a>\r\nlink: </b>\r\ncontent-security-policy: default-src 'self'\r\n";
        assert_eq!(next(&hints).as_deref(), Some(expected.as_bytes()));
        fields.clear();
        fields.insert("set-cookie", HeaderValue::from_static("s=1"));
        hints.pass(&fields);
        assert_eq!(next(&hints), None);
        assert_eq!(counts.passed.value(), 1);
    }

    #[test]
    fn only_the_origins_are_passed_once_the_answer_is_there() {
        let (hints, counts) = hints();
        for (lines, by) in [("made", HintedBy::Memory), ("said", HintedBy::Origin)] {
            hints.push(Bytes::from_static(lines.as_bytes()), by);
        }
        assert_eq!(hints.next_of_origin().as_deref(), Some(&b"said"[..]));
        assert_eq!(hints.next_of_origin(), None);
        assert_eq!((counts.made.value(), counts.passed.value()), (0, 1));
    }

    #[test]
    fn number_and_bytes_are_bounded() {
        let (hints, counts) = hints();
        for _ in 0..2 * MOST_HINTS {
            hints.push(Bytes::from_static(b"link: </a>\r\n"), HintedBy::Memory);
        }
        assert_eq!(std::iter::from_fn(|| next(&hints)).count(), MOST_HINTS);
        assert_eq!((counts.made.value(), counts.dropped.value()), (8, 8));

        let (hints, counts) = self::hints();
        for _ in 0..4 {
            hints.push(Bytes::from(vec![b'x'; MOST_HINT_BYTES / 2]), HintedBy::Origin);
        }
        assert_eq!(std::iter::from_fn(|| next(&hints)).count(), 2);
        assert_eq!(counts.dropped.value(), 2);
    }
}
