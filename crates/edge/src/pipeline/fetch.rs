//! The task of a fill: it asks the origin for everybody who waits, and stores what may be stored.

use std::sync::Arc;
use std::time::Duration;

use forebay_signals::clock;
use http::header::{AGE, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::early::{self, Goal};
use super::for_ever;
use super::held::Held;
use super::pass::{self, How};
use super::pour::{hand_over, pour};
use super::question::Cacheable;
use super::sendfile;
use super::stored;
use crate::cache::fill::{FillLead, Keep};
use crate::cache::lookup::Stored;
use crate::cache::rules::conditional::strip_conditions;
use crate::cache::rules::directives::RequestDirectives;
use crate::cache::rules::freshen::freshen;
use crate::cache::rules::targeted::SURROGATE_CONTROL;
use crate::cache::rules::{
    AnswerView, Arrival, Failure, Freshness, Grant, Refusal, RequestView, Rule, may_store, vary,
};
use crate::cache::store::{Object, Parts, Ticket};
use crate::cache::{Born, Head, tags};
use crate::compress::encoded_fields;
use crate::config::cache::Visibility;
use crate::edge::{Edge, Site};
use crate::error::Error;
use crate::exchange::{Answer, Ask, Encoding, Exchange};

/// For how long a key whose answer could not be shared makes nobody wait (hit-for-miss).
pub(super) const PASS_FOR: Duration = Duration::from_secs(30);

/// What lies in the place that an answer would take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaces {
    Nothing,
    Good,
}

/// The task that asks the origin for everybody.
pub(super) struct Fill {
    pub(super) edge: Arc<Edge>,
    pub(super) site: Arc<Site>,
    pub(super) key: Vec<u8>,
    /// What the origin is shown of the client's request: what the rules judge by.
    pub(super) shown: HeaderMap,
    /// `no-store` of the client, whose directives an origin under a policy is not shown.
    forbids_storing: bool,
    /// The route and the path mean an answer that never changes.
    is_for_ever: bool,
    pub(super) held: Held,
    pub(super) ticket: Ticket,
    /// Whether clients are shown the tags of the answer.
    pub(super) tags: Visibility,
}

impl Fill {
    pub(super) fn new(
        edge: &Arc<Edge>,
        site: &Arc<Site>,
        question: &Cacheable,
        exchange: &Exchange,
        held: Held,
    ) -> Fill {
        let head = &exchange.head;
        Fill {
            edge: Arc::clone(edge),
            site: Arc::clone(site),
            key: question.key.clone(),
            shown: site.shown(&head.fields),
            forbids_storing: RequestDirectives::of(&head.fields).no_store,
            is_for_ever: for_ever::is_meant(site.policy(), head.uri.path()),
            held,
            // Before the origin is asked: what is purged from here on is not stored by us.
            ticket: edge.cache.memory.ticket(),
            tags: edge.current().config.cache.tags,
        }
    }

    /// The question for the origin, for everybody who waits.
    pub(super) fn ask(&self, exchange: &Exchange, goal: Goal, how: How) -> Ask {
        let mut ask = pass::ask(&self.edge, &self.site, exchange, goal, how);
        ask.method = Method::GET;
        self.held.ask(&mut ask.fields);
        pass::finish(&self.site, exchange, &mut ask);
        ask
    }

