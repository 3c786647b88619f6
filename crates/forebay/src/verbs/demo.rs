//! `forebay demo`: two origins of a small shop, the edge before them with the shop's files, visitors, and one
//! origin that stops and returns while one watches.

use std::fmt::Write;
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use forebay_edge::config::Config;
use forebay_edge::config::listen::{Certificate, Listener, Place, Protocol};
use forebay_edge::config::origin::Probe;
use forebay_edge::config::route::{Action, EarlyHints, Files, PathRule, Route};
use forebay_edge::listen::self_signed;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use forebay_signals::journal::Journal;
use tokio::net::TcpListener;

use crate::cli::{Demo, Settings};
use crate::report::{self, Problem};
use crate::run::{self, Plan};
use crate::settings;

/// Where the demo speaks TLS, with a certificate of its own.
const TLS_PORT: u16 = 8443;
/// Said when there are visitors.
const VISITORS: &str = "A few visitors browse along (`--no-traffic` sends them away).\n";
/// How long the second origin stays up, and how long it stays away.
const UP_FOR: Duration = Duration::from_secs(20);
const AWAY_FOR: Duration = Duration::from_secs(10);

/// Runs the demo until a signal.
pub(crate) fn run(asked: &Demo) -> Result<ExitCode, Problem> {
    report::log_to_stderr();
    let failed = |error: std::io::Error| Problem::ours("cannot start the shop").because(error);
    let ports = [free_port().map_err(failed)?, free_port().map_err(failed)?];
    let stop = Drain::default();
    let journal = Arc::<std::sync::OnceLock<Arc<Journal>>>::default();
    let shops = start_shops(ports, &stop, &journal).map_err(failed)?;
    let settings = Settings {
        origin: ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect(),
        listen: if asked.listen.is_empty() { vec![":8080".into()] } else { asked.listen.clone() },
        admin: asked.admin.clone(),
        log: Some("off".into()),
        ..Settings::default()
    };
    let certificate = certificate(asked)?;
    let files = Folder::make()
        .map_err(|error| Problem::ours("cannot write the shop's files").because(error))?;
    let folder = files.0.clone();
    let load = move || {
        let loaded = settings::load(&settings, None).map_err(|t| Problem::complete(&t))?;
        Ok(furnished(loaded.config, certificate.as_ref(), &folder))
    };
    let wants_traffic = !asked.no_traffic;
    let traffic_stop = stop.clone();
    let outcome = run::run(Plan {
        config: load()?,
        jobs: None,
        reread: Box::new(move || load().map(|config| (config, None))),
        child: None,
        ready: Box::new(move |edge, admin| {
            // Set once, here.
            drop(journal.set(Arc::clone(&edge.journal)));
            greet(edge, admin, wants_traffic);
            let address =
                edge.entrance.addresses().into_iter().find_map(|listener| match listener.place {
                    Place::Tcp(address) if address.is_ipv4() => Some(address.port()),
                    Place::Tcp(_) | Place::Unix(_) | Place::Systemd(_) => None,
                });
            if let (true, Some(port)) = (wants_traffic, address) {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                let counts = Arc::default();
                drop(tokio::spawn(forebay_shop::traffic::run(address, counts, traffic_stop)));
            }
        }),
    });
    stop.begin();
    if shops.join().is_err() {
        tracing::error!("the shop panicked");
    }
    outcome
}

/// A certificate for HTTPS, unless the visitor chose addresses or the port is taken.
fn certificate(asked: &Demo) -> Result<Option<Certificate>, Problem> {
    let is_free = std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, TLS_PORT)).is_ok();
    if !asked.listen.is_empty() || !is_free {
        return Ok(None);
    }
    self_signed(["localhost", "127.0.0.1", "::1"])
        .map(Some)
        .map_err(|error| Problem::ours("cannot make a certificate").because(error))
}

/// A folder of the shop's files, for as long as the demo runs.
struct Folder(PathBuf);

impl Folder {
    fn make() -> std::io::Result<Folder> {
        let since = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("forebay-demo-{}-{}", std::process::id(), since.subsec_nanos());
        let path = std::env::temp_dir().join(name);
        // Made by us or not at all: others may write beside it.
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder(path);
        forebay_shop::write_assets(&folder.0)?;
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "the demo's files are left behind");
        }
    }
}

