//! Certificates that come from an authority while we run, and those that answer its challenges.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::der::{Fields, OCTET_STRING, SEQUENCE, inside};
use super::load;
use super::table::Entry;
use super::{ALPN_ACME, CertificateError};
use crate::config::listen::Certificate;

/// Tags of the extensions of a certificate, and of the key identifier within one of them.
const EXTENSIONS: u8 = 0xa3;
const KEY_IDENTIFIER: u8 = 0x80;
const OBJECT_IDENTIFIER: u8 = 0x06;
const BOOLEAN: u8 = 0x01;
/// Optional fields between the subject's key and the extensions.
const UNIQUE_IDS: [u8; 2] = [0xa1, 0xa2];
/// 2.5.29.35, the authority key identifier (RFC 5280 §4.2.1.1).
const AUTHORITY_KEY_IDENTIFIER: &[u8] = &[0x55, 0x1d, 0x23];

/// A certificate that is loaded and may be put in force.
#[derive(Debug, Clone)]
pub struct Managed(pub(super) Arc<Entry>);

impl Managed {
    /// Loads chain and key. It is called `name` if it is for that one among others: authorities put names
    /// into an order of their own.
    pub fn load(certificate: &Certificate, name: &str) -> Result<Managed, CertificateError> {
        let provider = aws_lc_rs::default_provider();
        let mut entry = load::one(certificate, &provider, &HashMap::new())?;
        if let Some(entry) = Arc::get_mut(&mut entry)
            && let Some(at) = entry.names.iter().position(|known| **known == *name)
        {
            entry.names.swap(0, at);
        }
        Ok(Managed(entry))
    }

    /// True if it speaks for all of these names.
    pub fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.0.covers(name))
    }

    /// True if it was made of the same bytes.
    pub fn is(&self, other: &Managed) -> bool {
        self.0.source == other.0.source
    }

    /// When it begins and ends.
    pub fn lifetime(&self) -> Option<(SystemTime, SystemTime)> {
        self.0.lifetime.map(|lifetime| (lifetime.begins, lifetime.ends))
    }

    /// What its authority knows it by (RFC 9773 §4.1): the authority's key identifier, and the serial number.
    pub fn identifier(&self) -> Option<(&[u8], &[u8])> {
        identifier(self.0.key.cert.first()?)
    }
}

fn identifier(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let fields = Fields::of(certificate)?;
    let (_subject, rest) = inside(fields.rest, SEQUENCE)?;
    let (_key, mut rest) = inside(rest, SEQUENCE)?;
    for tag in UNIQUE_IDS {
        rest = inside(rest, tag).map_or(rest, |(_, rest)| rest);
    }
    let (extensions, _) = inside(rest, EXTENSIONS)?;
    let (mut extensions, _) = inside(extensions, SEQUENCE)?;
    while let Some((extension, rest)) = inside(extensions, SEQUENCE) {
        extensions = rest;
        let (name, value) = inside(extension, OBJECT_IDENTIFIER)?;
        if name != AUTHORITY_KEY_IDENTIFIER {
            continue;
        }
        let value = inside(value, BOOLEAN).map_or(value, |(_, value)| value);
        let (value, _) = inside(value, OCTET_STRING)?;
        let (value, _) = inside(value, SEQUENCE)?;
        let (key_identifier, _) = inside(value, KEY_IDENTIFIER)?;
        return Some((key_identifier, fields.serial));
    }
    None
}

/// RFC 8737 §3: an authority that looks for a challenge offers this protocol and no other.
pub(super) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    let Some(mut offered) = hello.alpn() else { return false };
    offered.next() == Some(ALPN_ACME) && offered.next().is_none()
}

/// Certificates that prove to an authority that a name is ours (RFC 8737), by name. Nobody else sees them.
#[derive(Debug, Default)]
pub(super) struct Challenges {
    shown: ArcSwap<HashMap<Box<str>, Arc<CertifiedKey>>>,
    writing: Mutex<()>,
}

impl Challenges {
    pub(super) fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.shown.load().get(name.to_ascii_lowercase().as_str()).cloned()
    }

    pub(super) fn show(
        &self,
        name: &str,
        certificate: &rcgen::Certificate,
        key: &rcgen::KeyPair,
    ) -> Result<(), CertificateError> {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).map_err(CertificateError::provider)?;
        let key = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key));
        self.change(|shown| drop(shown.insert(name.into(), Arc::clone(&key))));
        Ok(())
    }

    pub(super) fn hide(&self, name: &str) {
        self.change(|shown| drop(shown.remove(name)));
    }

    fn change(&self, change: impl Fn(&mut HashMap<Box<str>, Arc<CertifiedKey>>)) {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = HashMap::clone(&self.shown.load());
        change(&mut next);
        self.shown.store(Arc::new(next));
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair, SerialNumber,
    };

    use super::*;

    /// By an authority with the key identifier of the example in RFC 9773 §4.1.
    fn issued(says_who: bool) -> Vec<u8> {
        const KEY: [u8; 20] = [
            0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0,
            0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4,
        ];
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_identifier_method = KeyIdMethod::PreSpecified(KEY.to_vec());
        let issuer = Issuer::new(authority, KeyPair::generate().expect("a key"));
        let mut params = CertificateParams::new(["a.example".to_owned()]).expect("names");
        params.serial_number = Some(SerialNumber::from(vec![0x87, 0x65, 0x43, 0x21]));
        params.use_authority_key_identifier_extension = says_who;
        let key = KeyPair::generate().expect("a key");
        params.signed_by(&key, &issuer).expect("made").der().to_vec()
    }

    #[test]
    fn an_identifier_is_that_of_the_rfc() {
        use instant_acme::CertificateIdentifier;
        use rustls::pki_types::Der;
        let certificate = issued(true);
        let (key, serial) = identifier(&certificate).expect("it has one");
        let identifier = CertificateIdentifier::new(Der::from_slice(key), Der::from_slice(serial));
        assert_eq!(identifier.to_string(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        assert_eq!(super::identifier(&issued(false)), None);
    }

    #[test]
    fn what_is_no_certificate_has_no_identifier_and_makes_no_panic() {
        let whole = issued(true);
        for length in 0..whole.len() {
            identifier(&whole[..length]);
        }
        for at in 0..whole.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                identifier(&bytes);
            }
        }
    }
}
