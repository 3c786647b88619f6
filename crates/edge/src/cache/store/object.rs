//! One stored answer.
//!
//! Two allocations an object, the index aside: a fixed record behind the index's `Arc` (what changes
//! or is asked on every hit: freshness, hits, offsets), and one buffer of exact length with everything
//! that varies in length: key, secondary key, tags, field lines, body. The buffer is `Bytes`, so that a hit
//! takes slices by counting references. A single allocation would need an owner made anew for every
//! hit (`Bytes::from_owner` allocates), or `unsafe`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};

use super::lines::{Span, Spans, lines_len, write_lines};
use crate::cache::rules::Freshness;
use crate::cache::tags::{Tag, tags};
use crate::config::cache::Visibility;
use crate::exchange::{Encoding, Twin, field_lines};

/// Bytes that an object costs besides its buffer: record and its `Arc` (128), the reference count of the buffer (32), the allocator's own (32), its place in the index with
/// slack and ghosts (80).
pub(super) const OVERHEAD_BYTES: u64 = 272;

/// What an object is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Primary key, as `cache::key` writes it.
    pub key: &'a [u8],
    /// Secondary key: what the request said in the fields that `Vary` names; empty without `Vary`.
    pub secondary: &'a [u8],
    /// Status.
    pub status: StatusCode,
    /// Coding of the body, if it is one that the edge makes.
    pub encoding: Encoding,
    /// Monotonic milliseconds since the process began.
    pub stored_at_ms: u64,
    /// Freshness.
    pub freshness: Freshness,
    /// Fields; those that must not be stored are left out (RFC 9111 §3.1), and so are `Age` and
    /// `Content-Length`, which are made for each hit.
    pub fields: &'a HeaderMap,
    /// Whether clients are shown the fields that hold its tags.
    pub tags: Visibility,
    /// The body in pieces, copied once.
    pub body: &'a [Bytes],
}

/// Why no object can be made of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unstorable {
    /// The key does not fit.
    #[error("key longer than 65,535 bytes")]
    KeyTooLong,
    /// The fields do not fit.
    #[error("fields longer than 65,535 bytes")]
    FieldsTooLong,
    /// The tags do not fit.
    #[error("more tags than an object keeps")]
    TooManyTags,
}

/// A stored answer. Shared by all cores; only its counters and marks change.
#[derive(Debug)]
pub struct Object {
    bytes: Bytes,
    /// A second copy of the body, once it is asked for often.
    twin: Option<Arc<Twin>>,
    /// Set once, by the store, when the object goes in; unique.
    pub(super) id: u64,
    stored_at_ms: u64,
    freshness: Freshness,
    hits: AtomicU32,
    /// When it was softly purged: whole seconds after it was stored, and one more; 0 if it was not.
    stale_since_s: AtomicU32,
    key_len: u16,
    secondary_len: u16,
    tags_len: u16,
    lines_len: u16,
    /// Of the lines, those at their end that no client is shown.
    hidden_len: u16,
    status: u16,
    etag: Span,
    last_modified: Span,
    content_type: Span,
    encoding: Encoding,
    /// Bit set of the encodings that are stored beside this object, with [`REPLACED`].
    encodings: AtomicU8,
    /// Bit sets of the encodings that somebody has asked to be made, well and best, with
    /// [`MUST_VALIDATE`] and [`VARIES_NOW`].
    wishes: AtomicU8,
    /// Bits that do not change once it is in: [`SHOWS_TAGS`], [`IS_VARIANT`].
    marks: u8,
}

