//! Clients that leave before they have their answer.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::origin::Origin;
use forebay_edge::view;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Answers, GET, POST, World, always, ask, request, until, with_world};

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

/// What may be stored, after a while.
fn slow() -> Answers {
    Arc::new(|_| {
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi";
        (Duration::from_millis(200), answer.into())
    })
}

#[test]
fn who_leaves_takes_nothing_from_those_who_wait_for_the_same() {
    with_world(
        slow(),
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

/// Requests that the origin is busy with, as the edge counts them.
fn at_the_origin(world: &World) -> usize {
    view::status(&world.edge).origins[0].in_flight
}

/// Asks for what is to be stored and leaves before anything of it has come.
async fn asks_and_leaves(world: &World, message: &str) {
    let stream = asks(world, message).await;
    world.until_asked(1).await;
    drop(stream);
    until_nobody_is_in_flight(world).await;
}

#[test]
fn what_all_who_waited_have_left_is_stored_for_those_who_come() {
    with_world(
        slow(),
        |_| {},
        |world| async move {
            asks_and_leaves(&world, GET).await;
            until("it is stored", || world.edge.cache.view().objects == 1).await;
            let text = ask(world.port, GET).await;
            assert!(text.contains("cache-status: Forebay; hit"), "{text}");
            assert_eq!(world.asked(), 1);
        },
    );
}

#[test]
fn what_nobody_waits_for_holds_its_place_no_longer_than_the_deadlines() {
    let hurried = |config: &mut Config| {
        let mut origin = Origin::clone(&config.origins[0]);
        origin.total_timeout = Duration::from_millis(300);
        config.origins = vec![Arc::new(origin)];
    };
    with_world(never(), hurried, |world| async move {
        asks_and_leaves(&world, GET).await;
        until("its place is given back", || at_the_origin(&world) == 0).await;
    });
}

#[test]
fn what_may_not_be_stored_is_given_up_with_its_last_reader() {
    with_world(
        never(),
        |_| {},
        |world| async move {
            let message = request("GET", "/a", "Cache-Control: no-store\r\n");
            let first = asks(&world, &message).await;
            world.until_asked(1).await;
            let second = asks(&world, &message).await;
            until("both wait", || world.edge.in_flight.count() == 2).await;
            drop(first);
            until("one has left", || world.edge.in_flight.count() == 1).await;
            assert_eq!(at_the_origin(&world), 1, "the other waits for it still");
            drop(second);
            until("its place is given back", || at_the_origin(&world) == 0).await;
            assert_eq!(world.asked(), 1);
            // Whoever comes now begins anew.
            let third = asks(&world, &message).await;
            world.until_asked(2).await;
            drop(third);
        },
    );
}
