use std::io::Read;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use http_body_util::BodyExt;

use super::*;
use crate::config::compress::Compress;
use crate::exchange::{Answer, Encoding, Head};

const CODED: [Encoding; 3] = [Encoding::Gzip, Encoding::Brotli, Encoding::Zstd];
const PATIENCE: Duration = Duration::from_secs(20);

/// Real decoders, tolerant of a stream that is not at its end yet.
pub(super) fn decode(encoded: &[u8], encoding: Encoding) -> Vec<u8> {
    let mut decoder: Box<dyn Read> = match encoding {
        Encoding::Identity => Box::new(encoded),
        Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(encoded)),
        Encoding::Brotli => Box::new(brotli::Decompressor::new(encoded, 4_096)),
        Encoding::Zstd => Box::new(zstd::stream::read::Decoder::new(encoded).unwrap()),
    };
    let mut decoded = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(count @ 1..) = decoder.read(&mut buffer) {
        decoded.extend_from_slice(&buffer[..count]);
    }
    decoded
}

/// Text that shrinks, but not to nothing.
pub(super) fn text(bytes: usize) -> Bytes {
    let mut text = String::new();
    let mut n = 1_u64;
    while text.len() < bytes {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str("<li class=\"item\">");
        text.push_str(&(n >> 40).to_string());
        text.push_str("</li>\n");
    }
    text.truncate(bytes);
    text.into()
}

fn asked(method: Method, fields: &[(HeaderName, &'static str)]) -> Head {
    let fields = fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v)));
    Head {
        method,
        uri: Uri::from_static("/"),
        authority: "shop.example".into(),
        version: Version::HTTP_11,
        fields: fields.collect(),
    }
}

fn browser() -> Head {
    asked(Method::GET, &[(ACCEPT_ENCODING, "gzip, deflate, br, zstd")])
}

fn page(bytes: usize) -> Answer {
    Answer::new(text(bytes))
        .with(CONTENT_TYPE, HeaderValue::from_static("text/html"))
        .with(ETAG, HeaderValue::from_static("\"abc\""))
}

fn compressor() -> Compressor {
    Compressor::new(&Compress::default())
}

fn content(answer: Answer) -> Bytes {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(answer.body.collect()).unwrap().to_bytes()
}

#[test]
fn what_is_encoded_decodes_to_what_it_was() {
    for size in [0, 1, 1_000, 100_000, 3 << 20] {
        let whole = text(size);
        for encoding in CODED {
            for quality in [Quality::First, Quality::Best] {
                // The best of three megabytes takes seconds without optimisation.
                if size > 1 << 20 && quality == Quality::Best && encoding == Encoding::Zstd {
                    continue;
                }
                let encoded = encode(&whole, encoding, quality).unwrap();
                assert!(decode(&encoded, encoding) == whole, "{encoding:?} {quality:?} {size}");
                assert!(size < 1_000 || encoded.len() < size / 2, "{encoding:?} {quality:?}");
            }
        }
    }
}

#[test]
fn better_is_smaller() {
    let whole = text(100_000);
    for encoding in CODED {
        let first = encode(&whole, encoding, Quality::First).unwrap();
        let best = encode(&whole, encoding, Quality::Best).unwrap();
        assert!(best.len() < first.len(), "{encoding:?}: {} {}", best.len(), first.len());
    }
}

#[test]
fn an_answer_on_its_way_is_encoded_for_its_client() {
    let compressor = compressor();
    let browsers = [
        ("gzip, deflate, br, zstd", Encoding::Zstd),
        ("gzip, deflate, br", Encoding::Gzip),
        ("br", Encoding::Brotli),
        ("br, gzip;q=0.5", Encoding::Brotli),
    ];
    for (accepts, encoding) in browsers {
        let asked = asked(Method::GET, &[(ACCEPT_ENCODING, accepts)]);
        let mut answer = page(50_000);
        answer.fields.insert(CONTENT_LENGTH, HeaderValue::from_static("50000"));
        let answer = compressor.on_the_way(&asked, answer, Shared::No);
        assert_eq!(answer.fields[CONTENT_ENCODING], encoding.token());
        assert_eq!(answer.fields[ETAG], format!("\"abc--{}\"", encoding.token()));
        assert_eq!(answer.fields[VARY], "accept-encoding");
        assert!(!answer.fields.contains_key(CONTENT_LENGTH));
        let content = content(answer);
        assert!(content.len() < 25_000);
        assert_eq!(decode(&content, encoding), text(50_000));
    }
}