impl Object {
    /// Writes an object.
    pub fn build(parts: &Parts<'_>) -> Result<Object, Unstorable> {
        let short = |n: usize, error| u16::try_from(n).map_err(|_| error);
        let key_len = short(parts.key.len(), Unstorable::KeyTooLong)?;
        let secondary_len = short(parts.secondary.len(), Unstorable::KeyTooLong)?;
        let lines_len = short(lines_len(parts.fields), Unstorable::FieldsTooLong)?;
        let body_len: usize = parts.body.iter().map(Bytes::len).sum();
        // An encoding is reached through its object, and goes with it.
        let is_tagged = parts.encoding == Encoding::Identity;
        let tags = if is_tagged { tags(parts.fields) } else { Ok(Vec::new()) };
        let tags = tags.map_err(|_| Unstorable::TooManyTags)?;
        let tags_len = short(tags.len() * Tag::BYTES, Unstorable::TooManyTags)?;
        let head_len = parts.key.len() + parts.secondary.len() + usize::from(tags_len);
        let mut bytes = Vec::with_capacity(head_len + usize::from(lines_len) + body_len);
        bytes.extend_from_slice(parts.key);
        bytes.extend_from_slice(parts.secondary);
        for tag in tags {
            bytes.extend_from_slice(&tag.to_bytes());
        }
        let mut spans = Spans::default();
        let hidden = write_lines(&mut bytes, head_len, parts.fields, parts.tags, &mut spans);
        for piece in parts.body {
            bytes.extend_from_slice(piece);
        }
        Ok(Object {
            bytes: bytes.into(),
            twin: None,
            id: 0,
            stored_at_ms: parts.stored_at_ms,
            freshness: parts.freshness,
            hits: AtomicU32::new(0),
            stale_since_s: AtomicU32::new(0),
            key_len,
            secondary_len,
            tags_len,
            lines_len,
            // A part of what fits.
            hidden_len: u16::try_from(hidden).unwrap_or(lines_len),
            status: parts.status.as_u16(),
            etag: spans.etag,
            last_modified: spans.last_modified,
            content_type: spans.content_type,
            encoding: parts.encoding,
            encodings: AtomicU8::new(0),
            wishes: AtomicU8::new(0),
            marks: if parts.tags == Visibility::Shown { SHOWS_TAGS } else { 0 },
        })
    }

    /// The same answer with other fields: freshened by a `304` (RFC 9111 §3.2). Status, keys and body
    /// are copied; hits and twin go on; stored encodings do not come along, the caller carries them over.
    pub fn with_fields(
        &self,
        fields: &HeaderMap,
        stored_at_ms: u64,
        freshness: Freshness,
    ) -> Result<Object, Unstorable> {
        let body = [self.body()];
        let mut object = Object::build(&Parts {
            key: self.key(),
            secondary: self.secondary(),
            status: self.status(),
            encoding: self.encoding,
            stored_at_ms,
            freshness,
            fields,
            tags: self.visibility(),
            body: &body,
        })?;
        object.hits.store(self.hits(), Ordering::Relaxed);
        object.twin =
            self.twin.as_ref().and_then(|twin| twin.moved_to(object.body())).map(Arc::new);
        Ok(object)
    }

    /// The same answer in an encoding, to lie beside it.
    pub fn in_encoding(
        &self,
        encoding: Encoding,
        fields: &HeaderMap,
        body: &[Bytes],
    ) -> Result<Object, Unstorable> {
        Object::build(&Parts {
            key: self.key(),
            secondary: self.secondary(),
            status: self.status(),
            encoding,
            stored_at_ms: self.stored_at_ms(),
            freshness: self.freshness(),
            fields,
            tags: self.visibility(),
            body,
        })
    }

    /// The same object, marks and all, with a twin.
    pub(super) fn with_twin(&self, twin: Arc<Twin>) -> Object {
        let encodings = self.encodings.load(Ordering::Acquire) & !REPLACED;
        Object {
            bytes: self.bytes.clone(),
            twin: Some(twin),
            hits: AtomicU32::new(self.hits()),
            stale_since_s: AtomicU32::new(self.stale_since_s.load(Ordering::Acquire)),
            encodings: AtomicU8::new(encodings),
            wishes: AtomicU8::new(self.wishes.load(Ordering::Acquire)),
            ..*self
        }
    }

    /// The same without one.
    pub(super) fn give_up_twin(&mut self) {
        self.twin = None;
    }

    /// Its twin, which may be another's by now.
    pub fn twin(&self) -> Option<&Arc<Twin>> {
        self.twin.as_ref()
    }

    /// True if the body is large enough for a twin.
    pub fn is_worth_a_twin(&self) -> bool {
        // The whole first: one look tells of most.
        self.bytes.len() >= WORTH_A_TWIN && self.body_len() >= WORTH_A_TWIN as u64
    }

