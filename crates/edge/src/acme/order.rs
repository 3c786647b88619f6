//! One order, from the first word to the chain.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};

use crate::config::acme::Challenge;
use crate::edge::Edge;

/// How an order is looked after: authorities take seconds, and say so themselves when they are busy.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(200))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));
/// Most of what an authority says that we repeat.
const MOST_WORDS: usize = 400;

/// Why there is no certificate, in words.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

impl Failure {
    pub(super) fn new(why: &str) -> Failure {
        // It comes from outside and goes to terminals and logs.
        let fine = why.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        Failure(fine.take(MOST_WORDS).collect())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Api(problem) => {
                let detail = problem.detail.as_deref().unwrap_or("no reason given");
                let kind = problem.r#type.as_deref().unwrap_or_default();
                let kind = kind.rsplit(':').next().unwrap_or_default();
                let more = problem.subproblems.iter().map(|more| format!("; {more}"));
                Failure::new(&format!("{detail} ({kind}){}", more.collect::<String>()))
            }
            _ => Failure::new(&error.to_string()),
        }
    }
}

/// Orders a certificate for these names. Returns key and chain as PEM, in this order.
pub(super) async fn order(
    edge: &Arc<Edge>,
    account: &Account,
    names: &[String],
    how: Challenge,
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<String, Failure> {
    let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
    let mut order = place(account, &identifiers, replaces).await?;
    // They are shown until the end of the order, however it ends.
    let _shown = prove(edge, &mut order, how).await?;
    match order.poll_ready(&PATIENCE).await {
        Ok(OrderStatus::Ready) => {}
        outcome => return Err(reasons(&mut order, how, outcome.err()).await),
    }
    let key = order.finalize().await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    Ok(format!("{key}{chain}"))
}

/// Places an order. To say which certificate it replaces is a courtesy: an authority that takes offence at
/// it is asked again without.
async fn place(
    account: &Account,
    identifiers: &[Identifier],
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<Order, Failure> {
    if let Some(replaces) = replaces {
        match account.new_order(&NewOrder::new(identifiers).replaces(replaces)).await {
            Ok(order) => return Ok(order),
            Err(error) if !is_about_replacing(&error) => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(account.new_order(&NewOrder::new(identifiers)).await?)
}

fn is_about_replacing(error: &Error) -> bool {
    match error {
        Error::Api(problem) => problem
            .r#type
            .as_deref()
            .is_some_and(|kind| kind.ends_with(":alreadyReplaced") || kind.ends_with(":malformed")),
        // It answered without the word, or has no place for it.
        Error::Other(why) => why.to_string().starts_with("replaces"),
        Error::Unsupported(_) => true,
        _ => false,
    }
}

/// What is shown to the authority; hidden when it is dropped.
struct Shown {
    edge: Arc<Edge>,
    what: What,
}

enum What {
    Token(String),
    Name(String),
}

impl Drop for Shown {
    fn drop(&mut self) {
        match &self.what {
            What::Token(token) => self.edge.acme.tokens.hide(token),
            What::Name(name) => self.edge.entrance.certificates().hide_challenge(name),
        }
    }
}

/// Shows all that the authority wants to see, and tells it to look.
async fn prove(edge: &Arc<Edge>, order: &mut Order, how: Challenge) -> Result<Vec<Shown>, Failure> {
    let kind = match how {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    };
    let mut shown = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        match authorization.status {
            // Proved not long ago.
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => return Err(Failure::new(&format!("an authorization is {status:?}"))),
        }
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            let why = format!("the authority offers no {} for `{name}`", how.as_str());
            return Err(Failure::new(&why));
        };
        let text = challenge.key_authorization();
        let what = match how {
            Challenge::Http01 => {
                edge.acme.tokens.show(&challenge.token, text.as_str());
                What::Token(challenge.token.clone())
            }
            Challenge::TlsAlpn01 => {
                show_certificate(edge, &name, text.digest().as_ref())?;
                What::Name(name)
            }
        };
        shown.push(Shown { edge: Arc::clone(edge), what });
        challenge.set_ready().await?;
    }
    Ok(shown)
}

/// RFC 8737 §3: a certificate that signs itself, for this name alone, with the digest in it.
fn show_certificate(edge: &Edge, name: &str, digest: &[u8]) -> Result<(), Failure> {
    let made = || -> Result<_, rcgen::Error> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    };
    let (certificate, key) = made().map_err(|error| Failure::new(&error.to_string()))?;
    let certificates = edge.entrance.certificates();
    certificates
        .show_challenge(name, &certificate, &key)
        .map_err(|error| Failure::new(&error.to_string()))
}

/// What the authority says of an order that did not become ready.
async fn reasons(order: &mut Order, how: Challenge, error: Option<Error>) -> Failure {
    let mut authorizations = order.authorizations();
    let mut said = Vec::new();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if authorization.refresh().await.is_err() {
            break;
        }
        let problem = authorization.challenges.iter().find_map(|of| of.error.clone());
        if let Some(problem) = problem {
            let Failure(why) = Error::Api(problem).into();
            said.push(format!("{} of `{}`: {why}", how.as_str(), authorization.identifier()));
        }
    }
    match (said.is_empty(), error) {
        (false, _) => Failure::new(&said.join("; ")),
        (true, Some(error)) => error.into(),
        (true, None) => Failure::new("the authority refused the order and gave no reason"),
    }
}
