//! The room's verbs, with what they share.

use std::sync::Arc;

use bytes::Bytes;
use forebay_signals::counter::Counter;
use forebay_signals::prometheus::Page;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, ETAG, HeaderMap, HeaderValue, VARY};
use http::{Method, StatusCode};
use http_body::Body as HttpBody;

use super::eligible::{Eligible, forbids_transform};
use super::encode::{Quality, encode};
use super::etag;
use super::negotiate::Preferences;
use super::pool::{Pool, Shed};
use super::seats::Seats;
use super::stream::StreamEncoder;
use crate::config;
use crate::exchange::{Answer, Body, Encoding, Head};

/// On the way speed counts: what is cheapest for its size first (zstd 3, gzip 1, br 4).
const ON_THE_WAY: [Encoding; 3] = [Encoding::Zstd, Encoding::Gzip, Encoding::Brotli];
/// What does not get smaller by this many percent is not worth a second copy in the store.
const WORTH_PERCENT: u64 = 5;

/// Do others read the same answer?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// It goes to everybody who waits for it and takes this encoding, and into the store.
    Yes,
    /// It is for one client.
    No,
}

/// What the settings say of encodings, and the encoders. One is in force at a time.
#[derive(Debug)]
pub struct Compressor {
    order: Vec<Encoding>,
    on_the_way: Vec<Encoding>,
    eligible: Eligible,
    hits_before_best: u32,
    workers: Arc<Workers>,
}

/// Bounds, threads and counts: they outlive a change of settings.
#[derive(Debug)]
struct Workers {
    seats: Arc<Seats>,
    first: Pool,
    best: Pool,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    streams: Counter,
    objects: Counter,
    shed: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
}

impl Compressor {
    /// Starts its threads, unless the settings ask for no encoding.
    pub fn new(settings: &config::compress::Compress) -> Compressor {
        let workers = Workers {
            seats: Arc::default(),
            first: Pool::new("compress-first"),
            best: Pool::new("compress-best"),
            counts: Arc::default(),
        };
        Compressor::with(settings, Arc::new(workers))
    }

    /// The same encoders under changed settings. From here on the background budget is the new one.
    #[must_use]
    pub fn renewed(&self, settings: &config::compress::Compress) -> Compressor {
        Compressor::with(settings, Arc::clone(&self.workers))
    }

    fn with(settings: &config::compress::Compress, workers: Arc<Workers>) -> Compressor {
        let order = settings.encodings.clone();
        let on_the_way = ON_THE_WAY.into_iter().filter(|encoding| order.contains(encoding));
        if !order.is_empty() {
            workers.first.work_at(100);
            workers.best.work_at(settings.background_cpu_percent);
        }
        Compressor {
            on_the_way: on_the_way.collect(),
            order,
            eligible: Eligible::new(settings),
            hits_before_best: settings.hits_before_best,
            workers,
        }
    }

    /// Encodes an answer while it goes to the client that asked with `asked`. Content that may be
    /// encoded but is not, for want of a seat or of a client that takes it, still says `Vary`.
    pub fn on_the_way(&self, asked: &Head, answer: Answer, shared: Shared) -> Answer {
        self.on_the_way_by(asked, answer, |body, encoding| self.stream(body, encoding, shared))
    }

    /// The same with `encoder` in place of an encoder for this answer alone. It gives the body back if it
    /// does not encode it.
    pub fn on_the_way_by(
        &self,
        asked: &Head,
        mut answer: Answer,
        encoder: impl FnOnce(Body, Encoding) -> Result<Body, Body>,
    ) -> Answer {
        if self.order.is_empty() || forbids_transform(&asked.fields) {
            return answer;
        }
        if answer.status == StatusCode::NOT_MODIFIED {
            etag::toward_client(&asked.fields, answer.fields_mut());
            return answer;
        }
        let length = length_of(asked, &answer);
        let status = answer.status;
        if !self.may_encode(status, answer.fields_mut(), length) {
            return answer;
        }
        add_vary(&mut answer.fields);
        let encoding = Preferences::of(&asked.fields).best(&self.on_the_way, |_| true);
        if encoding == Encoding::Identity {
            return answer;
        }
        if asked.method == Method::HEAD {
            encode_fields(&mut answer.fields, encoding);
            return answer;
        }
        match encoder(std::mem::take(&mut answer.body), encoding) {
            Ok(encoded) => {
                encode_fields(&mut answer.fields, encoding);
                answer.body = encoded;
            }
            Err(body) => answer.body = body,
        }
        answer
    }

