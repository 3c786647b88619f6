//! Jobs of applications in other languages, on real sockets and with real commands.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_jobs::deliver::Secret;
use forebay_jobs::deliver::exec::Commands;
use forebay_jobs::deliver::http::{Deliveries, Settings};
use forebay_jobs::job::Job;
use forebay_jobs::push::Client;
use forebay_jobs::run::Handler;
use forebay_jobs::store::memory::Memory;
use forebay_jobs::store::{Counts, Entry, From, Retention, Set, Store};
use forebay_jobs::testing;
use forebay_jobs::time::{Clock, Moment};
use forebay_jobs::worker::Worker;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

const NOW: Moment = Moment::from_micros(1_795_436_000_000_000);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A request as it arrived.
#[derive(Clone)]
struct Request {
    head: Vec<String>,
    content: Vec<u8>,
}

impl Request {
    fn field(&self, name: &str) -> Option<&str> {
        let line = self.head.iter().find_map(|line| {
            let (it, value) = line.split_once(':')?;
            it.eq_ignore_ascii_case(name).then_some(value)
        });
        line.map(str::trim)
    }
}

/// An application that answers each request with the next of `answers`, and then closes or stays silent.
struct Application {
    port: u16,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Application {
    fn start(answers: &[&'static str]) -> Application {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let (noted, answers) = (Arc::clone(&seen), answers.to_vec());
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            while let Ok((stream, _)) = listener.accept() {
                drop(converse(&stream, &noted, &mut answers));
            }
        });
        Application { port, seen }
    }

    fn handler(&self, deadline: Duration) -> Deliveries {
        let url = format!("http://127.0.0.1:{}/jobs?a=1", self.port).parse().expect("an address");
        let secret = Some(Secret::parse(SECRET).expect("a secret"));
        let fields = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);
        Deliveries::new(Settings { url, secret, deadline, fields, tls: None })
            .expect("a good address")
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn converse(
    stream: &TcpStream,
    noted: &Mutex<Vec<Request>>,
    answers: &mut dyn Iterator<Item = &'static str>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            head.push(line.to_owned());
        }
        let mut content = vec![0; length];
        reader.read_exact(&mut content)?;
        noted.lock().expect("no panic").push(Request { head, content });
        let Some(answer) = answers.next() else {
            // It never answers; whoever asked leaves.
            std::io::copy(&mut reader, &mut std::io::sink())?;
            return Ok(());
        };
        let mut stream = stream;
        stream.write_all(answer.as_bytes())?;
        if answer.contains("Connection: close") {
            return Ok(());
        }
    }
}

const DONE: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What becomes of one job that this handler runs.
struct Fate {
    counts: Counts,
    entry: Option<(Set, Entry)>,
    done: usize,
}

impl Fate {
    fn failure(&self) -> (String, String) {
        let (_, entry) = self.entry.as_ref().expect("it is kept");
        let job = Job::parse(entry.payload.clone()).expect("a job");
        let text = |name| -> String {
            serde_json::from_str(&job.field(name).expect("it failed")).expect("a text")
        };
        (text("error_class"), text("error_message"))
    }
}

