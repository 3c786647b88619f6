//! What holds for every input of a parser, one function a fuzz target.
//!
//! The fuzz targets call them with whatever libFuzzer finds; `crates/edge/tests/corpora.rs` calls them with
//! the corpora, so that CI needs no nightly toolchain. A law panics when it is broken.

mod cache;
mod files;
mod gate;
mod geo;
mod http1;
mod http2;
mod links;
mod names;
mod origin;
mod recognition;
mod rooms;

use cache::{cache_control, key, range, targeted_cache_control};
use files::file_path;
use gate::{preface, proxy_protocol};
use geo::geo_database;
use http1::{http1_content, http1_head, http1_target};
use http2::{hpack, http2};
use links::link;
use names::{dates, traceparent};
use origin::origin_head;
use recognition::{conditional, invalidate, vary};
use rooms::{accept_encoding, config, forwarded};

/// A function that judges one input.
pub(crate) type Law = fn(&[u8]);

/// Every law by the name of its fuzz target.
pub(crate) const ALL: [(&str, Law); 23] = [
    ("http1_head", http1_head),
    ("http1_content", http1_content),
    ("http1_target", http1_target),
    ("origin_head", origin_head),
    ("file_path", file_path),
    ("cache_control", cache_control),
    ("targeted_cache_control", targeted_cache_control),
    ("range", range),
    ("accept_encoding", accept_encoding),
    ("forwarded", forwarded),
    ("key", key),
    ("config", config),
    ("traceparent", traceparent),
    ("dates", dates),
    ("conditional", conditional),
    ("vary", vary),
    ("invalidate", invalidate),
    ("preface", preface),
    ("proxy_protocol", proxy_protocol),
    ("http2", http2),
    ("hpack", hpack),
    ("geo_database", geo_database),
    ("link", link),
];

/// Judges one input by the law of this name.
pub(crate) fn judge(name: &str, bytes: &[u8]) {
    let (_, law) = ALL.iter().find(|(known, _)| *known == name).expect("every target has a law");
    law(bytes);
}

/// Field values of a corpus file: a line each; what no field may hold is left out.
fn values(bytes: &[u8]) -> impl Iterator<Item = http::HeaderValue> + '_ {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| http::HeaderValue::from_bytes(line).ok())
}
