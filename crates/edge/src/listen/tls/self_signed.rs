//! A certificate of our own, for a demo and for tests.

use crate::config::listen::{Certificate, Secret};

/// Makes a self-signed certificate for these names; an IP address counts as one.
pub fn self_signed<N: Into<String>>(
    names: impl IntoIterator<Item = N>,
) -> Result<Certificate, rcgen::Error> {
    let names: Vec<String> = names.into_iter().map(Into::into).collect();
    let made = rcgen::generate_simple_self_signed(names)?;
    Ok(Certificate::Pem { chain: made.cert.pem(), key: Secret(made.signing_key.serialize_pem()) })
}
