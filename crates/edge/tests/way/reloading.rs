//! What a reload says and does, without the executable.

use forebay_edge::config::Config;
use forebay_edge::edge::Edge;

#[test]
fn what_waits_for_a_restart_is_said_at_each_reload_until_it_is_undone() {
    let edge = Edge::open(Config::default(), 1).expect("it opens");
    let mut changed = Config::default();
    changed.listen.cores = Some(3);
    for _ in 0..2 {
        assert_eq!(edge.reload(changed.clone()).expect("good settings"), ["listen.cores"]);
    }
    changed.compress.encodings.clear();
    changed.cache.memory_bytes /= 2;
    changed.cache.max_object_bytes = 1 << 20;
    changed.listen.cores = None;
    let waiting = edge.reload(changed).expect("good settings");
    assert!(waiting.is_empty(), "{waiting:?}");
    assert!(edge.compressor().order().is_empty());
    assert_eq!(edge.cache.view().limit_bytes, Config::default().cache.memory_bytes / 2);
}
