//! Who keeps certificates good: looks what is due, orders it, and says when to look again.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use forebay_signals::clock;
use forebay_signals::drain::Drain;

use super::Acme;
use super::attempt::{aside, attempt, window};
use super::client::Client;
use super::item::{Item, standing};
use super::order::Failure;
use super::state::{BadState, Pause, State};
use super::timing::{self, Window};
use crate::config::acme::Acme as Settings;
use crate::edge::Edge;
use crate::listen::tls::Managed;

/// Longest time between two looks: wall clocks jump and machines sleep.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// The same while another process has the folder: it may have renewed, or gone.
const FOLLOW_EVERY: Duration = Duration::from_secs(30);
/// Time of one attempt, from the account to the chain.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(300);
/// Until an authority is asked again that could not, or does not, say when to renew.
const ASK_LATER: Duration = Duration::from_secs(6 * 3600);

/// Looks after the certificates until the process drains or goes.
pub async fn tend(edge: Arc<Edge>, gone: Drain) {
    let mut keeper = Keeper::default();
    let work = async {
        loop {
            let pause = keeper.look(&edge).await;
            tokio::select! {
                () = clock::sleep(pause) => {}
                () = edge.acme.changed.notified() => keeper.forgive(),
            }
        }
    };
    // Whatever is under way is given up: the folder is needed by whoever comes after us.
    tokio::select! {
        () = work => {}
        () = gone.begun() => {}
        () = edge.drain.begun() => {}
    }
}

#[derive(Default)]
struct Keeper {
    settings: Option<Settings>,
    /// Held while the folder is ours.
    lock: Option<File>,
    items: HashMap<String, Item>,
    /// Failures in a row, of whatever certificates.
    unlucky: u32,
    /// Nothing is ordered before this, however many certificates are due.
    quiet_until: Option<Instant>,
    /// What was said last of a folder that cannot be used.
    told: String,
}

impl Keeper {
    /// Does what is due and returns when to look again.
    async fn look(&mut self, edge: &Arc<Edge>) -> Duration {
        let settings = edge.snapshot().config.acme.clone();
        if self.settings.as_ref().map(State::of) != settings.as_ref().map(State::of) {
            // Another folder, or none.
            *self = Keeper::default();
        }
        self.settings.clone_from(&settings);
        let Some(settings) = settings else {
            self.show(&edge.acme);
            return LOOK_EVERY;
        };
        let is_ours = match self.take_folder(edge, &settings).await {
            Ok(is_ours) => is_ours,
            Err(bad) => {
                self.complain(edge, &bad);
                return LOOK_EVERY;
            }
        };
        if is_ours {
            for names in &settings.certificates {
                self.keep(edge, &settings, names).await;
            }
        }
        self.show(&edge.acme);
        if is_ours { self.next_look(&settings) } else { FOLLOW_EVERY }
    }

    /// After a reload nothing waits but what the authority itself told to wait.
    fn forgive(&mut self) {
        (self.unlucky, self.quiet_until) = (0, None);
        for item in self.items.values_mut() {
            item.next_attempt = item.told_until;
        }
    }

    fn quiet_for(&self) -> Duration {
        self.quiet_until.map(|at| at.saturating_duration_since(clock::now())).unwrap_or_default()
    }

    fn next_look(&self, settings: &Settings) -> Duration {
        let next = settings.certificates.iter().filter_map(|names| {
            let item = self.items.get(names.first()?)?;
            let due = item.due_in(names);
            // One that waits for the silence alone is not asked about meanwhile.
            Some(if due.is_zero() {
                self.quiet_for()
            } else {
                due.max(self.quiet_for()).min(item.ask_in())
            })
        });
        next.min().unwrap_or(LOOK_EVERY).clamp(Duration::from_secs(1), LOOK_EVERY)
    }

    /// Takes the folder if nobody has it, and what is in it. True if it is ours.
    async fn take_folder(
        &mut self,
        edge: &Arc<Edge>,
        settings: &Settings,
    ) -> Result<bool, BadState> {
        let (state, wanted) = (State::of(settings), settings.clone());
        let mut lock = self.lock.take();
        let (lock, found, pauses) = aside(move || {
            if lock.is_none() {
                state.make()?;
                lock = state.lock()?;
            }
            let names = wanted.certificates.iter().filter_map(|names| names.first());
            let pauses = names.map(|name| state.pause(name)).collect::<Result<Vec<_>, _>>()?;
            Ok((lock, state.certificates(&wanted)?, pauses))
        })
        .await?;
        self.lock = lock;
        let names = settings.certificates.iter().filter_map(|names| names.first());
        let mut items = HashMap::new();
        for ((name, held), pause) in names.zip(found).zip(pauses) {
            let known = self.items.remove(name);
            let is_new = known.is_none();
            let mut item = known.unwrap_or_else(Item::new);
            item.takes(held);
            let pause = pause.filter(|pause| pause.asked == asked(settings, name));
            if let (true, Some(pause)) = (is_new, pause) {
                item.goes_on(pause);
            }
            if !self.told.is_empty() {
                (item.failures, item.failure) = (0, None);
            }
            items.insert(name.clone(), item);
        }
        self.items = items;
        self.told.clear();
        self.put(edge, settings);
        Ok(self.lock.is_some())
    }

