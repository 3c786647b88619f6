//! A reload: settings read again, checked whole, put in force whole.
//!
//! It works on a thread of its own that steps back behind those that serve: to check a thousand routes
//! takes long enough to be felt on a busy core. The thread stays for the next reload, since a thread
//! that meets cryptography for the first time seeds a generator, which takes longer than all the rest.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use forebay_edge::act;
use forebay_edge::config::Config;
use forebay_edge::edge::Edge;
use forebay_signals::drain::Drain;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, oneshot};

use crate::admin::Desk;
use crate::jobs::Jobs;
use crate::jobs::beside::{Beside, Opening};
use crate::report::{self, Problem};
use crate::run::start_problem;
use crate::systemd::Manager;

/// Niceness of the thread.
const NICENESS: i32 = 15;

/// Reads the settings anew.
pub(crate) type Reread = Box<dyn Fn() -> Result<(Config, Option<Jobs>), Problem> + Send + Sync>;

/// What was done, or why nothing was, in a sentence.
type Said = Result<String, String>;

/// What a reload works with.
pub(crate) struct Work {
    /// The engine.
    pub(crate) edge: Arc<Edge>,
    /// The worker beside it.
    pub(crate) beside: Arc<Beside>,
    /// How the settings are read.
    pub(crate) reread: Reread,
    /// Ends what watches origins.
    pub(crate) watched: Drain,
    /// Who is told that it happens.
    pub(crate) manager: Manager,
}

/// The thread, as others see it. It ends when this is dropped.
pub(crate) struct Reloader {
    ask: SyncSender<(Arc<Desk>, oneshot::Sender<Said>)>,
    one_at_a_time: Mutex<()>,
}

impl Reloader {
    /// Starts the thread; it uses the caller's runtime.
    pub(crate) fn start(work: Work) -> Result<Reloader, Problem> {
        let runtime = Handle::current();
        let (ask, asked) = sync_channel::<(Arc<Desk>, oneshot::Sender<Said>)>(1);
        let reload = move || {
            let _within = runtime.enter();
            if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                tracing::debug!(%error, "reloads do not step back");
            }
            while let Ok((desk, tell)) = asked.recv() {
                // While we start or go, the manager waits for another word, and READY would be too early.
                let tells =
                    !desk.is_starting.load(Ordering::Acquire) && !work.edge.drain.has_begun();
                if tells {
                    work.manager.tell("RELOADING=1");
                }
                let said = catch_unwind(AssertUnwindSafe(|| work.reload(&desk, &runtime)));
                if tells {
                    work.manager.tell("READY=1");
                }
                drop(desk);
                // Whoever asked may have gone; the reload took effect all the same.
                drop(tell.send(said.unwrap_or_else(|_| Err("the reload broke off".into()))));
            }
        };
        let thread = std::thread::Builder::new().name("reload".into()).spawn(reload);
        thread
            .map_err(|error| Problem::ours("cannot start a thread for reloads").because(error))?;
        Ok(Reloader { ask, one_at_a_time: Mutex::default() })
    }

    /// Puts changed settings in force.
    pub(crate) async fn reload(&self, desk: &Arc<Desk>) -> Said {
        let _one_at_a_time = self.one_at_a_time.lock().await;
        let (tell, told) = oneshot::channel();
        self.ask.try_send((Arc::clone(desk), tell)).map_err(|error| match error {
            TrySendError::Full(_) => "other reloads wait already",
            TrySendError::Disconnected(_) => "the thread for reloads has ended",
        })?;
        told.await.unwrap_or_else(|_| Err("the reload broke off".into()))
    }
}

impl Work {
    fn reload(&self, desk: &Arc<Desk>, runtime: &Handle) -> Said {
        let (config, jobs) = (self.reread)().map_err(|problem| problem.sentence())?;
        let routes = config.routes.len();
        let before = self.edge.snapshot();
        let refused = |error| start_problem(&error).sentence();
        let next = self.edge.prepare(config).map_err(refused)?;
        runtime.block_on(next.check_names()).map_err(refused)?;
        // Bound before anything changes: a port that is taken leaves all as it was.
        let moving = runtime
            .block_on(desk.prepare_move(&next.config().admin.place))
            .map_err(|problem| problem.sentence())?;
        let jobs = self.beside.prepare(jobs, Opening::Now).map_err(|problem| problem.sentence())?;
        let waiting = act::reload(&self.edge, next).map_err(refused)?;
        let now = self.edge.snapshot();
        now.log.reopen();
        before.origins.retire();
        now.origins.spawn_probes(&self.watched);
        let mut said = format!("reloaded: {} in force", report::counted(routes, "route"));
        if let Some(moving) = moving {
            let address = desk.move_to(moving);
            self.edge.journal.write("operator", format!("operators ask at {address}"));
            said = format!("{said}; operators ask at {address} from now on");
        }
        if let Some(words) = self.beside.apply(jobs) {
            said = format!("{said}; {words}");
        }
        if !waiting.is_empty() {
            said = format!("{said}; restart for what changed in {}", waiting.join(", "));
        }
        Ok(said)
    }
}
