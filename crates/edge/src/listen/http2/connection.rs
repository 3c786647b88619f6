//! Drives one HTTP/2 connection: deadlines, drain, floods, one write a poll.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use hyper_util::rt::TokioIo;

use super::activity::Activity;
use super::builder;
use super::service::Service;
use crate::exchange::Client;
use crate::listen::batch::Wire;
use crate::listen::deadline::Deadline;
use crate::listen::flood::{ENHANCE_YOUR_CALM, Fault};
use crate::listen::http1::FRESH_GRACE;
use crate::listen::io::{Stream, linger};
use crate::listen::settings::Settings;
use crate::listen::{Counters, Handler};

/// Time that a client has to answer our GOAWAY and go.
const GOING: Duration = Duration::from_secs(2);

/// Error code of a connection that ends in peace (RFC 9113 §7).
const NO_ERROR: u32 = 0;

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) enum End {
    /// Either side had enough, or the socket broke.
    Closed,
    /// The client broke the protocol; it got a GOAWAY with this code.
    Protocol(u32),
    /// It made us work for nothing.
    Flood,
    /// It did not take what it asked for.
    Stalled,
}

impl End {
    fn of(code: u32) -> End {
        match code {
            NO_ERROR => End::Closed,
            ENHANCE_YOUR_CALM => End::Flood,
            code => End::Protocol(code),
        }
    }
}

/// Serves one connection to its end. `input` is what was read from it before.
pub(in crate::listen) async fn serve<S: Stream, H: Handler>(
    io: S,
    input: BytesMut,
    client: Client,
    settings: Arc<Settings>,
    counters: Arc<Counters>,
    handler: H,
    drain: Drain,
) -> End {
    let mut wire = Wire::new(io, input);
    let activity = Arc::new(Activity::new(counters));
    let first_request = clock::now() + settings.http2_first_request_timeout;
    let mut driver = Driver {
        wire: wire.clone(),
        activity: Arc::clone(&activity),
        settings: Arc::clone(&settings),
        idle: Deadline::new(first_request),
        seen: None,
        blocked: Stall::default(),
        owed: Stall::default(),
        going: None,
        is_drained: false,
    };
    let end = {
        let service = Service {
            client,
            settings: Arc::clone(&settings),
            activity,
            handler,
            drain: drain.clone(),
        };
        let service = hyper::service::service_fn(move |request| service.call(request));
        let engine = builder(&settings).serve_connection(TokioIo::new(wire.clone()), service);
        let mut engine = pin!(engine);
        let mut drained = pin!(drain.begun());
        poll_fn(|context| {
            loop {
                driver.activity.begin_poll();
                let is_over = engine.as_mut().poll(context).is_ready();
                let sent = driver.wire.poll_send(context);
                let state = driver.wire.state();
                if let Some(Fault(code)) = state.fault {
                    return Poll::Ready(End::of(code));
                }
                if is_over || matches!(sent, Poll::Ready(Err(_))) {
                    return Poll::Ready(state.goaway.map_or(End::Closed, End::of));
                }
                match driver.next(&mut drained, context) {
                    Some(Step::End(end)) => return Poll::Ready(end),
                    Some(Step::GoAway) => engine.as_mut().graceful_shutdown(),
                    None => return Poll::Pending,
                }
            }
        })
        .await
    };
    // The engine is gone and its streams with it; what stands in the wire may still go out.
    let code = match end {
        End::Closed => NO_ERROR,
        End::Protocol(code) => code,
        End::Flood | End::Stalled => ENHANCE_YOUR_CALM,
    };
    if code != NO_ERROR && wire.state().goaway.is_none_or(|said| said == NO_ERROR) {
        wire.push_goaway(code);
    }
    linger(&mut wire, settings.http1.linger).await;
    end
}

enum Step {
    GoAway,
    End(End),
}

struct Driver<S> {
    wire: Wire<S>,
    activity: Arc<Activity>,
    settings: Arc<Settings>,
    idle: Deadline,
    /// Requests at the last look; `None` after a look that found the connection busy.
    seen: Option<u64>,
    blocked: Stall,
    owed: Stall,
    /// Set once GOAWAY was asked for.
    going: Option<Deadline>,
    is_drained: bool,
}

impl<S: Stream> Driver<S> {
    /// What to do after a poll; `None` leaves the task waiting with every waker in place.
    fn next<D: Future<Output = ()>>(
        &mut self,
        drained: &mut Pin<&mut D>,
        context: &mut Context<'_>,
    ) -> Option<Step> {
        self.activity.watch(context.waker());
        if self.is_stalled(context) {
            return Some(Step::End(End::Stalled));
        }
        if !self.is_drained && drained.as_mut().poll(context).is_ready() {
            self.is_drained = true;
            // Accepted in the last moment: its first request may be on the way.
            self.idle.set(self.idle.at().min(clock::now() + FRESH_GRACE));
        }
        let is_idle = self.activity.is_idle();
        let Some(going) = &mut self.going else {
            let has_served = self.activity.requests() > 0;
            if (self.is_drained && has_served) || (is_idle && self.is_idle_too_long(context)) {
                self.going = Some(Deadline::new(clock::now() + GOING));
                return Some(Step::GoAway);
            }
            return None;
        };
        if !is_idle {
            // What is under way may end in its own time; the client's time begins after it.
            going.set(clock::now() + GOING);
            return None;
        }
        going.poll_passed(context).is_ready().then_some(Step::End(End::Closed))
    }

    fn is_idle_too_long(&mut self, context: &mut Context<'_>) -> bool {
        let requests = self.activity.requests();
        if requests > 0 && self.seen != Some(requests) {
            self.seen = Some(requests);
            self.idle.set(clock::now() + self.settings.http1.idle_timeout);
        }
        self.idle.poll_passed(context).is_ready()
    }

    /// True if the client has taken nothing for too long though there was something to take.
    fn is_stalled(&mut self, context: &mut Context<'_>) -> bool {
        let limit = self.settings.http1.blocked_write_timeout;
        let state = self.wire.state();
        if state.is_blocked {
            // While the socket is full its progress counts, not that of the streams behind it.
            self.owed = Stall::default();
            return self.blocked.is_over(state.written, limit, context);
        }
        self.blocked = Stall::default();
        if !self.activity.is_owed() {
            self.owed = Stall::default();
            return false;
        }
        self.owed.is_over(self.activity.progress(), limit, context)
    }
}

/// A wait that ends when a number has not moved for some time.
#[derive(Default)]
struct Stall(Option<(u64, Deadline)>);

impl Stall {
    fn is_over(&mut self, progress: u64, limit: Duration, context: &mut Context<'_>) -> bool {
        match &mut self.0 {
            Some((seen, deadline)) if *seen == progress => deadline.poll_passed(context).is_ready(),
            Some((seen, deadline)) => {
                *seen = progress;
                deadline.set(clock::now() + limit);
                deadline.poll_passed(context).is_ready()
            }
            none => {
                let mut deadline = Deadline::new(clock::now() + limit);
                let is_over = deadline.poll_passed(context).is_ready();
                *none = Some((progress, deadline));
                is_over
            }
        }
    }
}
