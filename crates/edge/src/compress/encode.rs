//! Encoding what lies there whole.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::exchange::Encoding;

/// brotli 11 takes a second for this much; above, 5 (9 is 1 to 4 % better and ten times slower).
const BROTLI_BEST_BYTES: usize = 1 << 20;
/// zstd 19 takes a second for this much.
const ZSTD_BEST_BYTES: usize = 4 << 20;
const BROTLI_BUFFER_BYTES: usize = 16 << 10;

/// How much work an encoding is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// At once: zstd 3, gzip 1, br 4.
    First,
    /// For what is asked for again and again: zstd 19, gzip 9, br 11 (5 for large content).
    Best,
}

/// Encodes `whole`. Takes up to a second: never on a runtime's thread.
pub fn encode(whole: &[u8], encoding: Encoding, quality: Quality) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(whole.to_vec()),
        Encoding::Gzip => {
            let level = if quality == Quality::First { 1 } else { 9 };
            let out = Vec::with_capacity(whole.len() / 3);
            let mut encoder = GzEncoder::new(out, Compression::new(level));
            encoder.write_all(whole)?;
            encoder.finish()
        }
        Encoding::Brotli => brotli(whole, quality),
        Encoding::Zstd => {
            let level = match quality {
                Quality::First => 3,
                Quality::Best if whole.len() <= ZSTD_BEST_BYTES => 19,
                Quality::Best => 9,
            };
            zstd::bulk::compress(whole, level)
        }
    }
}

fn brotli(whole: &[u8], quality: Quality) -> io::Result<Vec<u8>> {
    let level = match quality {
        Quality::First => 4,
        Quality::Best if whole.len() <= BROTLI_BEST_BYTES => 11,
        Quality::Best => 5,
    };
    let parameters = brotli::enc::BrotliEncoderParams {
        quality: level,
        lgwin: 22,
        size_hint: whole.len(),
        ..Default::default()
    };
    let out = Vec::with_capacity(whole.len() / 4);
    let mut encoder = brotli::CompressorWriter::with_params(out, BROTLI_BUFFER_BYTES, &parameters);
    encoder.write_all(whole)?;
    Ok(encoder.into_inner())
}
