//! The wrapped application: started, waited for, restarted, stopped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_edge::config::origin::{Address, Server};
use forebay_edge::origin::child::{Child, Event, Listener, Settings, Signal, State};
use forebay_signals::clock;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::support::{fetch_text, get, one, read_head, run, until};

/// Not a test: the application. This program is started again to run only this, with `PORT` set.
/// It answers `hello` until it is killed, and notes its signals in files.
#[test]
#[ignore = "run by the other tests as a process of its own"]
fn application() {
    let Ok(port) = std::env::var("PORT") else { return };
    let folder = PathBuf::from(std::env::var_os("NOTES").expect("the tests set it"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async move {
        note(SignalKind::user_defined1(), folder.join("usr1"));
        if std::env::var_os("STUBBORN").is_some() {
            note(SignalKind::terminate(), folder.join("term"));
        }
        let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("free");
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    if head.starts_with("GET /crash") {
                        std::process::exit(3);
                    }
                    let hello = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
                    stream.write_all(hello).await.expect("open");
                    if head.contains("connection: close") {
                        return;
                    }
                }
            });
        }
    });
}

fn note(kind: SignalKind, file: PathBuf) {
    let mut signals = signal(kind).expect("a handler");
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            std::fs::write(&file, "").expect("written");
        }
    });
}

struct App {
    folder: tempfile::TempDir,
    events: Arc<Mutex<Vec<Event>>>,
}

impl App {
    fn new() -> App {
        let folder = tempfile::tempdir().expect("a folder");
        App { folder, events: Arc::default() }
    }

    fn settings(&self) -> Settings {
        let this = std::env::current_exe().expect("this program");
        let arguments = ["--exact", "child::application", "--ignored", "--quiet"];
        let mut settings = Settings::new(this, arguments.map(OsString::from).to_vec());
        settings.environment.push(("NOTES".into(), self.folder.path().into()));
        settings.first_backoff = Duration::from_millis(10);
        settings
    }

    fn start(&self, settings: Settings) -> Child {
        let events = Arc::clone(&self.events);
        let listener: Listener =
            Arc::new(move |event| events.lock().expect("fine").push(event.clone()));
        Child::start(settings, listener).expect("it starts")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn events(&self) -> Vec<Event> {
        self.events.lock().expect("fine").clone()
    }

    fn process(&self) -> u32 {
        let started = |event: &Event| match event {
            Event::Started(process) => Some(*process),
            _ => None,
        };
        self.events().iter().rev().find_map(started).expect("it was started")
    }
}

fn is_alive(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}

async fn answering(child: &Child) {
    assert!(child.answers(clock::now() + Duration::from_secs(20)).await, "it answers");
}

#[test]
fn an_application_is_started_with_a_port_and_stopped() {
    run(async {
        let app = App::new();
        let child = app.start(app.settings());
        answering(&child).await;
        let server = Server::plain(Address::Tcp("127.0.0.1".into(), child.port()));
        let (_origins, upstream) = one(server);
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        child.signal(Signal::USR1).await;
        let noted = app.path("usr1");
        until(|| noted.exists()).await;
        let process = app.process();
        child.stop().await;
        assert!(!is_alive(process));
        let events = app.events();
        assert_eq!(events[events.len() - 2..], [Event::Stopping, Event::Stopped]);
    });
}

#[test]
fn an_application_that_crashes_comes_back_on_its_port() {
    run(async {
        let app = App::new();
        let child = app.start(app.settings());
        answering(&child).await;
        let server = Server::plain(Address::Tcp("127.0.0.1".into(), child.port()));
        let (_origins, upstream) = one(server);
        upstream.fetch(get("/crash")).await.expect_err("it crashes");
        until(|| child.state() != State::Answering).await;
        answering(&child).await;
        assert_eq!(fetch_text(&upstream, get("/")).await, "hello");
        let restarts = |event: &Event| matches!(event, Event::RestartsAfter(_));
        assert!(app.events().iter().any(restarts), "{:?}", app.events());
        child.stop().await;
    });
}

#[test]
fn waits_between_restarts_double_and_a_stop_ends_them() {
    run(async {
        let app = App::new();
        let mut settings = Settings::new("false", Vec::new());
        settings.first_backoff = Duration::from_millis(5);
        let child = app.start(settings);
        let waits = || -> Vec<Duration> {
            let wait = |event: Event| match event {
                Event::RestartsAfter(wait) => Some(wait),
                _ => None,
            };
            app.events().into_iter().filter_map(wait).collect()
        };
        until(|| waits().len() >= 4).await;
        child.stop().await;
        assert_eq!(waits()[..4], [5, 10, 20, 40].map(Duration::from_millis));
        assert_eq!(app.events().last(), Some(&Event::Stopped));
    });
}

#[test]
fn an_application_that_ignores_its_signal_is_killed() {
    run(async {
        let app = App::new();
        let mut settings = app.settings();
        settings.environment.push(("STUBBORN".into(), "1".into()));
        settings.stop_timeout = Duration::from_millis(100);
        let child = app.start(settings);
        answering(&child).await;
        let process = app.process();
        child.stop().await;
        assert!(app.path("term").exists(), "it was asked first");
        assert!(!is_alive(process));
        assert!(app.events().contains(&Event::Killed));
    });
}

#[test]
fn a_command_that_does_not_exist_is_an_error_at_once() {
    run(async {
        let settings = Settings::new("/no/such/command", Vec::new());
        assert!(Child::start(settings, Arc::new(|_| {})).is_err());
    });
}
