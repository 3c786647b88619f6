//! An origin that takes fewer requests than come: who is given up, in which order, and what is said of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::policy::Policy;
use forebay_edge::view;
use forebay_signals::clock;

use super::support::{Answers, World, request, until, with_world};

const TAKEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: no-store\r\n\r\ntaken";
const REFUSED: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nRetry-After: 1\r\n\r\nbusy";

/// An origin that takes one request of five while it is `busy`.
fn takes_a_fifth(busy: &Arc<AtomicBool>) -> Answers {
    let (busy, count) = (Arc::clone(busy), AtomicUsize::new(0));
    Arc::new(move |head| {
        let grant = match head.split(' ').nth(1) {
            Some("/fresh") => "s-maxage=60",
            Some("/covered") => "s-maxage=0, stale-if-error=60",
            Some("/overdue") => "s-maxage=0",
            _ if !busy.load(Ordering::SeqCst) => return (Duration::ZERO, TAKEN.to_owned()),
            _ if count.fetch_add(1, Ordering::SeqCst).is_multiple_of(5) => {
                return (Duration::ZERO, TAKEN.to_owned());
            }
            _ => return (Duration::ZERO, REFUSED.to_owned()),
        };
        let etag = "ETag: \"1\"\r\n";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n{etag}Cache-Control: {grant}");
        (Duration::ZERO, format!("{head}\r\n\r\npage"))
    })
}

/// What came of so many misses: taken, refused by the origin, shed by the edge.
#[derive(Debug, Default)]
struct Tally {
    taken: usize,
    refused: usize,
    shed: usize,
}

async fn misses(world: &World, count: usize, fields: &str) -> Tally {
    let mut tally = Tally::default();
    for number in 0..count {
        let answer = world.ask(&request("GET", &format!("/miss-{number}"), fields)).await;
        if answer.contains("forebay-error: shed\r\n") {
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 2\r\n"));
            tally.shed += 1;
        } else if answer.starts_with("HTTP/1.1 200") {
            tally.taken += 1;
        } else {
            assert!(answer.ends_with("busy"), "{answer}");
            tally.refused += 1;
        }
    }
    tally
}

#[test]
fn an_overloaded_origin_is_spared_and_those_who_lose_least_are_given_up_first() {
    let busy = Arc::new(AtomicBool::new(true));
    let edit = |config: &mut Config| {
        let mut policy = Policy::api().as_ref().clone();
        policy.stale_if_overloaded = Some(Duration::from_secs(600));
        config.routes[0].policy = Some(Arc::new(policy));
    };
    with_world(takes_a_fifth(&busy), edit, |world| async move {
        let get = |path| request("GET", path, "");
        for path in ["/fresh", "/covered", "/overdue"] {
            world.ask(&get(path)).await;
        }
        let all = misses(&world, 200, "").await;
        assert!(all.shed > 80, "of five, one is taken and one refused by the origin: {all:?}");
        assert!(all.taken >= 15, "{all:?}");
        // Whoever is in the middle of something goes on while there are strangers to give up.
        let asked = world.asked();
        let known = misses(&world, 20, "Cookie: session=1\r\n").await;
        assert_eq!((known.shed, world.asked() - asked), (0, 20), "{known:?}");
        let asked = world.asked();
        for (path, why) in [("/covered", "stale-if-error"), ("/fresh", "Forebay; hit")] {
            let answer = world.ask(&get(path)).await;
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(why), "{answer}");
        }
        assert_eq!(world.asked(), asked, "the origin is not asked for what covers itself");

        let status = view::status(&world.edge);
        let throttle = status.origins[0].throttle.as_ref().expect("it is on");
        assert_eq!(throttle.sheds.as_deref(), Some("unknown"));
        let told = &status.journal[0].what;
        assert!(told.contains("sheds misses of clients without cookie"), "{told}");
        let line = "forebay_edge_origin_shed_total{origin=\"app\",priority=\"unknown\"} ";
        assert!(view::metrics(&world.edge).contains(line));

        // With nobody else left to give up, those too, and what is stored past its time stands in.
        let known = misses(&world, 400, "Cookie: session=1\r\n").await;
        assert!(known.shed > 50, "{known:?}");
    });
}

#[test]
fn it_ends_when_the_origin_takes_all_again_and_the_journal_says_both() {
    let busy = Arc::new(AtomicBool::new(true));
    let while_busy = Arc::clone(&busy);
    with_world(
        takes_a_fifth(&busy),
        |_| {},
        |world| async move {
            assert!(misses(&world, 100, "").await.shed > 20);
            while_busy.store(false, Ordering::SeqCst);
            until("it takes all again", || {
                let status = view::status(&world.edge);
                status.origins[0].throttle.as_ref().is_some_and(|throttle| throttle.asked < 40)
            })
            .await;
            assert_eq!(misses(&world, 50, "").await.shed, 0);
            let newest = || view::status(&world.edge).journal[0].what.clone();
            assert!(newest().contains("overloaded, sheds misses"), "{}", newest());
            let deadline = clock::now() + Duration::from_secs(10);
            while !newest().contains("sheds nothing any more, after") {
                assert!(clock::now() < deadline, "{}", newest());
                assert_eq!(misses(&world, 1, "").await.taken, 1);
            }
        },
    );
}

#[test]
fn whoever_turns_throttling_off_has_everything_sent_on() {
    let busy = Arc::new(AtomicBool::new(true));
    let edit = |config: &mut Config| Arc::make_mut(&mut config.origins[0]).throttle_factor = None;
    with_world(takes_a_fifth(&busy), edit, |world| async move {
        let all = misses(&world, 100, "").await;
        assert_eq!((all.shed, all.taken), (0, 20), "{all:?}");
    });
}

#[test]
fn an_origin_that_says_when_to_come_again_is_not_asked_at_another_server() {
    let busy = Arc::new(AtomicBool::new(true));
    let edit = |config: &mut Config| {
        let origin = Arc::make_mut(&mut config.origins[0]);
        origin.failover_statuses = vec![http::StatusCode::SERVICE_UNAVAILABLE];
        origin.throttle_factor = None;
    };
    with_world(takes_a_fifth(&busy), edit, |world| async move {
        let all = misses(&world, 20, "").await;
        assert_eq!((all.refused, world.asked()), (16, 20), "each was sent once");
        let server = &view::status(&world.edge).origins[0].servers[0];
        assert_eq!((server.breaker.as_str(), server.failures), ("closed", 0), "busy is not sick");
    });
}
