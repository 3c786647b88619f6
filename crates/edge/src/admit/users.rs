//! Users with passwords (RFC 7617). To check a password takes tens of milliseconds on purpose: it is done once,
//! on a thread that serves nobody, and what was right is remembered as a digest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay_signals::clock;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;

use crate::config::users::BasicAuth;
use crate::error::{Error, ErrorKind};
use crate::identity;

/// Passwords checked at once, in the whole process: whoever guesses takes no more than this of the machine.
const AT_ONCE: usize = 2;
/// Requests that wait for such a check; more are shed.
const MOST_WAITING: usize = 64;
/// Time that one waits.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// More is no password: bcrypt looks at 72 bytes.
const MOST_BYTES: usize = 512;

/// Users of a route, and who of them has shown the right password.
#[derive(Debug)]
pub struct Users {
    settings: Arc<BasicAuth>,
    /// Digests of the credentials that were right last, one a user: bcrypt takes several for one password, and
    /// whoever knows one must not fill the memory with them.
    right: RwLock<HashMap<String, [u8; 32]>>,
    /// What the digests are made with, so that they say nothing to others.
    salt: [u8; 32],
    checks: Arc<Checks>,
}

/// The bound of all checks.
#[derive(Debug)]
pub struct Checks {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Checks {
    fn default() -> Checks {
        Checks { turns: Arc::new(Semaphore::new(AT_ONCE)), waiting: AtomicUsize::new(0) }
    }
}

/// A name and a password that have not been seen before. Not shown by `Debug`.
pub struct Credentials {
    name: String,
    password: Vec<u8>,
    digest: [u8; 32],
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

impl Users {
    /// Users of a route; `checks` is shared by all routes.
    pub fn new(settings: &Arc<BasicAuth>, checks: &Arc<Checks>) -> Users {
        Users {
            settings: Arc::clone(settings),
            right: RwLock::default(),
            salt: identity::new_id(),
            checks: Arc::clone(checks),
        }
    }

    /// Lets a request in, or says what has to be checked first.
    pub fn ask(&self, fields: &mut HeaderMap) -> Result<Option<Box<Credentials>>, Error> {
        let credentials = self.credentials(fields).ok_or_else(refused)?;
        let right = self.right.read().unwrap_or_else(PoisonError::into_inner);
        if right.get(&credentials.name) != Some(&credentials.digest) {
            return Ok(Some(Box::new(credentials)));
        }
        drop(right);
        self.let_in(fields);
        Ok(None)
    }

    /// Checks what [`Users::ask`] did not know, and lets the request in if it is right.
    pub async fn check(
        &self,
        credentials: Box<Credentials>,
        fields: &mut HeaderMap,
    ) -> Result<(), Error> {
        let busy = || Error::new(ErrorKind::Saturated, "too many passwords to check");
        let _place = Place::take(&self.checks).ok_or_else(busy)?;
        let turns = Arc::clone(&self.checks.turns);
        let turn = clock::timeout(LONGEST_WAIT, turns.acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(busy()) };
        let settings = Arc::clone(&self.settings);
        let Credentials { name, password, digest } = *credentials;
        let asked = name.clone();
        let check = tokio::task::spawn_blocking(move || {
            // The turn ends with the work, even if nobody waits for it any more.
            let _turn = turn;
            let users = &settings.users;
            // Whether there is such a user must not show in the time that it takes.
            let hash = users.hash(&asked);
            let is_right = bcrypt::verify(&password, hash.unwrap_or(users.any_hash()));
            is_right.unwrap_or(false) && hash.is_some()
        });
        let is_right = check.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "a password was not checked").because(error)
        })?;
        if !is_right {
            return Err(refused());
        }
        self.right.write().unwrap_or_else(PoisonError::into_inner).insert(name, digest);
        self.let_in(fields);
        Ok(())
    }

    /// The credentials end here, unless the settings say otherwise: what is stored is for all users.
    pub fn let_in(&self, fields: &mut HeaderMap) {
        if !self.settings.forwards {
            fields.remove(AUTHORIZATION);
        }
    }

    fn credentials(&self, fields: &HeaderMap) -> Option<Credentials> {
        let mut lines = fields.get_all(AUTHORIZATION).iter();
        let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
        let (scheme, encoded) = line.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > MOST_BYTES {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
        let colon = memchr::memchr(b':', &decoded)?;
        let (name, password) = decoded.split_at_checked(colon)?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        let password = password.get(1..)?.to_vec();
        let salted = [&self.salt[..], &decoded].concat();
        let digest = digest(&SHA256, &salted).as_ref().try_into().ok()?;
        Some(Credentials { name, password, digest })
    }
}

fn refused() -> Error {
    Error::new(ErrorKind::Unauthorized, "no right credentials")
}

/// A place among those who wait.
struct Place<'c>(&'c Checks);

impl<'c> Place<'c> {
    fn take(checks: &'c Checks) -> Option<Place<'c>> {
        let place = Place(checks);
        (checks.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_that_bcrypt_takes_for_one_are_remembered_once() {
        let long = "x".repeat(72);
        let hash = bcrypt::hash(&long, 4).expect("a hash");
        let users = crate::config::users::Users::parse(&format!("ada:{hash}\n")).expect("users");
        let settings = BasicAuth { users, realm: String::new(), forwards: false };
        let users = Users::new(&Arc::new(settings), &Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            for more in ["", "a", "b", "c"] {
                let basic = STANDARD.encode(format!("ada:{long}{more}"));
                let value = format!("Basic {basic}").parse().expect("a value");
                let mut fields = HeaderMap::from_iter([(AUTHORIZATION, value)]);
                let unknown =
                    users.ask(&mut fields).expect("well-formed").expect("not seen before");
                users.check(unknown, &mut fields).await.expect("right");
            }
        });
        assert_eq!(users.right.read().expect("nobody panics").len(), 1);
    }
}
