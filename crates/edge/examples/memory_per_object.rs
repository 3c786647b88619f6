//! Prints by how much the process grows for each stored 1 KB object.
//!
//! `cargo run --release -p forebay-edge --example memory_per_object [objects]`: fields and content as
//! in the benchmark (1,254 bytes of head and body as an origin sends them), one million by default.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::cache::rules::{Freshness, Rule};
use forebay_edge::cache::store::{Memory, Object, Parts};
use forebay_edge::config::cache::Visibility;
use forebay_edge::exchange::Encoding;
use http::{HeaderMap, HeaderValue, StatusCode};

fn main() -> io::Result<()> {
    let wanted = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000_u64);
    let memory = Memory::new(64 << 30, 16 << 20);
    let fields = fields();
    let body = Bytes::from(vec![b'x'; 1_024]);
    let hour = Duration::from_secs(3_600);
    let freshness = Freshness::new(Rule::MaxAge, hour, Duration::ZERO);
    let before = resident_bytes()?;
    for n in 0..wanted {
        let key = format!("http://127.0.0.1:8080/1024/object-{n:07}");
        // A fill brings its own fields and body, and lets go of them afterwards.
        let fields = fields.clone();
        let body = [Bytes::copy_from_slice(&body)];
        let object = Object::build(&Parts {
            key: key.as_bytes(),
            secondary: b"",
            status: StatusCode::OK,
            encoding: Encoding::Identity,
            stored_at_ms: n,
            freshness,
            fields: &fields,
            tags: Visibility::Hidden,
            body: &body,
        });
        let object = object.map_err(io::Error::other)?;
        memory.insert(memory.ticket(), object).map_err(io::Error::other)?;
    }
    let grown = resident_bytes()?.saturating_sub(before);
    let counted = memory.statistics();
    writeln!(
        io::stdout(),
        "objects {}  process growth {} B each  counted {} B each",
        counted.objects,
        grown / wanted.max(1),
        counted.bytes / wanted.max(1)
    )
}

/// With status line, end of head and framing 230 bytes on the wire.
fn fields() -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("date", "Tue, 24 Nov 2026 04:00:00 GMT"),
        ("etag", "\"0123456789abcdef\""),
        ("cache-control", "max-age=3600"),
        ("last-modified", "Mon, 23 Nov 2026 04:00:00 GMT"),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    fields
}

/// Resident set of this process; pages of 4 KiB, as on every machine that Debian supports by default.
fn resident_bytes() -> io::Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    Ok(pages.unwrap_or(0) * 4_096)
}
