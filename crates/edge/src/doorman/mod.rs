//! The application that is asked, before a route, whether a request may come in (`[forward_auth.NAME]`).
//!
//! In: a request whose route is known. Out: a ruling, let in with fields that say whose it is, or turned away
//! with an answer; or the error that nobody could say. Rulings are remembered under all that the application
//! was told, and no longer than it says itself. Never: reading the request's content, believing a field that
//! a client sends under the name of one that is taken from a ruling, letting in because nobody answers,
//! unless the settings say so.

mod inquiry;
mod memory;
mod reserved;
mod ruling;
mod signature;
mod together;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use forebay_signals::counter::Counter;
use forebay_signals::journal::Journal;

use crate::admit::Limit;
use crate::config::forward_auth::{ForwardAuth, OnFailure};
use crate::error::{Error, ErrorKind};
use crate::exchange::{Answer, Ask, Exchange, Priority};
use crate::origin::{Origins, Upstream};
pub use inquiry::{Inquiry, is_credential};
use memory::Memory;
pub use reserved::{Reserved, strip};
pub use ruling::Ruling;
use signature::Signer;
pub use signature::{SIGNATURE, SIGNATURE_INPUT};
use together::{Missed, Place, Together};
pub use view::DoormanView;

/// After so long without one, the next failure stands in the journal.
const QUIET: Duration = Duration::from_secs(60);

/// All of them, by name.
#[derive(Debug, Default)]
pub struct Doormen(Vec<Arc<Doorman>>);

/// One, with what it has said.
#[derive(Debug)]
pub struct Doorman {
    settings: Arc<ForwardAuth>,
    upstream: Arc<Upstream>,
    signer: Option<Signer>,
    memory: Memory,
    together: Together,
    running: Arc<Running>,
}

/// What outlives a reload.
#[derive(Debug)]
struct Running {
    /// Sub-requests.
    asked: Counter,
    /// Requests that a remembered ruling did for.
    remembered: Counter,
    /// Requests that waited for another's sub-request.
    joined: Counter,
    let_in: Counter,
    turned_away: Counter,
    /// Requests that nobody could say anything of.
    failed: Counter,
    is_failing: AtomicBool,
    began: Instant,
    /// When a failure was told last, in milliseconds since then; 0 for never.
    told_at_ms: AtomicU64,
    /// Whether the failure of now was told.
    is_told: AtomicBool,
}

impl Default for Running {
    fn default() -> Running {
        Running {
            asked: Counter::default(),
            remembered: Counter::default(),
            joined: Counter::default(),
            let_in: Counter::default(),
            turned_away: Counter::default(),
            failed: Counter::default(),
            is_failing: AtomicBool::new(false),
            began: clock::now(),
            told_at_ms: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
        }
    }
}

impl Doormen {
    /// Those of new settings. Counts go on; what was said is forgotten, so that a reload puts a change of
    /// rights in force.
    pub fn new(
        settings: &[Arc<ForwardAuth>],
        origins: &Origins,
        before: Option<&Doormen>,
    ) -> Doormen {
        let one = |settings: &Arc<ForwardAuth>| {
            // The settings are checked: its origin is there.
            let upstream = origins.find(&settings.origin)?;
            let known = before.and_then(|before| before.find(&settings.name));
            let signing = settings.keys.as_ref().and_then(|keys| keys.signing());
            Some(Arc::new(Doorman {
                settings: Arc::clone(settings),
                upstream,
                signer: signing.map(|(id, secret)| Signer::new(id, secret)),
                memory: Memory::new(),
                together: Together::default(),
                running: known.map(|known| Arc::clone(&known.running)).unwrap_or_default(),
            }))
        };
        Doormen(settings.iter().filter_map(one).collect())
    }

    /// One by its name.
    pub fn find(&self, name: &str) -> Option<&Arc<Doorman>> {
        self.0.iter().find(|doorman| doorman.settings.name == name)
    }
}

impl Doorman {
    /// What is remembered of such a request, or what has to be asked first.
    pub fn knows(&self, exchange: &Exchange) -> Result<Arc<Ruling>, Box<Inquiry>> {
        let inquiry = Inquiry::of(&self.settings, self.memory.salt(), exchange);
        let known = self.memory.get(&inquiry.digest, clock::now());
        let known = known.ok_or_else(|| Box::new(inquiry))?;
        self.running.remembered.increment();
        Ok(known)
    }

    /// The sub-request for a question; `trace` is its place in the trace.
    pub fn question(&self, inquiry: &Inquiry, exchange: &Exchange, trace: &[u8; 55]) -> Ask {
        inquiry.ask(&self.settings, exchange, trace)
    }

