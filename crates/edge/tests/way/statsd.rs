//! Metrics as `DogStatsD` has them, on real sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::statsd::{Agent, Statsd};
use forebay_edge::telemetry;
use forebay_signals::clock;
use forebay_signals::drain::Drain;
use tokio::net::{UdpSocket, UnixDatagram};

use super::support::{GET, World, always, until, with_world};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: s-maxage=60\r\n\r\nhi";

fn every_100_ms(agent: Agent) -> Statsd {
    let (interval, tags) = (Duration::from_millis(100), vec!["env:test".into()]);
    Statsd { agent: Some(agent), interval, tags, ..Statsd::default() }
}

/// A metric as an agent reads it: name and tags, kind, value.
fn metric(line: &str) -> (String, String, f64) {
    let mut parts = line.split('|');
    let (name, value) = parts.next().and_then(|first| first.split_once(':')).expect("a value");
    let kind = parts.next().expect("a kind").to_owned();
    let (mut value, mut tags) = (value.parse().expect("a number"), "");
    for part in parts {
        match part.split_at(1) {
            ("@", rate) => value = (1.0 / rate.parse::<f64>().expect("a rate")).trunc(),
            ("#", all) => tags = all,
            _ => panic!("neither a rate nor tags: {line}"),
        }
    }
    (format!("{name}#{tags}"), kind, value)
}

/// Adds up counters of what comes, until `is_enough`.
async fn add_up<F: Future<Output = Vec<u8>>>(
    mut receive: impl FnMut() -> F,
    most: usize,
    is_enough: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    while !is_enough(&all) {
        let datagram = receive().await;
        assert!(datagram.len() <= most, "{} bytes", datagram.len());
        for line in std::str::from_utf8(&datagram).expect("text").lines() {
            let (name, kind, value) = metric(line);
            match kind.as_str() {
                "c" => *all.entry(name).or_default() += value,
                "g" => drop(all.insert(name, value)),
                // A distribution: how many values there were.
                "d" => {
                    *all.entry(name).or_default() += if line.contains("|@") { value } else { 1.0 }
                }
                _ => panic!("{line}"),
            }
        }
    }
    all
}

const REQUESTS: &str = "forebay.edge.requests#route:default,status:2xx,env:test";
const HITS: &str = "forebay.edge.cache#route:default,outcome:hit,env:test";
const SECONDS: &str = "forebay.edge.request_seconds#route:default,env:test";

fn is(all: &BTreeMap<String, f64>, name: &str, value: f64) -> bool {
    all.get(name).is_some_and(|is| (is - value).abs() < 0.5)
}

async fn fetch(world: &World, times: usize) {
    for _ in 0..times {
        assert!(world.ask(GET).await.ends_with("hi"));
    }
}

#[test]
fn counters_grow_by_what_came_and_the_last_of_it_comes_at_the_end() {
    with_world(
        always(OK),
        |_| (),
        |world| async move {
            let agent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let port = agent.local_addr().expect("bound").port();
            let mut config = world.edge.snapshot().config.clone();
            config.statsd = every_100_ms(Agent::Udp("localhost".into(), port));
            // `localhost` may be either.
            config.statsd.agent = Some(Agent::Udp("127.0.0.1".into(), port));
            let gone = Drain::default();
            let sending = telemetry::start(&world.edge, &gone).expect("it starts");
            fetch(&world, 3).await;
            world.reload(config.clone());
            let receive = || async {
                let mut datagram = vec![0; 65_536];
                let length = agent.recv(&mut datagram).await.expect("a datagram");
                datagram.truncate(length);
                datagram
            };
            let all = add_up(receive, 1_432, |all| is(all, SECONDS, 3.0)).await;
            assert!(is(&all, REQUESTS, 3.0) && is(&all, HITS, 2.0), "{all:?}");
            assert!(all.contains_key("forebay.edge.connections#env:test"), "{all:?}");
            config.statsd.interval = Duration::from_secs(600);
            world.reload(config);
            fetch(&world, 4).await;
            gone.begin();
            sending.finish().await;
            let all = add_up(receive, 1_432, |all| is(all, SECONDS, 4.0)).await;
            assert!(is(&all, REQUESTS, 4.0), "{all:?}");
        },
    );
}

#[test]
fn a_unix_agent_that_reads_nothing_loses_lines_and_holds_up_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("dsd.socket");
    let settings = every_100_ms(Agent::Unix(path.clone()));
    with_world(
        always(OK),
        move |config| {
            config.statsd = settings;
            // Many routes make many lines.
            let routes = (0..400).map(|nth| {
                let mut route = config.routes[0].clone();
                route.name = format!("{}-{nth}", "r".repeat(50));
                route
            });
            config.routes.extend(routes.collect::<Vec<_>>());
        },
        |world| async move {
            let gone = Drain::default();
            let sending = telemetry::start(&world.edge, &gone).expect("it starts");
            let count = |what: &str| {
                let text = forebay_edge::view::metrics(&world.edge);
                let name = format!("forebay_edge_telemetry_{what}_total{{kind=\"statsd\"}} ");
                let line = text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok());
                line.unwrap_or(0_u64)
            };
            let journal = || format!("{:?}", world.edge.journal.newest(10));
            until("lost lines", || count("dropped") > 0).await;
            assert_eq!(count("sent"), 0, "nobody is there");
            assert_eq!(journal().matches("the statsd agent takes nothing").count(), 1);
            let agent = UnixDatagram::bind(&path).expect("it binds");
            until("lines for the agent", || count("sent") > 0).await;
            let receive = || async {
                let mut datagram = vec![0; 65_536];
                let length = agent.recv(&mut datagram).await.expect("a datagram");
                datagram.truncate(length);
                datagram
            };
            fetch(&world, 2).await;
            let all = add_up(receive, 8_192, |all| is(all, SECONDS, 2.0)).await;
            assert!(is(&all, REQUESTS, 2.0), "{all:?}");
            assert!(journal().contains("takes metrics again"), "{}", journal());
            // From here on it reads nothing: its queue fills.
            let before = count("dropped");
            for _ in 0..3 {
                let routes = world.edge.snapshot().config.routes.clone();
                for route in &routes {
                    let traffic = world.edge.traffic.of(&route.name);
                    traffic.record(200, forebay_edge::traffic::Outcome::Hit, 1, Duration::ZERO);
                }
            }
            let began = clock::now();
            fetch(&world, 20).await;
            assert!(clock::now() - began < Duration::from_secs(2), "requests do not wait for it");
            until("lost lines", || count("dropped") > before).await;
            gone.begin();
            clock::timeout(Duration::from_secs(3), sending.finish())
                .await
                .expect("it ends in time");
            drop(Arc::new(agent));
        },
    );
}
