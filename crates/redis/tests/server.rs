//! What becomes of a call, on a real server.

use std::time::Duration;

use forebay_redis::connect::{Again, Error, Redis, Settings, Told};
use forebay_redis::script::Script;
use forebay_redis::server::Server;
use forebay_redis::{Cmd, Value, cmd, pipe};
use forebay_signals::clock;

const PATIENCE: Duration = Duration::from_secs(20);

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime starts");
    let done = runtime.block_on(async { clock::timeout(3 * PATIENCE, test).await });
    done.expect("the test comes to an end");
}

fn call(parts: &[&str]) -> Cmd {
    let mut call = cmd(parts[0]);
    for part in &parts[1..] {
        call.arg(*part);
    }
    call
}

async fn ask(redis: &Redis, parts: &[&str]) -> Result<Value, Error> {
    redis.ask(&call(parts), Again::Never).await
}

#[test]
fn a_restart_while_nobody_calls_is_not_felt() {
    run(async {
        let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let redis = Redis::new(server.settings());
        for n in 1..=5 {
            assert_eq!(ask(&redis, &["INCR", "n"]).await.unwrap(), Value::Int(n));
            server.revive(&[]);
        }
        // Each ran, and ran once: an error would have said otherwise.
        assert_eq!(ask(&redis, &["GET", "n"]).await.unwrap(), Value::BulkString(b"5".to_vec()));
    });
}

#[test]
fn without_a_server_a_call_tries_and_gives_up() {
    run(async {
        let mut server = Server::start(&[]);
        let redis = Redis::new(server.settings());
        server.kill();
        let began = clock::now();
        let error = ask(&redis, &["PING"]).await.unwrap_err();
        assert!(matches!(error, Error::Away(_)), "{error:?}");
        // 20, 40 and 80 ms of pauses.
        assert!(clock::now() - began >= Duration::from_millis(140));
        // Many at once share their attempts, and end as soon as one.
        let began = clock::now();
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let redis = redis.clone();
                tokio::spawn(async move { ask(&redis, &["PING"]).await })
            })
            .collect();
        for task in tasks {
            assert!(matches!(task.await.unwrap(), Err(Error::Away(_))));
        }
        assert!(clock::now() - began < Duration::from_secs(5));
        server.revive(&[]);
        assert!(ask(&redis, &["PING"]).await.is_ok());
    });
}

const BUSY: &str = "local function now() local t = redis.call('TIME') return t[1] * 1000000 + t[2] end \
    local till = now() + 300000 while now() < till do end return redis.call('INCR', 'n')";

#[test]
fn a_late_answer_is_asked_for_again_only_where_that_is_safe() {
    run(async {
        let server = Server::start(&[]);
        let settings = Settings { timeout: Duration::from_millis(100), ..server.settings() };
        let redis = Redis::new(settings);
        assert!(ask(&redis, &["PING"]).await.is_ok());
        let error = ask(&redis, &["EVAL", BUSY, "0"]).await.unwrap_err();
        assert!(matches!(error, Error::Away(_)) && !error.is_undone(), "{error:?}");
        // It is asked until the server has time again; meanwhile the first call was done, once.
        let patient = Settings { reconnect_attempts: 50, ..redis.settings().clone() };
        let patient = Redis::new(patient);
        let answer = patient.ask(&call(&["GET", "n"]), Again::Safe).await.unwrap();
        assert_eq!(answer, Value::BulkString(b"1".to_vec()));
    });
}

#[test]
fn a_script_that_was_forgotten_is_sent_again() {
    run(async {
        let server = Server::start(&[]);
        let redis = Redis::new(server.settings());
        let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
        for n in 1..=3 {
            let answer = script.run(&redis, 1, Again::Never, |call| {
                call.arg("n").arg(2);
            });
            assert_eq!(answer.await.unwrap(), Value::Int(2 * n));
            ask(&redis, &["SCRIPT", "FLUSH"]).await.unwrap();
        }
    });
}

#[test]
fn refusals_are_told_apart() {
    run(async {
        let server = Server::start(&[]);
        let redis = Redis::new(server.settings());
        let script = Script::new("return redis.call('SET', 'a', '1')");
        let scripted = async || script.run(&redis, 0, Again::Never, |_| {}).await.unwrap_err();
        ask(&redis, &["CONFIG", "SET", "maxmemory", "1"]).await.unwrap();
        assert!(matches!(ask(&redis, &["SET", "a", "1"]).await, Err(Error::Full(_))));
        assert!(matches!(scripted().await, Error::Full(_)));
        let piped = redis.pipe(pipe().cmd("PING").cmd("SET").arg("a").arg(1), Again::Never).await;
        assert!(matches!(piped, Err(Error::Full(_))));
        ask(&redis, &["CONFIG", "SET", "maxmemory", "0"]).await.unwrap();
        ask(&redis, &["REPLICAOF", "127.0.0.1", "1"]).await.unwrap();
        assert!(matches!(ask(&redis, &["SET", "a", "1"]).await, Err(Error::ReadOnly(_))));
        assert!(matches!(scripted().await, Error::ReadOnly(_)));
        ask(&redis, &["CONFIG", "SET", "replica-serve-stale-data", "no"]).await.unwrap();
        let error = ask(&redis, &["GET", "a"]).await.unwrap_err();
        assert!(matches!(error, Error::NotReady(_)) && error.is_undone(), "{error:?}");
        assert!(matches!(ask(&redis, &["NONSENSE"]).await, Err(Error::Refused(_))));
    });
}

#[test]
fn what_concerns_one_call_of_a_pipeline_stands_in_its_place() {
    run(async {
        let server = Server::start(&[]);
        let redis = Redis::new(server.settings());
        let mut calls = pipe();
        calls.cmd("SET").arg("a").arg("text").cmd("LLEN").arg("a").cmd("GET").arg("a");
        let answers = redis.pipe(&calls, Again::Safe).await.unwrap();
        assert!(matches!(&answers[1], Value::ServerError(it) if it.code() == "WRONGTYPE"));
        assert_eq!(answers[2], Value::BulkString(b"text".to_vec()));
    });
}

#[test]
fn a_connection_of_ones_own_hears_of_changes_and_of_its_end() {
    run(async {
        let mut server = Server::start(&[]);
        let redis = Redis::new(Settings {
            pool_size: 1,
            pool_timeout: Duration::from_millis(50),
            ..server.settings()
        });
        let (tell, mut heard) = tokio::sync::mpsc::channel(8);
        let own = redis.own(move |told| tell.try_send(told).expect("few are told")).await.unwrap();
        let second = redis.own(|_| {}).await.unwrap_err();
        assert!(matches!(second, Error::Busy(_)), "{second:?}");
        own.ask(&call(&["CLIENT", "TRACKING", "ON"]), PATIENCE).await.unwrap();
        own.ask(&call(&["EXISTS", "a"]), PATIENCE).await.unwrap();
        ask(&redis, &["LPUSH", "a", "1"]).await.unwrap();
        assert_eq!(heard.recv().await, Some(Told::Changed(vec![b"a".to_vec()])));
        // What waits has its own time-out, longer than that of calls or shorter.
        let late = own.ask(&call(&["BLPOP", "b", "0"]), Duration::from_millis(20)).await;
        assert!(matches!(late, Err(Error::Away(_))));
        server.kill();
        assert_eq!(heard.recv().await, Some(Told::Gone));
    });
}
