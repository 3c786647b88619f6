//! Jobs that are delivered by `https`, to a real server with TLS.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forebay_jobs::deliver::http::{Deliveries, Settings};
use forebay_jobs::deliver::trust;
use forebay_jobs::job::Job;
use forebay_jobs::push::Client;
use forebay_jobs::store::memory::Memory;
use forebay_jobs::store::{Entry, From, Retention, Set, Store};
use forebay_jobs::testing;
use forebay_jobs::time::{Clock, Moment};
use forebay_jobs::worker::Worker;
use http::HeaderMap;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const NOW: Moment = Moment::from_micros(1_795_436_000_000_000);
const DONE: &str = "HTTP/1.1 204 Done\r\n\r\n";

/// An application with TLS that answers each request with the next of `answers`.
struct Application {
    port: u16,
    /// What vouches for it.
    authority: String,
    /// The connection that each request came by, and its first line.
    seen: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Application {
    fn start(answers: Vec<&'static str>) -> Application {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let made = made.expect("a certificate");
        let authority = made.cert.pem();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key);
        let config = Arc::new(config.expect("a pair"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::<Mutex<Vec<(usize, String)>>>::default();
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut answers = answers.into_iter();
            for (nth, stream) in listener.incoming().flatten().enumerate() {
                let server = ServerConnection::new(Arc::clone(&config)).expect("a connection");
                // A client that does not trust us breaks off.
                drop(converse(StreamOwned::new(server, stream), nth, &noted, &mut answers));
            }
        });
        Application { port, authority, seen }
    }

    fn handler(&self, host: &str, authority: &str) -> Deliveries {
        let url = format!("https://{host}:{}/jobs", self.port).parse().expect("an address");
        let tls = Some(trust(Some(authority.as_bytes())).expect("an authority"));
        let (deadline, fields) = (Duration::from_secs(60), HeaderMap::new());
        Deliveries::new(Settings { url, secret: None, deadline, fields, tls }).expect("an address")
    }

    fn seen(&self) -> Vec<(usize, String)> {
        self.seen.lock().expect("no panic").clone()
    }
}

fn converse(
    stream: impl Read + Write,
    nth: usize,
    noted: &Mutex<Vec<(usize, String)>>,
    answers: &mut dyn Iterator<Item = &'static str>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut content = vec![0; length];
        stream.read_exact(&mut content)?;
        assert!(Job::parse(content.into()).is_ok(), "the payload");
        let first = head.lines().next().unwrap_or_default().to_owned();
        noted.lock().expect("no panic").push((nth, first));
        let Some(answer) = answers.next() else { return Ok(()) };
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.get_mut().flush()?;
    }
}

/// How many are done, and what is kept of the first of those that failed.
async fn run(handler: Deliveries, jobs: usize) -> (u64, Option<(Entry, Job)>) {
    let clock = Clock::manual(NOW);
    let store = Arc::new(Memory::new(clock.clone(), Retention::default()));
    let client = Client::builder(store.clone()).clock(clock.clone()).build();
    for n in 0..jobs {
        client.push_raw("A", &(n,)).await.expect("pushed");
    }
    let worker = Worker::builder(store.clone()).otherwise(handler).clock(clock).build();
    let done = testing::drain(&worker).await.expect("it drains").done;
    let kept = store.entries(Set::Retry, From::Oldest, 0, 1).await.expect("entries").pop();
    let job = kept.map(|entry| {
        let job = Job::parse(entry.payload.clone()).expect("a job");
        (entry, job)
    });
    (done as u64, job)
}

fn text(job: &Job, field: &str) -> String {
    serde_json::from_str(&job.field(field).expect("a field")).expect("a text")
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(test);
}

#[test]
fn jobs_arrive_over_one_connection() {
    block_on(async {
        let application = Application::start(vec![DONE; 3]);
        let (done, kept) = run(application.handler("localhost", &application.authority), 3).await;
        assert!(done == 3 && kept.is_none());
        let seen = application.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|it| *it == (0, "POST /jobs HTTP/1.1".to_owned())), "{seen:?}");
    });
}

#[test]
fn answers_mean_what_they_mean_without_tls() {
    let minute = Duration::from_secs(60);
    for (answer, class, wait) in [
        ("307 Elsewhere\r\nLocation: https://localhost/other", "HTTP 307", None),
        ("302 Found\r\nLocation: /other", "HTTP 302", None),
        ("408 Late\r\nRetry-After: 60", "HTTP 408", Some(minute)),
        ("425 Early\r\nRetry-After: 60", "HTTP 425", Some(minute)),
        ("429 Slow\r\nRetry-After: 60", "HTTP 429", Some(minute)),
        ("503 Busy\r\nRetry-After: 60", "HTTP 503", Some(minute)),
        ("400 No\r\nRetry-After: 60", "HTTP 400", None),
    ] {
        block_on(async {
            let answer: &str = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n").leak();
            let application = Application::start(vec![answer, DONE]);
            let handler = application.handler("localhost", &application.authority);
            let (_, kept) = run(handler, 1).await;
            let (entry, job) = kept.expect("it is tried again");
            assert_eq!(text(&job, "error_class"), class);
            // A redirect is not followed.
            assert_eq!(application.seen().len(), 1, "{class}");
            match wait {
                Some(wait) => assert_eq!(entry.at, NOW.after(wait), "{class}"),
                None => assert!(entry.at < NOW.after(minute), "{class}"),
            }
        });
    }
}

#[test]
fn nothing_is_delivered_to_whom_nobody_vouches_for() {
    block_on(async {
        let application = Application::start(vec![DONE; 2]);
        let stranger = Application::start(Vec::new());
        for (host, authority) in
            [("localhost", &stranger.authority), ("127.0.0.1", &application.authority)]
        {
            let (_, kept) = run(application.handler(host, authority), 1).await;
            let (_, job) = kept.expect("it is tried again");
            assert_eq!(text(&job, "error_class"), "DeliveryError");
            let message = text(&job, "error_message");
            assert!(message.contains("certificate"), "{host}: {message}");
        }
        assert!(application.seen().is_empty(), "not a byte of a job");
    });
}