    /// Encodes a body as it comes; gives it back for want of a seat or of memory.
    pub fn stream(&self, body: Body, encoding: Encoding, shared: Shared) -> Result<Body, Body> {
        let Some(seat) = self.workers.seats.take(shared) else {
            self.workers.counts.shed.increment();
            return Err(body);
        };
        let encoder = StreamEncoder::new(body, encoding)?;
        self.workers.counts.streams.increment();
        Ok(Body::stream(encoder.with_seat(seat)))
    }

    /// True if an encoding of this length is worth a place in the store beside the content.
    pub fn is_worth(content_bytes: u64, encoded_bytes: u64) -> bool {
        encoded_bytes < content_bytes / 100 * (100 - WORTH_PERCENT)
    }

    /// May this content be encoded at all? `length` where it is known.
    pub fn may_encode(&self, status: StatusCode, fields: &HeaderMap, length: Option<u64>) -> bool {
        !self.order.is_empty() && self.eligible.is_met(status, fields, length)
    }

    /// A quick look before anything is parsed: content of this type and length may be encoded.
    pub fn is_candidate(&self, content_type: Option<&[u8]>, length: u64) -> bool {
        !self.order.is_empty()
            && self.eligible.is_type(content_type)
            && self.eligible.is_size(length)
    }

    /// Says in a stored answer that it may come in several encodings.
    pub fn note_variants(&self, status: StatusCode, fields: &mut HeaderMap) {
        if self.may_encode(status, fields, None) {
            add_vary(fields);
        }
    }

    /// True if encodings are made of stored content that does not say so: it came under other settings.
    pub fn is_silent(&self, status: StatusCode, fields: &HeaderMap, length: u64) -> bool {
        self.may_encode(status, fields, Some(length)) && !says_vary(fields)
    }

    /// Encodings that are made of stored content, the edge's favourite first.
    pub fn order(&self) -> &[Encoding] {
        &self.order
    }

    /// Hits after which an object is worth [`Quality::Best`].
    pub fn hits_before_best(&self) -> u32 {
        self.hits_before_best
    }

    /// Encodes stored content on a thread of its own and hands the result to `done` there, if it is
    /// worth having. Sheds instead of queueing without end; the content then goes out as it is.
    pub fn behind(
        &self,
        content: Bytes,
        encoding: Encoding,
        quality: Quality,
        done: impl FnOnce(Vec<u8>) + Send + 'static,
    ) -> Result<(), Shed> {
        let counts = Arc::clone(&self.workers.counts);
        let job = Box::new(move || {
            let Ok(encoded) = encode(&content, encoding, quality) else { return };
            counts.objects.increment();
            counts.bytes_in.add(content.len() as u64);
            counts.bytes_out.add(encoded.len() as u64);
            if Compressor::is_worth(content.len() as u64, encoded.len() as u64) {
                done(encoded);
            }
        });
        let pool = match quality {
            Quality::First => &self.workers.first,
            Quality::Best => &self.workers.best,
        };
        let pushed = pool.push(job);
        if pushed.is_err() {
            self.workers.counts.shed.increment();
        }
        pushed
    }

    /// Writes the Prometheus families.
    pub fn write(&self, page: &mut Page) {
        let counts = &self.workers.counts;
        for (name, help, counter) in [
            ("streams", "Answers encoded on the way.", &counts.streams),
            ("objects", "Stored objects encoded.", &counts.objects),
            ("shed", "Encodings not made for want of room.", &counts.shed),
            ("in_bytes", "Bytes of stored objects before encoding.", &counts.bytes_in),
            ("out_bytes", "Bytes of stored objects after encoding.", &counts.bytes_out),
        ] {
            let name = format!("forebay_edge_compress_{name}_total");
            page.family(&name, "counter", help);
            page.sample(&name, &[], counter.value());
        }
    }
}

/// Fields of `encoding` of an answer with `fields`.
pub fn encoded_fields(fields: &HeaderMap, encoding: Encoding) -> HeaderMap {
    let mut fields = fields.clone();
    add_vary(&mut fields);
    encode_fields(&mut fields, encoding);
    fields
}

fn encode_fields(fields: &mut HeaderMap, encoding: Encoding) {
    fields.remove(CONTENT_LENGTH);
    fields.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.token()));
    if let Some(tag) = fields.get(ETAG).and_then(|tag| etag::of_encoding(tag, encoding)) {
        fields.insert(ETAG, tag);
    }
}

/// Says that the answer depends on the encodings that the client takes, if it does not say so yet.
pub fn add_vary(fields: &mut HeaderMap) {
    if !says_vary(fields) {
        fields.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

fn says_vary(fields: &HeaderMap) -> bool {
    fields.get_all(VARY).iter().any(|line| {
        let mut members = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        members.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"))
    })
}

fn length_of(asked: &Head, answer: &Answer) -> Option<u64> {
    if asked.method == Method::HEAD {
        // What GET would bring.
        return answer.field(&CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    }
    answer.body.size_hint().exact()
}