    /// Counts a hit and returns how many there are with it.
    pub fn hit(&self) -> u32 {
        self.hits.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// From now on it may only be used after the origin has confirmed it.
    pub fn invalidate(&self) {
        self.wishes.fetch_or(MUST_VALIDATE, Ordering::AcqRel);
    }

    /// From now on it is stale, however long it had been fresh: what may be done with stale answers may
    /// be done with it. The first time counts.
    pub(super) fn soften(&self, now_ms: u64) {
        let since_s = now_ms.saturating_sub(self.stored_at_ms) / 1_000;
        let since_s = u32::try_from(since_s).unwrap_or(u32::MAX).saturating_add(1);
        if self.stale_since_s.load(Ordering::Acquire) == 0 {
            self.stale_since_s.store(since_s, Ordering::Release);
        }
    }

    /// True if it bears this tag.
    pub fn has_tag(&self, tag: Tag) -> bool {
        self.tags().any(|it| it == tag)
    }

    /// The tags that it bears.
    pub(super) fn tags(&self) -> impl Iterator<Item = Tag> {
        let start = usize::from(self.key_len) + usize::from(self.secondary_len);
        let (tags, _) = self.part(start, usize::from(self.tags_len)).as_chunks();
        tags.iter().map(|bytes| Tag::from_bytes(*bytes))
    }

    /// Primary key.
    pub fn key(&self) -> &[u8] {
        self.part(0, usize::from(self.key_len))
    }

    /// Secondary key; empty without `Vary`.
    pub fn secondary(&self) -> &[u8] {
        self.part(usize::from(self.key_len), usize::from(self.secondary_len))
    }

    /// Field lines: `name: value\r\n` each, ready for [`crate::exchange::Answer::lines`].
    pub fn lines(&self) -> Bytes {
        let start = self.lines_start();
        self.bytes.slice(start..start + usize::from(self.lines_len - self.hidden_len))
    }

    /// These, and those that no client is shown.
    fn all_lines(&self) -> Bytes {
        let start = self.lines_start();
        self.bytes.slice(start..start + usize::from(self.lines_len))
    }

    /// The body.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(self.lines_start() + usize::from(self.lines_len)..)
    }

    /// Length of the body.
    pub fn body_len(&self) -> u64 {
        (self.bytes.len() - self.lines_start() - usize::from(self.lines_len)) as u64
    }

    /// The fields as a map, for those who must change them.
    pub fn fields(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in field_lines(&self.all_lines()) {
            fields.append(name, value);
        }
        fields
    }

    /// First value of a field.
    pub fn field(&self, name: &HeaderName) -> Option<HeaderValue> {
        field_lines(&self.lines()).find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// `ETag`.
    pub fn etag(&self) -> Option<&[u8]> {
        self.value(self.etag)
    }

    /// `Last-Modified`.
    pub fn last_modified(&self) -> Option<&[u8]> {
        self.value(self.last_modified)
    }

    /// `Content-Type`.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.value(self.content_type)
    }

