//! Clients that leave before they have their answer.

use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answers, GET, POST, World, always, ask, until, with_world};

/// Longer than any test may last: whoever waits for it waits in vain.
const NEVER: Duration = Duration::from_secs(3_600);

fn never() -> Answers {
    Arc::new(|_| (NEVER, String::new()))
}

async fn asks(world: &World, message: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", world.port)).await.expect("it listens");
    stream.write_all(message.as_bytes()).await.expect("written");
    stream
}

async fn until_nobody_is_in_flight(world: &World) {
    until("the place is given back", || world.edge.in_flight.count() == 0).await;
}

#[test]
fn a_client_that_closes_while_it_waits_gives_its_place_back() {
    with_world(
        never(),
        |_| {},
        |world| async move {
            for message in [GET, POST] {
                let stream = asks(&world, message).await;
                until("it is under way", || world.edge.in_flight.count() == 1).await;
                drop(stream);
                until_nobody_is_in_flight(&world).await;
            }
        },
    );
}

#[test]
fn a_client_that_resets_while_it_waits_gives_its_place_back() {
    with_world(
        never(),
        |_| {},
        |world| async move {
            let stream = asks(&world, POST).await;
            until("it is under way", || world.edge.in_flight.count() == 1).await;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket of ours");
            drop(stream);
            until_nobody_is_in_flight(&world).await;
        },
    );
}

#[test]
fn a_client_that_leaves_a_quiet_stream_gives_its_place_back() {
    let begins = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    with_world(
        always(begins),
        |_| {},
        |world| async move {
            let mut stream = asks(&world, POST).await;
            let mut seen = Vec::new();
            while !seen.ends_with(b"hello") {
                assert_ne!(stream.read_buf(&mut seen).await.expect("readable"), 0, "it goes on");
            }
            assert_eq!(world.edge.in_flight.count(), 1);
            drop(stream);
            until_nobody_is_in_flight(&world).await;
        },
    );
}

#[test]
fn who_leaves_takes_nothing_from_those_who_wait_for_the_same() {
    let slow: Answers = Arc::new(|_| {
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi";
        (Duration::from_millis(200), answer.into())
    });
    with_world(
        slow,
        |_| {},
        |world| async move {
            let first = asks(&world, GET).await;
            world.until_asked(1).await;
            let second = tokio::spawn({
                let port = world.port;
                async move { ask(port, GET).await }
            });
            until("both wait", || world.edge.in_flight.count() == 2).await;
            drop(first);
            until("the first has gone", || world.edge.in_flight.count() == 1).await;
            let text = second.await.expect("no panic");
            assert!(text.ends_with("\r\n\r\nhi"), "{text}");
            assert_eq!(world.asked(), 1, "nobody had to ask again");
        },
    );
}
