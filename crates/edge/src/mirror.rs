//! Copies of what an origin is asked, for another origin. Nobody waits for them and nobody gets their answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use forebay_signals::clock;
use forebay_signals::counter::Counter;
use forebay_signals::prometheus::Page;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::admit::{X_FORWARDED_HOST, X_FORWARDED_PROTO, is_claim};
use crate::config::forward_auth::ForwardAuth;
use crate::config::mirror::Mirror as Settings;
use crate::config::route::{ALL_PARTS, Route};
use crate::doorman::{SIGNATURE, SIGNATURE_INPUT, is_credential};
use crate::error::Error;
use crate::exchange::{Ask, Body, BoxedBody, Priority};
use crate::origin::{Origins, Upstream};

/// Marks a copy, with the name of its route. What a client says under this name is dropped.
pub const FOREBAY_MIRROR: HeaderName = HeaderName::from_static("forebay-mirror");

/// Where the copies of a route go.
#[derive(Debug)]
pub struct Mirror {
    settings: Settings,
    upstream: Arc<Upstream>,
    route: HeaderValue,
    /// Fields that say whose request it is, by the settings of this route.
    told: Vec<HeaderName>,
    running: Arc<Running>,
}

/// What outlives a reload.
#[derive(Debug, Default)]
struct Running {
    in_flight: AtomicUsize,
    answered: Counter,
    failed: Counter,
    /// For want of room, or because the mirror takes fewer than come.
    dropped: Counter,
    /// Requests whose content was too long, or broke off.
    without_content: Counter,
}

/// A mirror at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MirrorView {
    /// The route.
    pub route: String,
    /// The origin that gets the copies.
    pub origin: String,
    /// Copies on their way.
    pub in_flight: usize,
    /// Copies that were answered below 500.
    pub answered: u64,
    /// Copies that failed, or were answered with 500 and above.
    pub failed: u64,
    /// Copies that were dropped for want of room.
    pub dropped: u64,
    /// Requests without a copy because of their content.
    pub without_content: u64,
}

impl Mirror {
    /// The mirror of a route, if it has one. What it has counted before goes on.
    pub fn of(route: &Route, origins: &Origins, before: Option<&Mirror>) -> Option<Arc<Mirror>> {
        let settings = route.mirror.clone()?;
        Some(Arc::new(Mirror {
            upstream: origins.find(&settings.origin)?,
            settings,
            // Names of routes are plain.
            route: HeaderValue::from_str(&route.name).ok()?,
            told: route.forward_auth.as_deref().map(told).unwrap_or_default(),
            running: before.map(|before| Arc::clone(&before.running)).unwrap_or_default(),
        }))
    }

    /// Sends a copy of what is about to be asked. `id` draws: it is as random as it must be.
    pub fn reflect(self: &Arc<Self>, id: &[u8; 32], ask: &mut Ask) {
        if ask.upgrade.is_some() || !self.settings.methods.contains(&ask.method) || !self.draws(id)
        {
            return;
        }
        let most = self.settings.max_content_bytes;
        match std::mem::take(&mut ask.body) {
            Body::Stream(inner) if !inner.is_end_stream() => {
                let hint = inner.size_hint();
                if hint.lower() > most || most == 0 {
                    self.running.without_content.increment();
                    ask.body = Body::Stream(inner);
                    return;
                }
                // Before anything is kept: what waits is bounded by the seats.
                let Some(seat) = self.seat() else {
                    ask.body = Body::Stream(inner);
                    return;
                };
                let copy = self.copy(ask, Body::Empty);
                ask.body = Body::stream(Copying {
                    expected: hint.exact(),
                    inner,
                    copied: BytesMut::new(),
                    copy: Some((Arc::clone(self), copy, seat)),
                });
            }
            body => {
                let content = match &body {
                    Body::Whole(bytes) => bytes.clone(),
                    Body::Empty | Body::Stream(_) => Bytes::new(),
                };
                if content.len() as u64 > most {
                    self.running.without_content.increment();
                } else if let Some(seat) = self.seat() {
                    self.send(self.copy(ask, content.into()), seat);
                }
                ask.body = body;
            }
        }
    }

    /// At a glance.
    pub fn view(&self) -> MirrorView {
        MirrorView {
            route: self.route.to_str().unwrap_or_default().to_owned(),
            origin: self.settings.origin.clone(),
            in_flight: self.running.in_flight.load(Ordering::Relaxed),
            answered: self.running.answered.value(),
            failed: self.running.failed.value(),
            dropped: self.running.dropped.value(),
            without_content: self.running.without_content.value(),
        }
    }

    fn draws(&self, id: &[u8; 32]) -> bool {
        let digits = std::str::from_utf8(&id[16..24]).ok();
        let drawn = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        drawn.is_some_and(|drawn| drawn % ALL_PARTS < self.settings.share)
    }

