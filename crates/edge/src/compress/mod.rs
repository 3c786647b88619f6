//! Encodings: fewer bytes for the client, at a price that is known before it is paid.
//!
//! In: an answer on its way to one client, or the content of a stored object that clients want
//! encoded. Out: the same in the coding that suits, with `Content-Encoding`, `Vary` and `ETag` right
//! (RFC 9110 §8.4, §8.8.3.3, §12.5.3). It never encodes twice, never holds back what an origin sends
//! slowly, never encodes on a runtime's thread what takes long, and leaves alone what sets cookies:
//! secret and echo in one compressed answer are what BREACH needs.

mod compressor;
mod eligible;
mod encode;
mod etag;
mod negotiate;
mod pool;
mod seats;
mod stream;

pub use compressor::{Compressor, Shared, add_vary, encoded_fields};
pub use eligible::{Eligible, forbids_transform};
pub use encode::{Quality, encode};
pub use etag::{tags, toward_origin};
pub use negotiate::Preferences;
pub use pool::Shed;
pub use stream::StreamEncoder;

#[cfg(test)]
mod compress_tests;
#[cfg(test)]
mod stream_tests;
