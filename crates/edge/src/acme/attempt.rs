//! What is asked of an authority: an account, a certificate, and when to renew it.

use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use instant_acme::{
    Account, CertificateIdentifier, Error, ExternalAccountKey, Key, NewAccount, RenewalInfo,
};
use rustls::pki_types::Der;

use super::client::Client;
use super::item::Item;
use super::order::{self, Failure};
use super::state::{BadState, State};
use crate::config::acme::{Acme as Settings, Challenge};
use crate::edge::Edge;
use crate::listen::tls::Managed;

/// When the authority would like this certificate to be renewed, and when it may be asked again.
pub(super) async fn window(
    settings: &Settings,
    held: Option<&Managed>,
) -> Result<(RenewalInfo, Duration), Failure> {
    let identifier = held.and_then(identifier);
    let identifier = identifier.ok_or_else(|| Failure::new("it has no identifier"))?;
    let client = Client::new(settings.authorities.as_deref());
    let client = client.map_err(|bad| Failure::new(&bad.to_string()))?;
    // Everybody may ask: the key is one that only the library wants to have.
    let (_, key) = Key::generate_pkcs8()?;
    let builder = Account::builder_with_http(client.boxed());
    let account = builder.from_parts(String::new(), key, settings.directory.clone()).await?;
    Ok(account.renewal_info(&identifier).await?)
}

fn identifier(held: &Managed) -> Option<CertificateIdentifier<'static>> {
    let (key, serial) = held.identifier()?;
    let identifier = CertificateIdentifier::new(Der::from_slice(key), Der::from_slice(serial));
    Some(identifier.into_owned())
}

/// One attempt to get a certificate, kept in the folder before it is used.
pub(super) async fn attempt(
    edge: &Arc<Edge>,
    settings: &Settings,
    client: &Client,
    names: &[String],
    item: &Item,
) -> Result<Managed, Failure> {
    let account = match known_account(settings, client).await? {
        Some(account) => account,
        None => new_account(settings, client).await?,
    };
    let turn =
        usize::try_from(item.failures).unwrap_or_default() % settings.challenges.len().max(1);
    let challenge = settings.challenges.get(turn).copied().unwrap_or(Challenge::Http01);
    let replaces = item.held.as_ref().and_then(identifier);
    let pem = order::order(edge, &account, names, challenge, replaces).await?;
    let (state, names) = (State::of(settings), names.to_vec());
    let kept = aside(move || state.keep(&names, &pem)).await;
    kept.map_err(|bad| {
        let source = std::error::Error::source(&bad).map(|why| format!(": {why}"));
        Failure::new(&format!("{bad}{}", source.unwrap_or_default()))
    })
}

/// The account in the folder.
async fn known_account(settings: &Settings, client: &Client) -> Result<Option<Account>, Failure> {
    let state = State::of(settings);
    let known =
        aside(move || state.account()).await.map_err(|bad| Failure::new(&bad.to_string()))?;
    let Some(known) = known else { return Ok(None) };
    let builder = Account::builder_with_http(client.boxed());
    Ok(Some(builder.from_credentials(known.credentials).await?))
}

/// Makes an account and keeps it.
async fn new_account(settings: &Settings, client: &Client) -> Result<Account, Failure> {
    let contact: Vec<&str> = settings.contact.iter().map(String::as_str).collect();
    let wanted = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let key = |key: &str| BASE64_URL_SAFE_NO_PAD.decode(key).unwrap_or_default();
    let binding = settings
        .binding
        .as_ref()
        .map(|binding| ExternalAccountKey::new(binding.key_id.clone(), &key(&binding.key.0)));
    let builder = Account::builder_with_http(client.boxed());
    let made = builder.create(&wanted, settings.directory.clone(), binding.as_ref()).await;
    let (account, credentials) = made.map_err(|error: Error| {
        let Failure(why) = error.into();
        Failure(format!("no account: {why}"))
    })?;
    let state = State::of(settings);
    let saved = aside(move || state.save_account(credentials)).await;
    saved.map_err(|bad| Failure::new(&bad.to_string()))?;
    Ok(account)
}

/// File work, off the runtime's thread.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BadState> + Send + 'static,
) -> Result<T, BadState> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