async fn run(handler: impl Handler, jobs: usize) -> Fate {
    let clock = Clock::manual(NOW);
    let store = Arc::new(Memory::new(clock.clone(), Retention::default()));
    let client = Client::builder(store.clone()).clock(clock.clone()).build();
    for n in 0..jobs {
        let job =
            client.push_raw("Ruby::Class", &(7, "\u{e9}", n)).queue("mail").field("mine", "x");
        job.traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
            .await
            .expect("pushed");
    }
    let worker =
        Worker::builder(store.clone()).strict(["mail"]).otherwise(handler).clock(clock).build();
    let done = testing::drain(&worker).await.expect("it drains").done;
    let mut entry = None;
    for set in [Set::Schedule, Set::Retry, Set::Dead] {
        let there = store.entries(set, From::Oldest, 0, 1).await.expect("entries");
        entry = entry.or(there.into_iter().next().map(|entry| (set, entry)));
    }
    Fate { counts: store.counts().await.expect("counts"), entry, done }
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_job_arrives_byte_for_byte_and_signed() {
    block_on(async {
        let application = Application::start(&[DONE]);
        let fate = run(application.handler(MINUTE), 1).await;
        assert_eq!((fate.done, fate.counts.enqueued, fate.counts.retries), (1, 0, 0));
        let seen = application.seen();
        let request = &seen[0];
        assert_eq!(request.head[0], "POST /jobs?a=1 HTTP/1.1");
        let job = Job::parse(request.content.clone().into()).expect("the payload");
        assert_eq!((job.class(), job.field("mine").as_deref()), ("Ruby::Class", Some("\"x\"")));
        assert_eq!(job.args_json(), "[7,\"\u{e9}\",0]".as_bytes());
        let id = job.id();
        assert_eq!(request.field("webhook-id"), Some(id));
        assert_eq!(request.field("idempotency-key"), Some(&*format!("\"{id}\"")));
        assert_eq!(request.field("forebay-job-class"), Some("Ruby::Class"));
        assert_eq!(request.field("forebay-job-queue"), Some("mail"));
        assert_eq!(request.field("forebay-job-attempt"), Some("1"));
        assert_eq!(request.field("forebay-job-deadline"), Some("60"));
        assert_eq!(request.field("content-type"), Some("application/json"));
        assert_eq!(request.field("authorization"), Some("Bearer x"));
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(request.field("traceparent"), Some(trace));
        let timestamp = request.field("webhook-timestamp").expect("a time");
        let signed = signature(&format!("{id}.{timestamp}."), &request.content);
        assert_eq!(request.field("webhook-signature"), Some(&*format!("v1,{signed}")));
    });
}

/// By another's hand: `openssl`.
fn signature(prefix: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("signed");
    std::fs::write(&path, [prefix.as_bytes(), content].concat()).expect("written");
    let secret = SECRET.strip_prefix("whsec_").expect("its prefix");
    let script = format!(
        "key=$(printf %s '{secret}' | base64 -d | od -An -tx1 | tr -d ' \\n'); \
         openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary '{}' | base64",
        path.display()
    );
    let said =
        std::process::Command::new("sh").arg("-c").arg(script).output().expect("openssl runs");
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).expect("base64").trim().to_owned()
}

#[test]
fn an_answer_decides() {
    const LATER: Duration = Duration::from_secs(15);
    for (answer, set, after, message) in [
        (
            "503 Busy\r\nRetry-After: 120",
            Set::Retry,
            Some(2 * MINUTE),
            "the application answered 503 Service Unavailable: why",
        ),
        (
            "429 Slow\r\nRetry-After: 3",
            Set::Retry,
            Some(Duration::from_secs(3)),
            "the application answered 429 Too Many Requests: why",
        ),
        ("500 No", Set::Retry, None, "the application answered 500 Internal Server Error: why"),
        (
            "302 Found\r\nLocation: /login",
            Set::Retry,
            None,
            "the application answered 302 Found: why",
        ),
        (
            "404 No\r\nRetry-After: 120",
            Set::Retry,
            None,
            "the application answered 404 Not Found: why",
        ),
        (
            "422 No\r\nForebay-Job: kill",
            Set::Dead,
            Some(Duration::ZERO),
            "the application answered 422 Unprocessable Entity: why",
        ),
    ] {
        block_on(async {
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 3\r\n\r\nwhy").leak();
            let application = Application::start(&[answer]);
            let fate = run(application.handler(MINUTE), 1).await;
            let (found, entry) = fate.entry.as_ref().expect("it is kept");
            assert_eq!((*found, fate.failure().1.as_str()), (set, message), "{answer}");
            match after {
                Some(after) => assert_eq!(entry.at, NOW.after(after), "{answer}"),
                None => assert!(entry.at >= NOW.after(LATER) && entry.at < NOW.after(2 * LATER)),
            }
        });
    }
}

#[test]
fn an_application_may_forget_a_job_or_put_it_off() {
    block_on(async {
        let application = Application::start(&[
            "HTTP/1.1 410 Gone\r\nForebay-Job: discard\r\nContent-Length: 0\r\n\r\n",
        ]);
        let fate = run(application.handler(MINUTE), 1).await;
        assert!(fate.entry.is_none() && fate.counts.enqueued == 0);
        let application = Application::start(&[
            "HTTP/1.1 409 Conflict\r\nForebay-Job: snooze=60\r\nContent-Length: 0\r\n\r\n",
        ]);
        let fate = run(application.handler(MINUTE), 1).await;
        let (set, entry) = fate.entry.expect("it waits");
        assert_eq!((set, entry.at), (Set::Schedule, NOW.after(MINUTE)));
        assert!(Job::parse(entry.payload).expect("a job").failures() == 0);
    });
}

