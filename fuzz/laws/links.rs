//! What early hints are made of.

use forebay_edge::cache::rules::link::{Audience, MOST_LINK_BYTES, hinted};
use http::header::{HeaderMap, HeaderValue, LINK};

/// What is told is a field value within its bound, is read as it was written, and of an answer that may be for
/// one is a part of what would be told of one for everybody.
pub(crate) fn link(bytes: &[u8]) {
    let mut fields = HeaderMap::new();
    for value in super::values(bytes) {
        fields.append(LINK, value);
    }
    for audience in [Audience::Everybody, Audience::MaybeOne] {
        let told = hinted(&fields, audience);
        assert!(told.len() <= MOST_LINK_BYTES);
        let value = HeaderValue::from_bytes(&told).expect("it was one");
        let again = HeaderMap::from_iter([(LINK, value)]);
        assert_eq!(hinted(&again, audience), told);
        assert_eq!(hinted(&again, Audience::Everybody), told);
    }
}
