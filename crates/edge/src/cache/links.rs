//! The links of pages, for the hints of whoever asks next.
//!
//! A table of fixed size: two pages that fall together displace each other, which costs a hint and nothing
//! else. Only requests that wait for the origin come here.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, OnceLock, PoisonError};

use bytes::Bytes;

/// Pages whose links are kept; with the most bytes of each the bound of memory is 16 MiB.
const PLACES: usize = 4096;
/// For how long. A page that nobody asked the origin for in a day may be of another release.
const KEPT_MS: u64 = 86_400_000;

/// Links by page.
#[derive(Debug, Default)]
pub struct Links {
    /// Made with the first page.
    places: OnceLock<Box<[Mutex<Option<Kept>>]>>,
    /// Its seed is secret: nobody can choose whom to displace.
    hashes: RandomState,
}

#[derive(Debug)]
struct Kept {
    page: u64,
    lines: Bytes,
    until_ms: u64,
}

impl Links {
    /// Keeps the links of the page with this key, as field lines; none forgets those that it had.
    pub fn keep(&self, key: &[u8], lines: Bytes, now_ms: u64) {
        if lines.is_empty() && self.places.get().is_none() {
            return;
        }
        let page = self.hashes.hash_one(key);
        let empty = || (0..PLACES).map(|_| Mutex::default()).collect();
        let place = place(self.places.get_or_init(empty), page);
        let mut held = place.lock().unwrap_or_else(PoisonError::into_inner);
        if !lines.is_empty() {
            *held = Some(Kept { page, lines, until_ms: now_ms.saturating_add(KEPT_MS) });
        } else if held.as_ref().is_some_and(|held| held.page == page) {
            *held = None;
        }
    }

    /// The links of this page's last answer.
    pub fn of(&self, key: &[u8], now_ms: u64) -> Option<Bytes> {
        let places = self.places.get()?;
        let page = self.hashes.hash_one(key);
        let held = place(places, page).lock().unwrap_or_else(PoisonError::into_inner);
        let held = held.as_ref().filter(|held| held.page == page && now_ms < held.until_ms);
        held.map(|held| held.lines.clone())
    }

    /// Forgets all: what was purged is not to be spoken of. The next answers bring them again.
    pub fn clear(&self) {
        for place in self.places.get().into_iter().flatten() {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

fn place(places: &[Mutex<Option<Kept>>], page: u64) -> &Mutex<Option<Kept>> {
    let at = usize::try_from(page % PLACES as u64).unwrap_or_default();
    &places[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Bytes = Bytes::from_static(b"link: </a>\r\n");

    #[test]
    fn the_last_answer_counts_and_not_for_ever() {
        let links = Links::default();
        assert_eq!(links.of(b"/a", 0), None);
        links.keep(b"/a", LINES, 0);
        assert_eq!(links.of(b"/a", KEPT_MS - 1), Some(LINES));
        assert_eq!(links.of(b"/a", KEPT_MS), None);
        assert_eq!(links.of(b"/b", 0), None);
        links.keep(b"/a", Bytes::new(), 1);
        assert_eq!(links.of(b"/a", 1), None);
        links.keep(b"/a", LINES, 2);
        links.clear();
        assert_eq!(links.of(b"/a", 2), None);
    }

    #[test]
    fn memory_is_bounded_whatever_the_number_of_pages() {
        let links = Links::default();
        let keys: Vec<_> = (0..3 * PLACES).map(|nth| nth.to_string()).collect();
        for key in &keys {
            links.keep(key.as_bytes(), LINES, 0);
        }
        let kept = keys.iter().filter(|key| links.of(key.as_bytes(), 0).is_some()).count();
        assert!((PLACES / 2..=PLACES).contains(&kept), "{kept}");
        // The newest is never the one that went.
        assert!(links.of(keys[keys.len() - 1].as_bytes(), 0).is_some());
    }
}