    /// Status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).expect("it was written from a status")
    }

    /// Coding of the body.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// When it was stored.
    pub fn stored_at_ms(&self) -> u64 {
        self.stored_at_ms
    }

    /// Freshness; over since it was softly purged.
    pub fn freshness(&self) -> Freshness {
        match self.stale_since_s.load(Ordering::Acquire) {
            0 => self.freshness,
            since_s => {
                let resident = Duration::from_secs(u64::from(since_s - 1));
                self.freshness.ended_at(self.freshness.age(resident))
            }
        }
    }

    /// How often it was given out.
    pub fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// True after an invalidation (RFC 9111 §4.4).
    pub fn must_validate(&self) -> bool {
        self.wishes.load(Ordering::Acquire) & MUST_VALIDATE != 0
    }

    /// Encodings are made of it by now, which its own lines do not say.
    pub fn note_vary(&self) {
        self.wishes.fetch_or(VARIES_NOW, Ordering::AcqRel);
    }

    /// Ends [`Object::note_vary`].
    pub fn forget_vary(&self) {
        self.wishes.fetch_and(!VARIES_NOW, Ordering::AcqRel);
    }

    /// True if an answer from it says `Vary: Accept-Encoding` beside its lines.
    pub fn varies_now(&self) -> bool {
        self.wishes.load(Ordering::Relaxed) & VARIES_NOW != 0
    }

    /// Encodings of this object that are stored beside it, as far as they have not been evicted.
    pub fn encodings(&self) -> impl Iterator<Item = Encoding> + use<> {
        let bits = self.encodings.load(Ordering::Acquire);
        ENCODED.into_iter().filter(move |encoding| bits & bit(*encoding) != 0)
    }

    /// True if `encoding` is stored beside this object.
    pub fn has_encoding(&self, encoding: Encoding) -> bool {
        self.encodings.load(Ordering::Acquire) & bit(encoding) != 0
    }

    /// True for the first who wishes for `encoding`: it is made once, and what turns out not to be worth
    /// it is not tried again. An encoding that was evicted may be wished for anew.
    pub fn is_first_wish(&self, encoding: Encoding) -> bool {
        let bit = bit(encoding);
        self.wishes.load(Ordering::Acquire) & bit == 0
            && self.wishes.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// The same for the best quality, which is made of an object that is asked for often.
    pub fn is_first_wish_for_best(&self, encoding: Encoding) -> bool {
        let bit = bit(encoding) << BEST;
        // Looked at before it is written: this is asked on every hit.
        self.wishes.load(Ordering::Acquire) & bit == 0
            && self.wishes.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// The wish could not be taken up; the next may try.
    pub fn forget_wish(&self, encoding: Encoding) {
        let bits = bit(encoding) | (bit(encoding) << BEST);
        self.wishes.fetch_and(!bits, Ordering::AcqRel);
    }

    /// It is reached through a mark of its key, and not by the key alone.
    pub(super) fn become_variant(&mut self) {
        self.marks |= IS_VARIANT;
    }

    pub(super) fn is_variant(&self) -> bool {
        self.marks & IS_VARIANT != 0
    }

    fn visibility(&self) -> Visibility {
        if self.marks & SHOWS_TAGS == 0 { Visibility::Hidden } else { Visibility::Shown }
    }

    pub(super) fn note_encoding(&self, encoding: Encoding) {
        self.encodings.fetch_or(bit(encoding), Ordering::AcqRel);
    }

    pub(super) fn forget_encoding(&self, encoding: Encoding) {
        self.encodings.fetch_and(!bit(encoding), Ordering::AcqRel);
        self.forget_wish(encoding);
    }

    /// The same with a twin stands in its place.
    pub(super) fn note_replaced(&self) {
        self.encodings.fetch_or(REPLACED, Ordering::AcqRel);
    }

    /// True after [`Object::note_replaced`].
    pub(super) fn is_replaced(&self) -> bool {
        self.encodings.load(Ordering::Acquire) & REPLACED != 0
    }

    /// What it counts against the bound of the store.
    pub(super) fn weight(&self) -> u64 {
        self.plain_weight() + self.twin.as_ref().map_or(0, |twin| twin.weight())
    }

    /// The same without a twin.
    pub(super) fn plain_weight(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD_BYTES
    }

    fn lines_start(&self) -> usize {
        usize::from(self.key_len) + usize::from(self.secondary_len) + usize::from(self.tags_len)
    }

    fn value(&self, span: Span) -> Option<&[u8]> {
        (span.start != 0)
            .then(|| self.part(self.lines_start() + usize::from(span.start), usize::from(span.len)))
    }

    fn part(&self, start: usize, len: usize) -> &[u8] {
        self.bytes.get(start..start + len).unwrap_or_default()
    }
}

/// Below it, to copy content to the socket costs no more than what else there is to do.
const WORTH_A_TWIN: usize = 64 * 1024;

/// From the bit of an encoding to that of its best quality.
const BEST: u8 = 3;
/// Bit of [`Object::must_validate`], beside those of the encodings.
const MUST_VALIDATE: u8 = 0x80;
/// Bit of [`Object::varies_now`].
const VARIES_NOW: u8 = 0x40;

/// Bit of [`Object::is_replaced`], beside those of stored encodings.
const REPLACED: u8 = 0x80;

/// Bits of `Object::marks`.
const SHOWS_TAGS: u8 = 1;
const IS_VARIANT: u8 = 2;

const ENCODED: [Encoding; 3] = [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];

fn bit(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Identity => 0,
        Encoding::Gzip => 1,
        Encoding::Brotli => 2,
        Encoding::Zstd => 4,
    }
}
