//! What a reload says and does, without the executable.

use std::sync::Arc;

use forebay_edge::config::Config;
use forebay_edge::config::origin::{Address, Origin, Server};
use forebay_edge::config::route::Route;
use forebay_edge::edge::{Edge, StartError};
use forebay_edge::view;

fn reload(edge: &Edge, config: Config) -> Result<Vec<String>, StartError> {
    edge.reload(edge.prepare(config)?)
}

#[test]
fn origins_are_built_once_a_reload_and_what_was_looked_up_is_kept() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime starts").block_on(async {
        let edge = Edge::open(Config::default(), 1).expect("it opens");
        let server = Server::plain(Address::Tcp("localhost".into(), 80));
        let config = Config {
            routes: vec![Route::everything_to("app")],
            origins: vec![Arc::new(Origin::new("app", vec![server]))],
            ..Config::default()
        };
        let next = edge.prepare(config).expect("good settings");
        next.check_names().await.expect("localhost has an address");
        edge.reload(next).expect("good settings");
        let resolved = &view::status(&edge).origins[0].servers[0].resolved;
        assert!(!resolved.is_empty(), "the first request need not look the name up again");
    });
}

#[test]
fn what_waits_for_a_restart_is_said_at_each_reload_until_it_is_undone() {
    let edge = Edge::open(Config::default(), 1).expect("it opens");
    let mut changed = Config::default();
    changed.listen.cores = Some(3);
    for _ in 0..2 {
        assert_eq!(reload(&edge, changed.clone()).expect("good settings"), ["listen.cores"]);
    }
    changed.cache.max_object_bytes = changed.cache.memory_bytes / 2;
    let waiting = reload(&edge, changed.clone()).expect("good settings");
    // 256 MiB in 8 parts, 16 MiB objects twice in each.
    let taken = (Config::default().cache.memory_bytes / 8 / 10 * 9) >> 10;
    assert!(waiting[1].starts_with("cache.max_object (until then"), "{waiting:?}");
    assert!(waiting[1].contains(&format!("up to {taken} KiB")), "{waiting:?}");
    changed.compress.encodings.clear();
    changed.cache.memory_bytes /= 2;
    changed.cache.max_object_bytes = 1 << 20;
    changed.listen.cores = None;
    let waiting = reload(&edge, changed).expect("good settings");
    assert!(waiting.is_empty(), "{waiting:?}");
    assert!(edge.compressor().order().is_empty());
    assert_eq!(edge.cache.view().limit_bytes, Config::default().cache.memory_bytes / 2);
}