/// What flags do not say: files and early hints, HTTPS beside HTTP, and probes, so that an origin that goes away
/// is seen at once.
fn furnished(mut config: Config, certificate: Option<&Certificate>, folder: &Path) -> Config {
    for route in &mut config.routes {
        route.early_hints = EarlyHints::Make;
    }
    let files = Route {
        name: "files".into(),
        path: PathRule::Prefix("/assets".into()),
        action: Action::Files(Files::below(folder)),
        ..Route::everything_to("")
    };
    config.routes.insert(0, files);
    if let Some(certificate) = certificate {
        let plain = config.listen.listeners.clone();
        let secure = plain.into_iter().filter_map(|listener| match listener.place {
            Place::Tcp(mut address) => {
                address.set_port(TLS_PORT);
                Some(Listener { place: Place::Tcp(address), protocol: Protocol::Tls })
            }
            Place::Unix(_) | Place::Systemd(_) => None,
        });
        config.listen.listeners.extend(secure);
        config.listen.certificates.push(certificate.clone());
    }
    for origin in &mut config.origins {
        Arc::make_mut(origin).probe = Some(Probe {
            path: "/health".into(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rises_after: 1,
            falls_after: 1,
        });
    }
    config
}

fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn greet(edge: &forebay_edge::edge::Edge, admin: &str, wants_traffic: bool) {
    let mut text = String::from("\nForebay serves a small shop. Open one of\n\n");
    let mut first = None;
    // What a reader can type: nothing says that `forebay` is where shells look.
    let program =
        std::env::current_exe().map_or("forebay".into(), |path| path.display().to_string());
    for listener in edge.entrance.addresses() {
        if let Place::Tcp(address) = listener.place {
            let scheme = match listener.protocol {
                Protocol::Plain => "http",
                Protocol::Tls => "https",
            };
            let shown = if address.ip().is_unspecified() {
                format!("{scheme}://localhost:{}/", address.port())
            } else {
                format!("{scheme}://{address}/")
            };
            if !text.contains(&shown) {
                first.get_or_insert_with(|| shown.clone());
                writeln!(text, "  {shown}").expect("writing to a String does not fail");
            }
        }
    }
    write!(
        text,
        "\nEach page says which origin made it and when: reload it to see hits. Every 20 seconds\n\
         the second origin goes away for 10; the pages stay. Style and script come from a folder\n\
         (`/assets`), and browsers that wait for a page are told of both early. Watch it in\n\
         another terminal:\n\n  \
         {program} status --admin {admin}\n  \
         {program} cache why {} --admin {admin}\n\n{}Ctrl-C ends it.\n",
        first.as_deref().unwrap_or("http://localhost:8080/"),
        if wants_traffic { VISITORS } else { "" }
    )
    .expect("writing to a String does not fail");
    report::say(&text);
}

/// The origins live on a thread of their own, as other processes would.
fn start_shops(
    ports: [u16; 2],
    stop: &Drain,
    journal: &Arc<std::sync::OnceLock<Arc<Journal>>>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, journal) = (stop.clone(), Arc::clone(journal));
    let ready = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&ready);
    let thread = std::thread::Builder::new().name("shop".into()).spawn(move || {
        runtime.block_on(async move {
            let steady = shop(ports[0], "a", stop.clone(), &ready);
            let moody = come_and_go(ports[1], stop.clone(), &journal, &ready);
            tokio::join!(steady, moody);
        });
    })?;
    // Bound within milliseconds; a port that somebody else took shows as an origin that is down.
    let deadline = clock::now() + Duration::from_secs(5);
    while seen.load(Ordering::Acquire) < 2 && clock::now() < deadline {
        clock::block_for(Duration::from_millis(5));
    }
    Ok(thread)
}

async fn shop(port: u16, name: &str, stop: Drain, ready: &AtomicUsize) {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => {
            ready.fetch_add(1, Ordering::Release);
            if let Err(error) = forebay_shop::serve(listener, name, stop).await {
                tracing::error!(%error, "the shop ended");
            }
        }
        Err(error) => tracing::error!(port, %error, "the shop's port is taken"),
    }
}

async fn come_and_go(
    port: u16,
    stop: Drain,
    journal: &std::sync::OnceLock<Arc<Journal>>,
    ready: &AtomicUsize,
) {
    let note = |what: &str| {
        if let Some(journal) = journal.get() {
            journal.write("demo", what);
        }
    };
    while !stop.has_begun() {
        let away = Drain::default();
        let serving = shop(port, "b", away.clone(), ready);
        let timing = async {
            tokio::select! {
                () = stop.begun() => {}
                () = clock::sleep(UP_FOR) => note("origin b goes away"),
            }
            away.begin();
        };
        tokio::join!(serving, timing);
        tokio::select! {
            () = stop.begun() => {}
            () = clock::sleep(AWAY_FOR) => note("origin b returns"),
        }
    }
}