    /// Puts all that are there in force.
    fn put(&self, edge: &Edge, settings: &Settings) {
        let items = settings.certificates.iter().filter_map(|names| self.items.get(names.first()?));
        let held: Vec<Managed> = items.filter_map(|item| item.held.clone()).collect();
        edge.entrance.certificates().put(&held);
    }

    fn complain(&mut self, edge: &Edge, bad: &BadState) {
        let source = std::error::Error::source(bad).map(|why| format!(": {why}"));
        let text = format!("{bad}{}; no certificate is ordered", source.unwrap_or_default());
        if self.told != text {
            tracing::error!(why = text, "certificates cannot be kept");
            edge.journal.write("acme", text.as_str());
        }
        for item in self.items.values_mut() {
            item.failures = item.failures.saturating_add(1);
            item.failure = Some(text.clone());
        }
        self.told = text;
        self.show(&edge.acme);
    }

    async fn keep(&mut self, edge: &Arc<Edge>, settings: &Settings, names: &[String]) {
        let quiet = self.quiet_for();
        let Some((name, item)) = names.first().and_then(|n| Some((n, self.items.get_mut(n)?)))
        else {
            return;
        };
        if !item.due_in(names).is_zero() && item.ask_in().is_zero() {
            ask_when(settings, item).await;
        }
        if !item.due_in(names).is_zero() || !quiet.is_zero() {
            return;
        }
        let client = Client::new(settings.authorities.as_deref());
        let outcome = match &client {
            Ok(client) => {
                let attempt = attempt(edge, settings, client, names, item);
                let late = || Failure::new("the order took too long");
                clock::timeout(ATTEMPT_TIMEOUT, attempt).await.unwrap_or_else(|_| Err(late()))
            }
            Err(bad) => Err(Failure::new(&format!("{bad}; {}", bad.hint()))),
        };
        match outcome {
            Ok(held) => {
                let word = if item.held.is_some() { "renewed" } else { "issued" };
                item.succeeded(held);
                edge.acme.issued.increment();
                edge.journal.write("acme", format!("certificate of `{name}` {word}"));
                (self.unlucky, self.quiet_until) = (0, None);
                self.put(edge, settings);
            }
            Err(Failure(why)) => {
                let told = client.ok().and_then(|client| client.told());
                let pause = item.failed(why, told);
                edge.acme.failed.increment();
                let (failures, why) = (item.failures, item.failure.as_deref());
                tracing::warn!(name, failures, why, "no certificate from the authority");
                let sentence = standing(names, item).sentence().unwrap_or_default();
                let minutes = pause.as_secs().div_ceil(60);
                edge.journal.write("acme", format!("{sentence}; next attempt in {minutes} min"));
                self.unlucky = self.unlucky.saturating_add(1);
                self.quiet_until = Some(clock::now() + timing::silence(self.unlucky));
            }
        }
        self.remember(settings, name).await;
        self.show(&edge.acme);
    }

    /// Keeps what is known of failures, for the process that comes after this one.
    async fn remember(&self, settings: &Settings, name: &str) {
        let pause = self.items.get(name).and_then(Item::pause);
        let pause = pause.map(|pause| Pause { asked: asked(settings, name), ..pause });
        let (state, of) = (State::of(settings), name.to_owned());
        if let Err(bad) = aside(move || state.keep_pause(&of, pause.as_ref())).await {
            // Without it the next process asks once too often.
            tracing::warn!(name, why = %bad, "a failed attempt is not remembered");
        }
    }

    fn show(&self, acme: &Acme) {
        let all = self.settings.iter().flat_map(|settings| &settings.certificates);
        let all = all.filter_map(|names| Some(standing(names, self.items.get(names.first()?)?)));
        *acme.standing.lock().unwrap_or_else(PoisonError::into_inner) = all.collect();
    }
}

/// What is asked for under a name, and how.
fn asked(settings: &Settings, name: &str) -> String {
    let names =
        settings.certificates.iter().find(|names| names.first().is_some_and(|it| it == name));
    let account = settings.binding.as_ref().map(|binding| &binding.key_id);
    format!("{names:?} {:?} {account:?}", settings.challenges)
}

/// Asks the authority when the certificate should be renewed (RFC 9773). Until it says so, and if it does
/// not, two thirds of the life count.
async fn ask_when(settings: &Settings, item: &mut Item) {
    let asked = clock::timeout(ATTEMPT_TIMEOUT, window(settings, item.held.as_ref())).await;
    let pause = match asked {
        Ok(Ok((info, told))) => {
            let (start, end) =
                (info.suggested_window.start.into(), info.suggested_window.end.into());
            let window = Window { start, end };
            if end > start {
                item.window = Some(window);
            }
            timing::next_question(told)
        }
        Ok(Err(Failure(why))) => {
            tracing::debug!(why, "the authority does not say when to renew");
            ASK_LATER
        }
        Err(_) => ASK_LATER,
    };
    item.ask_at = Some(clock::now() + pause);
}
