//! What the edge says of a client, signed: HTTP Message Signatures (RFC 9421) by `hmac-sha256`.
//!
//! A profile of one signature, labelled `forebay`. It covers method, path, query, the host that the client
//! asked and every field that was taken along, and holds the time at which it was made and the key's id. What
//! it does not cover is not the edge's word.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;

use crate::exchange::Ask;

/// `Signature`.
pub const SIGNATURE: HeaderName = HeaderName::from_static("signature");
/// `Signature-Input`.
pub const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
/// The host that the client asked: the request's own may be the one of the origin.
const HOST: &str = "x-forwarded-host";

/// A key that signs.
pub(super) struct Signer {
    id: String,
    key: hmac::Key,
}

impl Signer {
    pub(super) fn new(id: &str, secret: &[u8]) -> Signer {
        Signer { id: id.to_owned(), key: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Signs a request as it is sent, in place of what anybody else has signed of it.
    pub(super) fn sign(&self, taken: &[HeaderName], ask: &mut Ask, now: SystemTime) {
        ask.fields.remove(SIGNATURE);
        ask.fields.remove(SIGNATURE_INPUT);
        let created = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (base, input) = self.base(taken, ask, created);
        let signature = STANDARD.encode(self.seal(&base));
        ask.own.push(SIGNATURE_INPUT.as_str(), |out| {
            out.extend_from_slice(b"forebay=");
            out.extend_from_slice(input.as_bytes());
        });
        ask.own.push(SIGNATURE.as_str(), |out| {
            for piece in ["forebay=:", &signature, ":"] {
                out.extend_from_slice(piece.as_bytes());
            }
        });
    }

    /// The signature base (RFC 9421 §2.5) and the parameters (§2.3).
    fn base(&self, taken: &[HeaderName], ask: &Ask, created: u64) -> (Vec<u8>, String) {
        let (path, query) = (ask.uri.path(), ask.uri.query().unwrap_or_default());
        let mut base = Vec::new();
        let mut names = String::new();
        let mut cover = |name: &str, value: &[u8]| {
            if !names.is_empty() {
                names.push(' ');
            }
            names = format!("{names}\"{name}\"");
            for piece in [b"\"", name.as_bytes(), b"\": ", value, b"\n"] {
                base.extend_from_slice(piece);
            }
        };
        cover("@method", ask.method.as_str().as_bytes());
        cover("@path", path.as_bytes());
        cover("@query", format!("?{query}").as_bytes());
        if let Some(host) = host(ask) {
            cover(HOST, &host);
        }
        for name in taken {
            let values = ask.fields.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
            let values: Vec<&[u8]> = values.collect();
            if !values.is_empty() {
                cover(name.as_str(), &values.join(&b", "[..]));
            }
        }
        let input =
            format!("({names});created={created};keyid=\"{}\";alg=\"hmac-sha256\"", self.id);
        base.extend_from_slice(b"\"@signature-params\": ");
        base.extend_from_slice(input.as_bytes());
        (base, input)
    }

    fn seal(&self, base: &[u8]) -> hmac::Tag {
        hmac::sign(&self.key, base)
    }
}

/// The client's host as the edge says it: in its own lines, or among the fields if the route changes any.
fn host(ask: &Ask) -> Option<Vec<u8>> {
    if let Some(host) = ask.fields.get(HOST) {
        return Some(host.as_bytes().to_vec());
    }
    let lines = ask.own.as_bytes().split(|byte| *byte == b'\n');
    let said = |line: &[u8]| {
        let value = line.strip_prefix(HOST.as_bytes())?.strip_prefix(b":")?;
        Some(value.trim_ascii().to_vec())
    };
    lines.into_iter().find_map(said)
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::exchange::OwnLines;

    fn ask(fields: &[(&'static str, &'static str)]) -> Ask {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let mut own = OwnLines::default();
        own.push(HOST, |out| out.extend_from_slice(b"shop.example"));
        Ask {
            fields: map,
            own,
            ..Ask::new(Method::GET, "/a%20b?x=1".parse().expect("a target"), "shop.example")
        }
    }

    #[test]
    fn the_example_of_the_rfc_is_signed_as_it_says() {
        // RFC 9421 §B.1.5 and §B.2.5.
        let secret = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
        let secret = STANDARD.decode(secret).expect("base64");
        let base = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\
                    \"@authority\": example.com\n\
                    \"content-type\": application/json\n\
                    \"@signature-params\": (\"date\" \"@authority\" \"content-type\")\
                    ;created=1618884473;keyid=\"test-shared-secret\"";
        let signature = Signer::new("test-shared-secret", &secret).seal(base.as_bytes());
        assert_eq!(STANDARD.encode(signature), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    }

    #[test]
    fn what_is_sent_is_what_is_covered_and_others_signatures_are_gone() {
        let signer = Signer::new("2026-a", &[b'k'; 32]);
        let fields =
            [("x-user", "ada"), ("x-groups", "a"), ("x-groups", " b "), ("signature", "x=:eA==:")];
        let mut ask = ask(&fields);
        let taken = ["x-user", "x-groups", "x-email"].map(HeaderName::from_static);
        let (base, _) = signer.base(&taken, &ask, 1_700_000_000);
        let expected = "\"@method\": GET\n\"@path\": /a%20b\n\"@query\": ?x=1\n\
                        \"x-forwarded-host\": shop.example\n\"x-user\": ada\n\"x-groups\": a, b\n\
                        \"@signature-params\": (\"@method\" \"@path\" \"@query\" \"x-forwarded-host\" \
                        \"x-user\" \"x-groups\");created=1700000000;keyid=\"2026-a\";alg=\"hmac-sha256\"";
        assert_eq!(String::from_utf8_lossy(&base), expected);
        signer.sign(&taken, &mut ask, UNIX_EPOCH);
        let own = String::from_utf8_lossy(ask.own.as_bytes()).into_owned();
        assert!(own.contains("signature-input: forebay=(\"@method\""), "{own}");
        assert!(own.contains("signature: forebay=:") && !ask.fields.contains_key(SIGNATURE));
        let other = Signer::new("2026-b", &[b'j'; 32]);
        assert_ne!(signer.seal(&base).as_ref(), other.seal(&base).as_ref());
    }
}