    /// Asks, or waits for what somebody else has asked for the same. Without a ruling the settings let such
    /// requests in as nobody's, or it is an error. `seat` is kept as long as anything is done for it, even after its
    /// client has left.
    pub async fn ask(
        self: &Arc<Self>,
        inquiry: Inquiry,
        ask: Ask,
        seat: Limit,
        journal: &Journal,
    ) -> Result<Arc<Ruling>, Error> {
        // The same for who asks and who waits.
        let timeout = self.settings.timeout;
        let ruling = clock::timeout(timeout, self.find_out(inquiry, ask, seat)).await;
        let late = || Error::new(ErrorKind::OriginTimeout, "forward_auth took too long");
        let ruling = ruling.unwrap_or_else(|_| Err(late()));
        match &ruling {
            Ok(_) => self.is_well(journal),
            Err(error) => self.fails(error, journal),
        }
        match (ruling, self.settings.on_failure) {
            (Ok(ruling), _) => Ok(ruling),
            (Err(_), OnFailure::LetIn) => Ok(Arc::new(Ruling::nobody())),
            (Err(error), OnFailure::Refuse) => {
                let detail = "nobody can say whether the request may come in";
                Err(Error::new(ErrorKind::Unverified, detail).because(error))
            }
        }
    }

    /// Takes what a ruling says into the request, or says what to answer.
    pub fn apply(&self, ruling: &Ruling, exchange: &mut Exchange) -> Option<Answer> {
        let answer = ruling.answer();
        match &answer {
            None => self.running.let_in.increment(),
            Some(_) => self.running.turned_away.increment(),
        }
        ruling.give(&mut exchange.head.fields);
        answer
    }

    /// Signs what the origin is shown of a ruling.
    pub fn sign(&self, ask: &mut Ask) {
        if let Some(signer) = &self.signer {
            signer.sign(&self.settings.take, ask, clock::wall());
        }
    }

    /// The settings.
    pub fn settings(&self) -> &ForwardAuth {
        &self.settings
    }

    async fn find_out(
        self: &Arc<Self>,
        inquiry: Inquiry,
        ask: Ask,
        seat: Limit,
    ) -> Result<Arc<Ruling>, Error> {
        let place = match self.together.join(&inquiry.digest) {
            Place::Alone => return self.send(&inquiry, ask).await,
            Place::Leads(lead) => lead,
            Place::Follows(follower) => match follower.ruling().await {
                Ok(ruling) => {
                    self.running.joined.increment();
                    return Ok(ruling);
                }
                Err(Missed::Failed(kind, detail)) => return Err(Error::new(kind, detail)),
                // It was for whoever asked.
                Err(Missed::NotShared) => {
                    return self.send(&inquiry, ask).await;
                }
            },
        };
        // Who asked before may have been told between the look-up and now.
        if let Some(known) = self.memory.get(&inquiry.digest, clock::now()) {
            place.tell(Ok(Arc::clone(&known)));
            return Ok(known);
        }
        let doorman = Arc::clone(self);
        // A task of its own: a client that leaves takes nothing from those who wait for the same.
        let asking = tokio::spawn(async move {
            let timeout = doorman.settings.timeout;
            let sent = clock::timeout(timeout, doorman.send(&inquiry, ask)).await;
            let late = || Error::new(ErrorKind::OriginTimeout, "forward_auth took too long");
            let sent = sent.unwrap_or_else(|_| Err(late()));
            drop(seat);
            place.tell(match &sent {
                Ok(ruling) if ruling.is_shared() => Ok(Arc::clone(ruling)),
                Ok(_) => Err(Missed::NotShared),
                Err(error) => Err(Missed::Failed(error.kind(), error.detail())),
            });
            sent
        });
        asking.await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Internal, "a ruling was not brought").because(error))
        })
    }

    /// One sub-request. What may be used again is remembered before anybody hears of it.
    async fn send(&self, inquiry: &Inquiry, ask: Ask) -> Result<Arc<Ruling>, Error> {
        self.upstream.admits(Priority::Known)?;
        self.running.asked.increment();
        let asked = clock::now();
        let answer = self.upstream.fetch(ask).await?;
        let ruling = Ruling::read(&self.settings, inquiry.has_credentials, asked, answer).await?;
        if ruling.lets_in() {
            self.together.note(ruling.is_shared());
        }
        let ruling = Arc::new(ruling);
        if let Some(until) = ruling.until() {
            self.memory.put(inquiry.digest, &ruling, until);
        }
        Ok(ruling)
    }

    fn is_well(&self, journal: &Journal) {
        let running = &self.running;
        if running.is_failing.swap(false, Ordering::Relaxed)
            && running.is_told.swap(false, Ordering::Relaxed)
        {
            journal.write("admit", format!("forward_auth `{}` answers again", self.settings.name));
        }
    }

    fn fails(&self, error: &Error, journal: &Journal) {
        let running = &self.running;
        running.failed.increment();
        running.is_failing.store(true, Ordering::Relaxed);
        if running.is_told.load(Ordering::Relaxed) {
            return;
        }
        // One that fails now and then must not fill the journal.
        let since = clock::now().saturating_duration_since(running.began);
        let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
        let told_ms = running.told_at_ms.load(Ordering::Relaxed);
        let quiet_ms = u64::try_from(QUIET.as_millis()).unwrap_or(u64::MAX);
        let is_due = told_ms == 0 || now_ms.saturating_sub(told_ms) >= quiet_ms;
        if is_due && !running.is_told.swap(true, Ordering::Relaxed) {
            running.told_at_ms.store(now_ms, Ordering::Relaxed);
            let does = match self.settings.on_failure {
                OnFailure::Refuse => "requests are refused",
                OnFailure::LetIn => "requests are let in as nobody's",
            };
            let name = &self.settings.name;
            journal.write("admit", format!("forward_auth `{name}` fails, {does}: {error}"));
        }
    }
}