#[test]
fn a_client_that_takes_none_gets_it_as_it_is_and_caches_are_told() {
    let answer = compressor().on_the_way(&asked(Method::GET, &[]), page(5_000), Shared::No);
    assert_eq!(answer.fields[VARY], "accept-encoding");
    assert_eq!(answer.fields[ETAG], "\"abc\"");
    assert!(!answer.fields.contains_key(CONTENT_ENCODING));
    assert_eq!(content(answer), text(5_000));
}

#[test]
fn what_is_encoded_or_small_or_sets_cookies_is_left_alone() {
    let compressor = compressor();
    let untouched = [
        page(1_000),
        page(5_000).with(CONTENT_ENCODING, HeaderValue::from_static("br")),
        page(5_000).with(SET_COOKIE, HeaderValue::from_static("session=1")),
        page(5_000).with(CONTENT_TYPE, HeaderValue::from_static("image/png")),
        page(5_000).with_status(StatusCode::PARTIAL_CONTENT),
        page(0),
    ];
    for answer in untouched {
        let before = answer.fields.clone();
        let after = compressor.on_the_way(&browser(), answer, Shared::No);
        assert_eq!(after.fields, before);
    }
    let settings = Compress { encodes_with_cookies: true, ..Compress::default() };
    let answer = page(5_000).with(SET_COOKIE, HeaderValue::from_static("session=1"));
    let answer = Compressor::new(&settings).on_the_way(&browser(), answer, Shared::No);
    assert!(answer.fields.contains_key(CONTENT_ENCODING));
    let settings = Compress { encodings: Vec::new(), ..Compress::default() };
    let answer = Compressor::new(&settings).on_the_way(&browser(), page(5_000), Shared::No);
    assert!(!answer.fields.contains_key(VARY));
}

#[test]
fn head_says_what_get_would_bring() {
    let compressor = compressor();
    let asked = Head { method: Method::HEAD, ..browser() };
    let head = |length: &'static str| {
        let mut answer = page(0);
        answer.fields.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        compressor.on_the_way(&asked, answer, Shared::No)
    };
    let long = head("5000");
    assert_eq!(long.fields[CONTENT_ENCODING], "zstd");
    assert!(long.body.is_empty() && !long.fields.contains_key(CONTENT_LENGTH));
    let short = head("500");
    assert_eq!(short.fields[CONTENT_LENGTH], "500");
    assert!(!short.fields.contains_key(CONTENT_ENCODING));
}

#[test]
fn a_304_of_the_origin_names_the_tag_of_the_client() {
    let holds = [(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, "\"abc--br\"")];
    let mut asked = asked(Method::GET, &holds);
    let answer = page(0).with_status(StatusCode::NOT_MODIFIED);
    let answer = compressor().on_the_way(&asked, answer, Shared::No);
    assert_eq!(answer.fields[ETAG], "\"abc--br\"");
    toward_origin(&mut asked.fields);
    assert_eq!(asked.fields[IF_NONE_MATCH], "\"abc\"");
}

#[test]
fn too_many_readers_of_one_answer_get_it_as_it_is() {
    let compressor = compressor();
    let answers: Vec<_> =
        (0..100).map(|_| compressor.on_the_way(&browser(), page(5_000), Shared::Yes)).collect();
    let encoded = answers.iter().filter(|a| a.fields.contains_key(CONTENT_ENCODING)).count();
    assert!(encoded > 0 && encoded < 100, "{encoded}");
    let single = compressor.on_the_way(&browser(), page(5_000), Shared::No);
    assert!(single.fields.contains_key(CONTENT_ENCODING));
    drop(answers);
    let again = compressor.on_the_way(&browser(), page(5_000), Shared::Yes);
    assert!(again.fields.contains_key(CONTENT_ENCODING));
}