#[test]
fn silence_and_a_closed_door_are_failures() {
    block_on(async {
        let application = Application::start(&[]);
        let fate = run(application.handler(Duration::from_millis(50)), 1).await;
        assert_eq!(fate.failure(), ("DeadlineExceeded".into(), "no answer within `50ms`".into()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let closed = Application { port, seen: Arc::default() };
        let (class, message) = run(closed.handler(MINUTE), 1).await.failure();
        assert_eq!(class, "DeliveryError");
        assert!(
            message.starts_with(&format!("cannot connect to `127.0.0.1:{port}`: ")),
            "{message}"
        );
        // It says that it is done and goes away before it has said all: the status counts.
        let broken = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok";
        let application = Application::start(&[broken]);
        assert_eq!(run(application.handler(MINUTE), 1).await.done, 1);
    });
}

#[test]
fn connections_are_used_again_and_made_anew() {
    block_on(async {
        let application = Application::start(&[DONE, DONE, CLOSING, DONE]);
        let fate = run(application.handler(MINUTE), 4).await;
        assert_eq!((fate.done, application.seen().len()), (4, 4));
    });
}

#[test]
fn addresses_that_lead_nowhere_are_refused() {
    for url in ["/jobs", "ftp://a/", "https://a.example/", "http://user:word@a.example/"] {
        let url = url.parse().expect("it is one");
        let fields = HeaderMap::new();
        let settings = Settings { url, secret: None, deadline: MINUTE, fields, tls: None };
        assert!(Deliveries::new(settings).is_err());
    }
}

fn shell(script: &str, deadline: Duration) -> Commands {
    let command = ["sh", "-c", script].map(OsString::from).to_vec();
    Commands { command, deadline }
}

#[test]
fn a_command_gets_its_job_and_its_exit_code_decides() {
    block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("job");
        let script = format!(
            "cat > '{0}.new'; echo \"$FOREBAY_JOB_CLASS $FOREBAY_JOB_QUEUE $FOREBAY_JOB_ATTEMPT\" >> '{0}.new'; mv '{0}.new' '{0}'",
            path.display()
        );
        let fate = run(shell(&script, MINUTE), 1).await;
        assert_eq!(fate.done, 1);
        let text = std::fs::read_to_string(&path).expect("it was written");
        let (payload, environment) = text.split_once('}').expect("the payload");
        assert_eq!(environment.trim(), "Ruby::Class mail 1");
        let job = Job::parse(format!("{payload}}}").into()).expect("byte for byte");
        assert_eq!(job.args_json(), "[7,\"\u{e9}\",0]".as_bytes());
        for (script, set, failure) in [
            ("echo it broke >&2; exit 1", Set::Retry, ("Exit 1", "it broke")),
            ("exit 75", Set::Retry, ("Exit 75", "exit status: 75")),
            ("echo nonsense >&2; exit 65", Set::Dead, ("Exit 65", "nonsense")),
            ("kill -9 $$", Set::Retry, ("Killed", "signal: 9 (SIGKILL)")),
        ] {
            let fate = run(shell(script, MINUTE), 1).await;
            let (class, message) = fate.failure();
            assert_eq!((class.as_str(), message.as_str()), failure);
            assert_eq!(fate.entry.expect("kept").0, set);
        }
        let nothing = Commands { command: vec!["/does/not/exist".into()], deadline: MINUTE };
        let (class, message) = run(nothing, 1).await.failure();
        assert_eq!(class, "SpawnError");
        assert!(message.starts_with("cannot run `/does/not/exist`: "), "{message}");
    });
}

#[test]
fn a_command_that_does_not_end_is_ended_with_all_it_started() {
    block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > '{}'; wait", path.display());
        let fate = run(shell(&script, Duration::from_millis(500)), 1).await;
        assert_eq!(
            fate.failure(),
            ("DeadlineExceeded".into(), "it did not end within `500ms`".into())
        );
        let child = std::fs::read_to_string(&path).expect("it began");
        // A zombie whose parent is gone waits for whoever adopts it: it runs no more.
        let status = Path::new("/proc").join(child.trim()).join("stat");
        let deadline = forebay_signals::clock::now() + MINUTE;
        while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains(") Z")) {
            assert!(forebay_signals::clock::now() < deadline, "it still runs");
            forebay_signals::clock::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn many_words_are_bounded_and_a_job_that_nobody_reads_blocks_nothing() {
    block_on(async {
        let fate =
            run(shell("exec 0<&-; yes | head -c 1000000 >&2; echo the end >&2; exit 3", MINUTE), 1)
                .await;
        let (class, message) = fate.failure();
        assert_eq!(class, "Exit 3");
        assert!(message.ends_with("the end") && message.len() <= 4_096, "{}", message.len());
    });
}
