use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

const LIMITS: Limits = Limits { idle: Duration::from_secs(5), drain: Duration::from_secs(5) };

/// Runs `test` with both outer ends of a tunnel.
fn with_tunnel<F>(limits: Limits, test: impl FnOnce(DuplexStream, DuplexStream, Drain) -> F)
where
    F: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime starts").block_on(async {
        let (client, inner_client) = duplex(64);
        let (origin, inner_origin) = duplex(64);
        let drain = Drain::default();
        let input = BytesMut::from("early ");
        let tunnel = run(inner_client, input, inner_origin, limits, &drain);
        let both = async { tokio::join!(tunnel, test(client, origin, drain.clone())) };
        drop(clock::timeout(Duration::from_secs(10), both).await.expect("in time"));
        assert_eq!(drain.held(), 0);
    });
}

#[test]
fn one_that_ends_its_half_still_receives() {
    with_tunnel(LIMITS, |mut client, mut origin, _| async move {
        client.write_all(b"question").await.expect("written");
        client.shutdown().await.expect("shut");
        let mut text = String::new();
        origin.read_to_string(&mut text).await.expect("read");
        assert_eq!(text, "early question");
        let answers = async move {
            origin.write_all(&vec![b'x'; 100_000]).await.expect("written");
        };
        let mut answer = Vec::new();
        let ((), read) = tokio::join!(answers, client.read_to_end(&mut answer));
        read.expect("read");
        assert_eq!(answer.len(), 100_000);
    });
}

#[test]
fn silence_ends_it_and_one_busy_direction_keeps_it() {
    let limits = Limits { idle: Duration::from_millis(100), ..LIMITS };
    with_tunnel(limits, |mut client, mut origin, _| async move {
        let began = clock::now();
        for _ in 0..6 {
            clock::sleep(Duration::from_millis(40)).await;
            origin.write_all(b"x").await.expect("the tunnel lives");
        }
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("read");
        assert_eq!(all, b"xxxxxx");
        assert!(clock::now() - began >= Duration::from_millis(300), "silence began after the last");
    });
}

#[test]
fn a_drain_leaves_it_some_time() {
    let limits = Limits { drain: Duration::from_millis(50), ..LIMITS };
    with_tunnel(limits, |mut client, origin, drain| async move {
        drain.begin();
        let began = clock::now();
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.expect("read");
        assert!(clock::now() - began >= Duration::from_millis(50));
        drop(origin);
    });
}