    fn copy(&self, ask: &Ask, body: Body) -> Ask {
        let mut copy = Ask {
            fields: ask.fields.clone(),
            own: ask.own.clone(),
            body,
            // An overloaded mirror is not worth a request of anybody.
            priority: Priority::Covered,
            affinity: ask.affinity,
            // What a mirror says is for nobody.
            ..Ask::new(ask.method.clone(), ask.uri.clone(), ask.authority.as_str())
        };
        let is_personal = self.settings.is_personal;
        let fields = copy.fields_mut();
        if !is_personal {
            let names = fields.keys().filter(|name| self.says_who(name)).cloned();
            for name in names.collect::<Vec<_>>() {
                fields.remove(name);
            }
        }
        fields.insert(FOREBAY_MIRROR, self.route.clone());
        copy
    }

    fn says_who(&self, name: &HeaderName) -> bool {
        const NAMES: [HeaderName; 5] =
            [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SIGNATURE, SIGNATURE_INPUT];
        // Of what proxies say, where the client wanted to go says nothing of it.
        let is_address = is_claim(name) && ![X_FORWARDED_HOST, X_FORWARDED_PROTO].contains(name);
        is_address || NAMES.contains(name) || self.told.contains(name)
    }

    /// A place for a copy, if there is room.
    fn seat(&self) -> Option<Seat> {
        let running = &self.running;
        let before = running.in_flight.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(running));
        if before < self.settings.max_in_flight && self.upstream.admits(Priority::Covered).is_ok() {
            return Some(seat);
        }
        running.dropped.increment();
        None
    }

    /// Sends a copy behind.
    fn send(self: &Arc<Self>, copy: Ask, seat: Seat) {
        let Ok(runtime) = Handle::try_current() else { return self.running.dropped.increment() };
        let mirror = Arc::clone(self);
        // It ends by its deadline, and with its runtime after a drain.
        runtime.spawn(async move {
            let seat = seat;
            let done = clock::timeout(mirror.settings.timeout, mirror.fetch(copy)).await;
            match done {
                Ok(Ok(())) => seat.0.answered.increment(),
                Ok(Err(())) | Err(_) => seat.0.failed.increment(),
            }
        });
    }

    /// Asks, and reads the whole answer away.
    async fn fetch(&self, copy: Ask) -> Result<(), ()> {
        let answer = self.upstream.fetch(copy).await.map_err(|_| ())?;
        let mut body = answer.body;
        while let Some(frame) = body.frame().await {
            frame.map_err(|_| ())?;
        }
        if answer.status.is_server_error() { Err(()) } else { Ok(()) }
    }
}

/// What is said of a client by `forward_auth`, and to it.
fn told(auth: &ForwardAuth) -> Vec<HeaderName> {
    let shown = auth.show_fields.iter().filter(|name| is_credential(name));
    auth.take.iter().chain(shown).cloned().collect()
}

/// Writes the counters of all mirrors.
pub fn write(mirrors: &[MirrorView], page: &mut Page) {
    const COPIES: &str = "forebay_edge_mirror_total";
    page.family(COPIES, "counter", "Copies of requests for a mirror.");
    for one in mirrors {
        let counts = [
            ("answered", one.answered),
            ("failed", one.failed),
            ("dropped", one.dropped),
            ("content", one.without_content),
        ];
        for (outcome, count) in counts {
            let labels = [("route", one.route.as_str()), ("outcome", outcome)];
            page.sample(COPIES, &labels, count);
        }
    }
}

struct Seat(Arc<Running>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Content on its way to the origin, of which a copy is kept until it is whole.
struct Copying {
    inner: BoxedBody,
    expected: Option<u64>,
    copied: BytesMut,
    copy: Option<(Arc<Mirror>, Ask, Seat)>,
}

impl Copying {
    fn take(&mut self, data: &Bytes) {
        let Some((mirror, ..)) = &self.copy else { return };
        if (self.copied.len() + data.len()) as u64 > mirror.settings.max_content_bytes {
            mirror.running.without_content.increment();
            self.copied = BytesMut::new();
            self.copy = None;
            return;
        }
        self.copied.extend_from_slice(data);
        // Whoever sends it may stop at the last byte and not ask again.
        if self.expected == Some(self.copied.len() as u64) {
            self.is_whole();
        }
    }

    fn is_whole(&mut self) {
        if let Some((mirror, mut copy, seat)) = self.copy.take() {
            copy.body = std::mem::take(&mut self.copied).freeze().into();
            mirror.send(copy, seat);
        }
    }
}

impl HttpBody for Copying {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(self.inner.as_mut().poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.take(data);
                }
                if self.inner.is_end_stream() {
                    self.is_whole();
                }
            }
            Some(Err(_)) => {}
            None => self.is_whole(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some((mirror, ..)) = &self.copy {
            mirror.running.without_content.increment();
        }
    }
}
