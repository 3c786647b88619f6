//! Which server is asked: the first group that has one, and within it what the settings say.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http::Uri;

use super::balance::{Candidate, by_hash, digest};
use super::health::{Breaker, since_start};
use super::upstream::{Group, Member, Upstream};
use crate::config::origin::{Balance, HashBy};
use crate::exchange::{Exchange, cookie};

/// Time between requests that are sent although probes call every server sick: enough to notice that
/// it is the probe that is wrong.
const LAST_RESORT_EVERY: Duration = Duration::from_secs(1);

impl Upstream {
    /// What the server of this request is found by; 0 where nothing goes by that.
    pub fn affinity(&self, exchange: &Exchange, shown: &Uri) -> u64 {
        if self.settings.balance != Balance::Hash {
            return 0;
        }
        let head = &exchange.head;
        let said = match &self.settings.hash_by {
            HashBy::Url => {
                let target = shown.path_and_query().map_or("/", |target| target.as_str());
                return digest(&[head.authority.as_bytes(), target.as_bytes()]);
            }
            HashBy::Address => None,
            HashBy::Field(name) => head.fields.get(name).map(http::HeaderValue::as_bytes),
            HashBy::Cookie(name) => cookie(&head.fields, name),
        };
        match (said, exchange.client.address.to_canonical()) {
            (Some(said), _) => digest(&[said]),
            (None, IpAddr::V4(address)) => digest(&[&address.octets()]),
            (None, IpAddr::V6(address)) => digest(&[&address.octets()]),
        }
    }

    /// A server that may be asked now, and leave to ask it: a half-open breaker gives it once.
    pub(super) fn choose(&self, affinity: u64, tried: &[usize], now: Instant) -> Option<usize> {
        let now_ms = since_start(now);
        let open_for = self.settings.breaker_open_for;
        let mut refused: Vec<usize> = Vec::new();
        for group in &self.groups {
            loop {
                let is_usable = |at: usize| {
                    let member = group.members[at];
                    let health = &self.members[member].server.health;
                    health.breaker(now_ms) != Breaker::Open
                        && !health.is_sick()
                        && !tried.contains(&member)
                        && !refused.contains(&member)
                };
                let Some(at) = self.pick(group, affinity, now_ms, is_usable) else { break };
                let member = group.members[at];
                if self.members[member].server.health.may_send(now_ms, open_for) {
                    return Some(member);
                }
                refused.push(member);
            }
        }
        self.last_resort(tried, now_ms)
    }

    fn pick(
        &self,
        group: &Group,
        affinity: u64,
        now_ms: u64,
        is_usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if group.members.len() == 1 {
            let has_weight = self.members[group.members[0]].weight > 0;
            return (has_weight && is_usable(0)).then_some(0);
        }
        if self.settings.balance == Balance::Hash {
            return self.found(group, affinity, now_ms, is_usable);
        }
        if let Some(time) = self.settings.slow_start {
            // One throw for all: a server that has many turns would else be let in by one of them.
            let chance = group.schedule.chance();
            let warmth = |at: usize| self.member(group, at).server.health.warmth(now_ms, time);
            let is_let = |at: usize| is_usable(at) && chance < warmth(at);
            if let Some(at) = self.balanced(group, is_let) {
                return Some(at);
            }
        }
        self.balanced(group, is_usable)
    }

    fn member(&self, group: &Group, at: usize) -> &Member {
        &self.members[group.members[at]]
    }

    fn balanced(&self, group: &Group, is_usable: impl Fn(usize) -> bool) -> Option<usize> {
        if self.settings.balance == Balance::RoundRobin {
            return group.schedule.in_turn(is_usable);
        }
        group.schedule.less_busy(is_usable, |at| {
            let member = self.member(group, at);
            let in_flight = member.server.in_flight.load(Ordering::Relaxed) as u64;
            (in_flight + 1) * 1_000 / u64::from(member.weight.max(1))
        })
    }

    /// The server that the hash leads to. One that warms up weighs less, so that what is its own comes to it
    /// bit by bit and nothing else moves.
    fn found(
        &self,
        group: &Group,
        affinity: u64,
        now_ms: u64,
        is_usable: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let slow_start = self.settings.slow_start;
        let candidate = |at: usize| {
            let Member { server, weight, .. } = self.member(group, at);
            let warmth = slow_start.map_or(1.0, |time| server.health.warmth(now_ms, time));
            let load = server.in_flight.load(Ordering::Relaxed);
            Candidate {
                at,
                seed: server.seed,
                weight: f64::from(*weight) * warmth,
                load: u32::try_from(load).unwrap_or(u32::MAX),
            }
        };
        let has_weight = |at: &usize| self.member(group, *at).weight > 0;
        let usable = (0..group.members.len()).filter(|at| has_weight(at) && is_usable(*at));
        let candidates: Vec<Candidate> = usable.map(candidate).collect();
        by_hash(affinity, &candidates, self.settings.hash_bound.0)
    }

    /// Probes call all servers sick: the one that is sick for longest is asked, seldom.
    fn last_resort(&self, tried: &[usize], now_ms: u64) -> Option<usize> {
        let members = self.members.iter().enumerate();
        let sick = members.filter(|(i, member)| member.weight > 0 && !tried.contains(i));
        let sick = sick.filter_map(|(i, member)| Some((member.server.health.sick_since_ms()?, i)));
        let (_, member) = sick.min()?;
        let last = self.running.last_resort_ms.load(Ordering::Relaxed);
        let every = u64::try_from(LAST_RESORT_EVERY.as_millis()).unwrap_or(u64::MAX);
        let is_due = last == 0 || now_ms.saturating_sub(last) >= every;
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let is_mine = is_due
            && self.running.last_resort_ms.compare_exchange(last, now_ms, set, fetch).is_ok();
        let health = &self.members[member].server.health;
        (is_mine && health.may_send(now_ms, self.settings.breaker_open_for)).then_some(member)
    }
}