#[test]
fn stored_content_is_encoded_behind() {
    let compressor = compressor();
    let whole = text(20_000);
    for quality in [Quality::First, Quality::Best] {
        let (tell, told) = sync_channel(1);
        let done = move |encoded| tell.send(encoded).unwrap();
        compressor.behind(whole.clone(), Encoding::Brotli, quality, done).unwrap();
        let encoded = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(decode(&encoded, Encoding::Brotli), whole);
    }
}

#[test]
fn what_does_not_shrink_is_not_kept() {
    let compressor = compressor();
    let mut n = 1_u64;
    let noise = std::iter::repeat_with(|| {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        n.to_be_bytes()[0]
    });
    let (tell, told) = sync_channel(1);
    let done = move |encoded: Vec<u8>| tell.send(encoded).unwrap();
    let noise: Bytes = noise.take(20_000).collect();
    compressor.behind(noise, Encoding::Gzip, Quality::First, done).unwrap();
    // The sender goes with the job.
    assert!(
        told.recv_timeout(PATIENCE)
            .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Disconnected)
    );
}

#[test]
fn without_a_budget_nothing_is_made_better_behind() {
    let settings = Compress { background_cpu_percent: 0, ..Compress::default() };
    let compressor = Compressor::new(&settings);
    let behind = |quality| compressor.behind(text(2_000), Encoding::Gzip, quality, |_| ());
    assert_eq!(behind(Quality::Best), Err(Shed));
    assert_eq!(behind(Quality::First), Ok(()));
}

#[test]
fn a_stored_encoding_has_fields_of_its_own() {
    let mut fields = HeaderMap::new();
    fields.insert(ETAG, HeaderValue::from_static("\"abc\""));
    fields.insert(VARY, HeaderValue::from_static("accept-language"));
    let encoded = encoded_fields(&fields, Encoding::Zstd);
    assert_eq!(encoded[ETAG], "\"abc--zstd\"");
    assert_eq!(encoded[CONTENT_ENCODING], "zstd");
    let vary: Vec<_> = encoded.get_all(VARY).iter().collect();
    assert_eq!(vary, ["accept-language", "accept-encoding"]);
    let again = encoded_fields(&encoded, Encoding::Zstd);
    assert_eq!(again.get_all(VARY).iter().count(), 2);
}

#[test]
fn changed_settings_hold_from_then_on_and_share_threads_and_counts() {
    let off = Compress { encodings: Vec::new(), ..Compress::default() };
    let before = Compressor::new(&off);
    let answer = before.on_the_way(&browser(), page(5_000), Shared::No);
    assert!(!answer.fields.contains_key(CONTENT_ENCODING));
    let gzip = Compress { encodings: vec![Encoding::Gzip], ..Compress::default() };
    let after = before.renewed(&gzip);
    let answer = after.on_the_way(&browser(), page(5_000), Shared::No);
    assert_eq!(answer.fields[CONTENT_ENCODING], "gzip");
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let content = Bytes::from(vec![b'x'; 10_000]);
    let done = move |encoded: Vec<u8>| tell.send(encoded.len()).unwrap();
    after.behind(content.clone(), Encoding::Gzip, Quality::First, done).unwrap();
    assert!(told.recv_timeout(std::time::Duration::from_secs(20)).unwrap() < 1_000);
    let mut page = forebay_signals::prometheus::Page::default();
    after.renewed(&off).write(&mut page);
    let text = page.finish();
    assert!(text.contains("forebay_edge_compress_streams_total 1"), "{text}");
    assert!(text.contains("forebay_edge_compress_objects_total 1"), "{text}");
}
