//! What goes on behind the requests: probes, names looked up again, old connections closed.
//!
//! Each task holds its origin weakly and ends with the generation of [`super::Origins`] it belongs to.

use std::sync::{Arc, Weak};
use std::time::Duration;

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Uri};

use super::attempt;
use super::connect::{self, Connected, Moved, Offer, Protocol};
use super::health::since_start;
use super::http1::{Failure, Http1};
use super::message::Outgoing;
use super::server::Server;
use super::upstream::Upstream;
use crate::config::origin::{Address, Probe};
use crate::error::{Error, ErrorKind};
use crate::exchange::Ask;

/// Shortest time between two rounds of one task, whatever the settings say.
const SHORTEST: Duration = Duration::from_millis(10);

/// Spawns what `upstream` needs on the runtime of the caller.
pub(super) fn spawn(upstream: &Arc<Upstream>, retired: &Drain, drain: &Drain) {
    for member in 0..upstream.members.len() {
        if let Some(probe) = upstream.settings.probe.clone() {
            let prober = Prober { upstream: Arc::downgrade(upstream), member, probe, streak: 0 };
            tokio::spawn(until_over(retired, drain, prober.run()));
        }
        if connect::is_name(upstream.members[member].server.address()) {
            tokio::spawn(until_over(retired, drain, resolve(Arc::downgrade(upstream), member)));
        }
    }
    tokio::spawn(until_over(retired, drain, sweep(Arc::downgrade(upstream))));
}

fn until_over(
    retired: &Drain,
    drain: &Drain,
    work: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let (retired, drain) = (retired.clone(), drain.clone());
    async move {
        tokio::select! {
            () = retired.begun() => {}
            () = drain.begun() => {}
            () = work => {}
        }
    }
}

async fn resolve(upstream: Weak<Upstream>, member: usize) {
    loop {
        let Some(every) = upstream.upgrade().map(|up| up.settings.resolve_every) else { return };
        clock::sleep(every.max(SHORTEST)).await;
        let Some(upstream) = upstream.upgrade() else { return };
        let server = Arc::clone(&upstream.members[member].server);
        let most_idle = upstream.settings.pool_idle_timeout;
        drop(upstream);
        match server.addresses.resolve(server.address()).await {
            Ok(Moved::No) => {}
            // Under steady load connections would never be unused for long enough to be closed.
            Ok(Moved::Yes) => server.pool.sweep(clock::now(), most_idle),
            Err(error) => {
                // The last good addresses stay: a name server that is down must not take us with it.
                tracing::warn!(server = %server.label, error = %error, "name not resolved");
                server.note(&error);
            }
        }
    }
}

async fn sweep(upstream: Weak<Upstream>) {
    loop {
        let Some(most) = upstream.upgrade().map(|up| up.settings.pool_idle_timeout) else { return };
        clock::sleep((most / 2).max(SHORTEST)).await;
        let Some(upstream) = upstream.upgrade() else { return };
        for member in &upstream.members {
            member.server.pool.sweep(clock::now(), most);
        }
    }
}

struct Prober {
    upstream: Weak<Upstream>,
    member: usize,
    probe: Probe,
    /// Probes in a row that speak against what is believed now.
    streak: u32,
}

impl Prober {
    async fn run(mut self) {
        loop {
            let Some(upstream) = self.upstream.upgrade() else { return };
            let server = Arc::clone(&upstream.members[self.member].server);
            let host = upstream.settings.host.clone();
            drop(upstream);
            let ask = ask(&server, &self.probe, host);
            let result = clock::timeout(self.probe.timeout, ask).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::OriginTimeout, "the probe was not answered in time"))
            });
            self.weigh(&server, result);
            clock::sleep(self.probe.interval.max(SHORTEST)).await;
        }
    }

    fn weigh(&mut self, server: &Server, result: Result<(), Error>) {
        let is_sick = server.health.is_sick();
        if let Err(error) = &result {
            server.note(error);
        }
        if result.is_ok() != is_sick {
            self.streak = 0;
            return;
        }
        self.streak += 1;
        let limit = if is_sick { self.probe.rises_after } else { self.probe.falls_after };
        if self.streak < limit {
            return;
        }
        self.streak = 0;
        let what = if let Err(error) = result {
            server.health.fall(since_start(clock::now()));
            format!("`{}` is sick: {error}", server.label)
        } else {
            server.health.rise();
            server.health.warm_up(since_start(clock::now()));
            format!("`{}` is well again", server.label)
        };
        if let Some(upstream) = self.upstream.upgrade() {
            upstream.tell(&what);
        }
    }
}

/// One probe on a connection of its own: that a connection can be made is part of the question.
async fn ask(server: &Server, probe: &Probe, host: Option<String>) -> Result<(), Error> {
    let unreachable =
        |source| Error::new(ErrorKind::OriginUnreachable, "no connection").because(source);
    let Connected { wire, protocol, home } =
        connect::connect(server, Offer::AsSet, probe.timeout).await.map_err(unreachable)?;
    let authority = host.unwrap_or_else(|| match server.address() {
        Address::Tcp(host, port) => format!("{host}:{port}"),
        Address::Unix(_) => "localhost".to_owned(),
    });
    let bad = |_| Error::new(ErrorKind::Internal, "the probe's path is no URI");
    let uri = Uri::try_from(probe.path.as_str()).map_err(bad)?;
    let fields = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("forebay-probe"))]);
    let ask = Ask { fields, ..Ask::new(Method::GET, uri, authority) };
    let mut outgoing = Outgoing::new(ask, None)?;
    let status = match protocol {
        Protocol::Http1 => {
            let until = clock::now() + probe.timeout;
            Http1::new(wire, home)
                .ask(&mut outgoing, until)
                .await
                .map_err(Failure::into_error)?
                .status
        }
        Protocol::Http2 => {
            let request = outgoing.into_http2(server.scheme())?;
            let mut connection = attempt::http2(wire, home).await?;
            let sent = connection.sender.send_request(request).await.map_err(|source| {
                Error::new(ErrorKind::OriginProtocol, "no answer").because(source)
            });
            sent?.status()
        }
    };
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::OriginUnavailable, "the probe was answered with an error")
            .because(status.to_string()))
    }
}
