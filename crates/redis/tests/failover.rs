//! Connections by TLS, and to whichever server the Sentinels name, on real servers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_redis::connect::{Again, Error, Redis, Settings, Target};
use forebay_redis::server::Server;
use forebay_redis::{Value, cmd};
use forebay_signals::clock;
use tempfile::TempDir;

/// A Sentinel asks servers for their roles every ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime starts");
    let done = runtime.block_on(async { clock::timeout(3 * PATIENCE, test).await });
    done.expect("the test comes to an end");
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn settings(url: &str) -> Settings {
    Settings {
        target: Target::parse(url).expect("a URL"),
        reconnect_delay: Duration::from_millis(50),
        reconnect_delay_max: Duration::from_millis(200),
        ..Settings::default()
    }
}

async fn ask(redis: &Redis, parts: &[&str]) -> Result<Value, Error> {
    let mut call = cmd(parts[0]);
    for part in &parts[1..] {
        call.arg(*part);
    }
    redis.ask(&call, Again::Never).await
}

/// Asks until the answer is this one.
async fn until(redis: &Redis, parts: &[&str], is_it: impl Fn(&Value) -> bool) -> Value {
    let began = clock::now();
    loop {
        let answer = ask(redis, parts).await;
        match answer {
            Ok(value) if is_it(&value) => return value,
            answer => assert!(clock::now() - began < PATIENCE, "`{parts:?}`: {answer:?}"),
        }
        clock::sleep(Duration::from_millis(20)).await;
    }
}

/// A certificate for `localhost` and its key, written down, and who vouches for them.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it is made");
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("it is written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("it is written");
    (certificate, key)
}

#[test]
fn a_server_with_tls_is_who_its_certificate_says() {
    run(async {
        let folder = TempDir::new().expect("a folder");
        let (certificate, key) = certificate(folder.path());
        let port = free_port();
        let (port_text, text) = (port.to_string(), |path: &Path| path.display().to_string());
        let _server = Server::start(&[
            "--tls-port",
            &port_text,
            "--tls-cert-file",
            &text(&certificate),
            "--tls-key-file",
            &text(&key),
            "--tls-ca-cert-file",
            &text(&certificate),
            "--tls-auth-clients",
            "no",
        ]);
        let by_name = settings(&format!("rediss://localhost:{port}"));
        let known = Settings { authorities: Some(certificate.clone()), ..by_name.clone() };
        let redis = Redis::new(known.clone());
        assert_eq!(ask(&redis, &["INCR", "n"]).await.unwrap(), Value::Int(1));
        // Nobody vouches for it; it is not the one that it should be; the authorities are not to be read.
        let by_address = Target::parse(&format!("rediss://127.0.0.1:{port}")).expect("a URL");
        for wrong in [
            Settings { authorities: None, ..by_name.clone() },
            Settings { target: by_address, ..known.clone() },
            Settings { authorities: Some(folder.path().join("none.pem")), ..by_name },
        ] {
            let once = Settings { reconnect_attempts: 0, ..wrong };
            let error = ask(&Redis::new(once), &["INCR", "n"]).await.unwrap_err();
            assert!(matches!(error, Error::Away(_) | Error::Refused(_)), "{error:?}");
        }
        assert_eq!(ask(&redis, &["INCR", "n"]).await.unwrap(), Value::Int(2));
    });
}

/// A Sentinel that ends with this value.
struct Sentinel {
    _folder: TempDir,
    child: Child,
    port: u16,
}

impl Sentinel {
    fn start(primary: u16) -> Sentinel {
        let folder = TempDir::new().expect("a folder");
        let (file, port) = (folder.path().join("sentinel.conf"), free_port());
        let text = format!(
            "port {port}\ndir {}\nsentinel monitor main 127.0.0.1 {primary} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 30000\n",
            folder.path().display()
        );
        std::fs::write(&file, text).expect("it is written");
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdout(Stdio::null()).stderr(Stdio::null());
        Sentinel { _folder: folder, child: command.spawn().expect("it starts"), port }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn calls_go_where_the_sentinels_say() {
    run(async {
        let ports = [free_port(), free_port()];
        let [first, second] = ports.map(|port| port.to_string());
        let durable =
            ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
        let with = |more: [&str; 2]| durable.into_iter().chain(more).collect::<Vec<_>>().join(" ");
        let start = |line: String| Server::start(&line.split(' ').collect::<Vec<_>>());
        let mut primary = start(with(["--port", &first]));
        let replica = start(with(["--port", &second]) + " --replicaof 127.0.0.1 " + &first);
        let sentinel = Sentinel::start(ports[0]);
        let asked = Redis::new(settings(&format!("redis://127.0.0.1:{}", sentinel.port)));
        // One that knows of no replica promotes none.
        let knows = |value: &Value| matches!(value, Value::Array(all) if !all.is_empty());
        until(&asked, &["SENTINEL", "REPLICAS", "main"], knows).await;

        let url = format!("redis+sentinel://127.0.0.1:{}/main", sentinel.port);
        let redis = Redis::new(settings(&url));
        until(&redis, &["WAIT", "1", "100"], |value| *value == Value::Int(1)).await;
        assert_eq!(ask(&redis, &["SET", "kept", "1"]).await.unwrap(), Value::Okay);
        until(&redis, &["WAIT", "1", "100"], |value| *value == Value::Int(1)).await;

        // The primary is gone: calls fail, none before its answer is known, and go on at the other.
        primary.kill();
        until(&redis, &["SET", "after", "1"], |value| *value == Value::Okay).await;
        let other = Redis::new(replica.settings());
        for (key, value) in [("kept", &b"1"[..]), ("after", b"1")] {
            let found = ask(&other, &["GET", key]).await.unwrap();
            assert_eq!(found, Value::BulkString(value.to_vec()), "{key}");
        }
    });
}