    pub(super) async fn run(mut self, ask: Ask, lead: FillLead<Head>) {
        let mut arrival =
            Arrival { asked: clock::now(), answered: clock::now(), wall: clock::wall() };
        // When all who waited have left, the fill goes on until the answer's head says what it is worth: whoever
        // left may come again, others will, and an application seldom notices that nobody waits. To give up
        // would free our place and not its worker, and let the next request in on top of the work for this one.
        // It holds one place a key, and no longer than the origin's deadlines; what its head then forbids to
        // store is given up at once. So do Varnish and nginx. An answer that may not be stored whatever its
        // head says is another matter: that work is for nobody.
        let fetched = tokio::select! {
            fetched = self.fetch(ask) => fetched,
            () = lead.unread(), if self.forbids_storing => return,
        };
        arrival.answered = clock::now();
        arrival.wall = clock::wall();
        let (answer, confirmed) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => {
                // Those who wait are told the kind alone: here its source is known last.
                let source = std::error::Error::source(&error).map(ToString::to_string);
                tracing::debug!(%error, source, "fill failed");
                return lead.fail(&error);
            }
        };
        if let Some(object) = confirmed {
            return self.confirmed(lead, &object, &answer, &arrival);
        }
        self.answered(lead, answer, &arrival).await;
    }

    /// What was asked for has come, and is not what is held.
    pub(super) async fn answered(
        mut self,
        lead: FillLead<Head>,
        answer: Answer,
        arrival: &Arrival,
    ) {
        match std::mem::replace(&mut self.held, Held::Nothing).answer() {
            Some(held) => {
                if let Some(rule) = self.bridging_rule(&held, answer.status) {
                    return self.bridge(lead, &held, rule, answer.status);
                }
                let is_good = !held.object.status().is_server_error();
                let replaces = if is_good { Replaces::Good } else { Replaces::Nothing };
                self.arrived(lead, answer, arrival, replaces).await;
            }
            None => self.arrived(lead, answer, arrival, Replaces::Nothing).await,
        }
    }

    /// Asks; once more without conditions, if a 304 confirms something else than what we hold.
    async fn fetch(&mut self, ask: Ask) -> Result<(Answer, Option<Arc<Object>>), Error> {
        let upstream = Arc::clone(pass::upstream(&self.site)?);
        let is_conditional = !matches!(self.held, Held::Nothing);
        let plain = is_conditional.then(|| unconditional(&ask));
        let answer = sendfile::in_place(&self.site, upstream.fetch(ask).await?, None).await?;
        let Some(plain) = plain.filter(|_| answer.status == StatusCode::NOT_MODIFIED) else {
            return Ok((answer, None));
        };
        let confirmed = self.held.confirmed_by(&answer.fields);
        if confirmed.is_some() {
            return Ok((answer, confirmed));
        }
        self.held = Held::Nothing;
        let answer = upstream.fetch(plain).await?;
        Ok((sendfile::in_place(&self.site, answer, None).await?, None))
    }

    /// A failing origin that answers with an error, while what is held may be used on errors.
    fn bridging_rule(&self, held: &Stored, status: StatusCode) -> Option<Rule> {
        // RFC 5861 §4.
        if !matches!(status.as_u16(), 500 | 502 | 503 | 504) {
            return None;
        }
        stored::may_bridge(&self.edge, held, Failure::ServerError).ok()
    }

    /// Serves what is held in place of the origin's error.
    fn bridge(&self, lead: FillLead<Head>, held: &Stored, rule: Rule, status: StatusCode) {
        let object = Arc::clone(&held.object);
        let head = Head::Stored { object, rule: Some(rule), status, ticket: self.ticket };
        hand_over(lead, head, Keep::Share);
    }

    /// RFC 9111 §4.3.4: what is held is as good as new.
    pub(super) fn confirmed(
        &self,
        lead: FillLead<Head>,
        held: &Arc<Object>,
        answer: &Answer,
        arrival: &Arrival,
    ) {
        let memory = &self.edge.cache.memory;
        let mut fields = freshen(&held.fields(), &answer.fields);
        let status = held.status();
        let request = RequestView { method: &Method::GET, fields: &self.shown };
        let seen = AnswerView { status, fields: &fields };
        let granted = self.granted(may_store(request, seen, self.site.policy(), arrival));
        let stored_at = self.edge.cache.ms(arrival.answered);
        let mut keep = Keep::Own;
        let object = match granted {
            Ok(grant) => {
                if grant.freshness.is_usable_on_arrival() {
                    keep = Keep::Share;
                }
                clean(&mut fields, &grant);
                self.keep_links(status, &fields, Some(&grant));
                self.edge.compressor().note_variants(status, &mut fields);
                let fresh = self.renewed(held, &fields, stored_at, grant.freshness);
                let fresh = fresh.and_then(|object| self.insert(object, &grant));
                if let Some(fresh) = &fresh {
                    self.carry_encodings(held, fresh);
                }
                fresh
            }
            // It was confirmed for one user: others ask for themselves.
            Err(refusal) if refusal.is_of_request() => None,
            Err(_) => {
                // It says now that it must not be kept: this once it answers, and no more.
                memory.remove(&self.key);
                None
            }
        };
        let object = object.or_else(|| {
            let unstored = self.renewed(held, &fields, stored_at, held.freshness());
            unstored.map(Arc::new)
        });
        let object = object.unwrap_or_else(|| Arc::clone(held));
        let (status, ticket) = (StatusCode::NOT_MODIFIED, self.ticket);
        let head = Head::Stored { object, rule: None, status, ticket };
        hand_over(lead, head, keep);
    }

    /// What is held, with the fields of now, as the answer to this request: it may have been stored for
    /// another that differs in what `Vary` names.
    fn renewed(
        &self,
        held: &Object,
        fields: &HeaderMap,
        stored_at_ms: u64,
        freshness: Freshness,
    ) -> Option<Object> {
        let names = vary::names(fields).unwrap_or_default();
        let mut secondary = Vec::new();
        vary::secondary_key(&names, &self.shown, self.site.policy(), &mut secondary);
        if secondary == held.secondary() {
            return held.with_fields(fields, stored_at_ms, freshness).ok();
        }
        let renewed = Object::build(&Parts {
            key: &self.key,
            secondary: &secondary,
            status: held.status(),
            encoding: Encoding::Identity,
            stored_at_ms,
            freshness,
            fields,
            tags: self.tags,
            body: &[held.body()],
        });
        renewed.ok()
    }

    pub(super) fn granted(&self, granted: Result<Grant, Refusal>) -> Result<Grant, Refusal> {
        if self.forbids_storing { Err(Refusal::RequestNoStore) } else { granted }
    }

    /// What was made of the old object is as good for the new one.
    fn carry_encodings(&self, old: &Arc<Object>, new: &Arc<Object>) {
        let memory = &self.edge.cache.memory;
        for encoding in old.encodings() {
            let Some(encoded) = memory.encoded(old, encoding) else { continue };
            let fields = encoded_fields(&new.fields(), encoding);
            let carried = encoded.with_fields(&fields, new.stored_at_ms(), new.freshness());
            if let Ok(carried) = carried
                && let Err(refused) = memory.insert_encoded(new, carried)
            {
                tracing::debug!(%refused, "encoding not carried over");
            }
        }
    }

    /// A whole answer: it streams to everybody who may have it, and into the store.
    async fn arrived(
        &self,
        mut lead: FillLead<Head>,
        answer: Answer,
        arrival: &Arrival,
        replaces: Replaces,
    ) {
        let Answer { status, mut fields, body, .. } = answer;
        let seen = AnswerView { status, fields: &fields };
        let granted = self.judge(seen, arrival, replaces);
        let keep = self.keep(granted.as_ref().map_err(|refusal| *refusal), seen, replaces);
        if let (Ok(grant), StatusCode::OK, true) = (&granted, status, self.is_for_ever) {
            for_ever::say(&mut fields, grant);
        }
        let stored_fields = granted.as_ref().ok().map(|grant| {
            self.edge.compressor().note_variants(status, &mut fields);
            let mut kept = fields.clone();
            clean(&mut kept, grant);
            kept
        });
        self.keep_links(status, stored_fields.as_ref().unwrap_or(&fields), granted.as_ref().ok());
        let names = granted.as_ref().map(|grant| grant.vary.clone()).unwrap_or_default();
        let mut secondary = Vec::new();
        vary::secondary_key(&names, &self.shown, self.site.policy(), &mut secondary);
        let stored_at_ms = self.edge.cache.ms(arrival.answered);
        let grant = granted.as_ref().map(|grant| (grant.freshness, stored_at_ms));
        let personal = granted.as_ref().map(|grant| grant.stripped.clone()).unwrap_or_default();
        let born = Box::new(self.born(&mut fields));
        let head = Arc::new(Head::Arriving {
            status,
            fields,
            grant: grant.map_err(|refusal| *refusal),
            personal,
            names,
            secondary: secondary.clone(),
            born,
            branches: Box::default(),
        });
        let length = http_body::Body::size_hint(&body).exact();
        let kept = lead.head(Arc::clone(&head), keep, length);
        if keep != kept {
            // Too large to be stored: the next need not wait to learn that.
            self.mark_pass(Refusal::TooLarge);
        }
        let Some(trailers) = pour(body, &mut lead).await else { return };
        let store = |pieces: &[bytes::Bytes]| {
            let (Ok(grant), Some(fields)) = (&granted, &stored_fields) else { return None };
            let object = Object::build(&Parts {
                key: &self.key,
                secondary: &secondary,
                status,
                encoding: Encoding::Identity,
                stored_at_ms,
                freshness: grant.freshness,
                fields,
                tags: self.tags,
                body: pieces,
            });
            let stored = object.ok().and_then(|object| self.insert(object, grant))?;
            let body = stored.body();
            if let Head::Arriving { branches, .. } = &*head {
                // Set once: a fill ends once.
                drop(branches.stored.set(stored));
            }
            Some(body)
        };
        match trailers {
            Ok(trailers) => {
                if let Err(error) = lead.finish(trailers, store) {
                    tracing::debug!(%error, "answer not stored");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "fill broke off");
                lead.fail(&error);
            }
        }
    }

    fn keep_links(&self, status: StatusCode, fields: &HeaderMap, grant: Option<&Grant>) {
        let is_kept = early::keep(
            &self.edge,
            &self.site,
            &self.key,
            (status, fields),
            early::audience(grant),
        );
        // A purge forgets all links once it is in force. What was asked before it is looked at after it was
        // kept: one of the two sees the other.
        let is_purged = || {
            let tags = tags::tags(fields).unwrap_or_default();
            let bears = |tag| tags.contains(&tag);
            self.edge.cache.memory.is_purged(self.ticket, &self.key, bears)
        };
        if is_kept && is_purged() {
            early::forget(&self.edge, &self.key);
        }
    }

    /// Takes off what is for us and no client's business.
    fn born(&self, fields: &mut HeaderMap) -> Born {
        // A cache behind us would obey it too (Edge Architecture Specification §2.2).
        fields.remove(SURROGATE_CONTROL);
        let tags = tags::tags(fields).unwrap_or_default();
        if self.tags == Visibility::Hidden {
            tags::hide(fields);
        }
        Born { ticket: self.ticket, tags }
    }

    /// May it be stored?
    fn judge(
        &self,
        seen: AnswerView<'_>,
        arrival: &Arrival,
        replaces: Replaces,
    ) -> Result<Grant, Refusal> {
        let request = RequestView { method: &Method::GET, fields: &self.shown };
        let granted = self.granted(may_store(request, seen, self.site.policy(), arrival));
        if replaces == Replaces::Good && seen.status.is_server_error() {
            // An error, even one that may be stored, is worth less than what is held.
            return Err(Refusal::Status);
        }
        granted
    }

    /// Who may read what arrives, and whether it is stored.
    fn keep(
        &self,
        granted: Result<&Grant, Refusal>,
        answer: AnswerView<'_>,
        replaces: Replaces,
    ) -> Keep {
        match granted {
            Ok(grant) if grant.freshness.is_usable_on_arrival() => Keep::Store,
            Ok(_) => Keep::StoreForAsker,
            Err(_) if self.is_error_for_all(answer.status, answer.fields) => Keep::Share,
            Err(refusal) => {
                self.refused(refusal, answer.status, replaces);
                Keep::Own
            }
        }
    }

    pub(super) fn insert(&self, object: Object, grant: &Grant) -> Option<Arc<Object>> {
        let memory = &self.edge.cache.memory;
        if memory.holds_newer(&object) {
            // It took so long that somebody who came meanwhile asked again.
            return None;
        }
        let inserted = if grant.vary.is_empty() {
            memory.insert(self.ticket, object)
        } else {
            memory.insert_variant(self.ticket, &grant.vary, object)
        };
        match inserted {
            Ok(object) => Some(object),
            Err(refused) => {
                tracing::debug!(%refused, "not stored");
                None
            }
        }
    }

    /// An error that says nothing about whoever asked goes to all who wait: a thousand requests that
    /// turn to a failing origin one by one are what keeps it failing.
    fn is_error_for_all(&self, status: StatusCode, fields: &HeaderMap) -> bool {
        status.is_server_error() && !fields.contains_key(SET_COOKIE) && !pass::is_known(&self.shown)
    }

    /// Draws the consequences of an answer that is not stored.
    fn refused(&self, refusal: Refusal, status: StatusCode, replaces: Replaces) {
        if refusal.is_of_request() {
            // Another's request may fare better: nobody switches a page's caching off for all.
            return;
        }
        if replaces == Replaces::Good && !status.is_server_error() {
            // What is held is no longer what the origin says.
            self.edge.cache.memory.remove(&self.key);
        }
        if !(status.is_client_error() || status.is_server_error()) {
            self.mark_pass(refusal);
        }
    }

    fn mark_pass(&self, refusal: Refusal) {
        let until = self.edge.cache.ms(clock::now() + PASS_FOR);
        self.edge.cache.memory.pass_until(&self.key, until, refusal);
    }
}

/// The same question without conditions.
fn unconditional(ask: &Ask) -> Ask {
    let mut fields = ask.fields.clone();
    strip_conditions(&mut fields);
    Ask {
        fields,
        own: ask.own.clone(),
        priority: ask.priority,
        affinity: ask.affinity,
        hints: ask.hints.clone(),
        // One span for both.
        ..Ask::new(Method::GET, ask.uri.clone(), ask.authority.as_str())
    }
}

/// The fields that are stored: without what is stripped, and without the age, which is counted anew.
pub(super) fn clean(fields: &mut HeaderMap, grant: &Grant) {
    fields.remove(AGE);
    for name in &grant.stripped {
        fields.remove(name);
    }
}
