//! Signatures of deliveries, as the Standard Webhooks specification has them: any of its libraries checks
//! them, in any language.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::HMAC;

/// What is shared with the application. Its text never shows.
///
/// ```
/// use forebay_jobs::deliver::Secret;
/// let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
/// assert_eq!(format!("{secret:?}"), "Secret");
/// ```
///
/// Two are compared only to see whether settings have changed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// What cannot be a secret.
///
/// ```
/// use forebay_jobs::deliver::{BadSecret, Secret};
/// assert_eq!(Secret::parse("whsec_c2hvcnQ="), Err(BadSecret));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret is `whsec_` and base64 of 24 to 64 bytes")]
pub struct BadSecret;

const PREFIX: &str = "whsec_";

impl Secret {
    /// Reads one: `whsec_` and base64 of 24 to 64 random bytes.
    ///
    /// ```
    /// use forebay_jobs::deliver::Secret;
    /// assert!(Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_ok());
    /// assert!(Secret::parse("a password").is_err());
    /// ```
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(text: &str) -> Result<Secret, BadSecret> {
        let text = text.trim().strip_prefix(PREFIX).ok_or(BadSecret)?;
        let key = STANDARD.decode(text).map_err(|_| BadSecret)?;
        if !(24..=64).contains(&key.len()) {
            return Err(BadSecret);
        }
        Ok(Secret(key.into()))
    }

    /// `v1,` and the signature of `id.timestamp.content`.
    pub(super) fn sign(&self, id: &str, timestamp: i64, content: &[u8]) -> String {
        let mut signing = HMAC::new(&self.0);
        signing.update(format!("{id}.{timestamp}.").as_bytes());
        signing.update(content);
        format!("v1,{}", STANDARD.encode(signing.finalize()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_what_others_make() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let content = br#"{"test": 2432232314}"#;
        assert_eq!(
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, content),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_is_short_or_no_base64_is_refused() {
        for text in
            ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%"]
        {
            assert!(Secret::parse(text).is_err(), "{text}");
        }
    }
}
