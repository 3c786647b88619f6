//! Arms of a route that is split: each is a site of its own, so that whatever comes after the choice (keys,
//! fills, refills, counters) keeps them apart without knowing of them.

use std::sync::Arc;

use crate::config::route::Sticky;
use crate::edge::Site;
use crate::exchange::{Answer, Exchange, Scheme, take_cookie};
use crate::route::Draw;

/// Time that a client stays in its arm: longer than a canary lives.
const COOKIE_SECONDS: &str = "2592000";
/// Digits of the cookie's value, which is opaque and belongs to no secret: who throws it away is drawn
/// again, so that nobody gains by making one up.
const DIGITS: usize = 16;

/// The arms of a route.
#[derive(Debug)]
pub struct Arms {
    /// Who goes where.
    pub draw: Draw,
    /// What keeps a client there.
    pub sticky: Sticky,
    /// The route's own origin first.
    pub sites: Vec<Arc<Site>>,
}

/// The arm that a request is in.
#[derive(Debug, Clone, Copy)]
pub struct Arm {
    index: u16,
    /// The client does not know yet.
    is_new: bool,
}

impl Arm {
    /// True if the client has just been drawn into it, and is told.
    pub fn is_new(self) -> bool {
        self.is_new
    }
}

impl Arms {
    /// Chooses an arm. The cookie is between the client and the edge: neither the cache nor the origin
    /// sees it, so that it makes no answer personal.
    pub fn enter(&self, exchange: &mut Exchange) -> Arm {
        let drawn = drawn(&exchange.id);
        let (arm, is_new) = match &self.sticky {
            Sticky::Off => (self.draw.of(&drawn), false),
            Sticky::Address => (self.draw.of(&network(exchange)), false),
            Sticky::Cookie(name) => match take_cookie(&mut exchange.head.fields, name) {
                Some(known) if is_ours(&known) => (self.draw.of(&known), false),
                _ => (self.draw.of(&drawn), true),
            },
        };
        Arm { index: u16::try_from(arm).unwrap_or_default(), is_new }
    }

    /// The site of an arm.
    pub fn site(&self, arm: Arm) -> Option<&Arc<Site>> {
        self.sites.get(usize::from(arm.index))
    }

    /// Tells a new client what to say next time.
    pub fn tell(&self, arm: Arm, exchange: &Exchange, answer: &mut Answer) {
        let Sticky::Cookie(name) = &self.sticky else { return };
        if !arm.is_new {
            return;
        }
        answer.own.push("set-cookie", |out| {
            let value = drawn(&exchange.id);
            let age = COOKIE_SECONDS.as_bytes();
            for piece in [name.as_bytes(), b"=", &value, b"; Path=/; Max-Age=", age] {
                out.extend_from_slice(piece);
            }
            out.extend_from_slice(b"; HttpOnly; SameSite=Lax");
            if exchange.client.scheme == Scheme::Https {
                out.extend_from_slice(b"; Secure");
            }
        });
    }
}

/// What a new client is drawn by: half of the request's id, which is as random as it must be.
fn drawn(id: &[u8; 32]) -> [u8; DIGITS] {
    let mut drawn = [b'0'; DIGITS];
    drawn.copy_from_slice(&id[..DIGITS]);
    drawn
}

fn is_ours(value: &[u8]) -> bool {
    value.len() == DIGITS && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An IPv6 client changes the second half of its address at will.
fn network(exchange: &Exchange) -> Vec<u8> {
    match exchange.client.address.to_canonical() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets()[..8].to_vec(),
    }
}
