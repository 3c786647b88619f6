//! `cargo xtask test`: every test, the real peers included.

use std::process::Command;

use crate::cargo::{cargo, metadata, root};
use crate::steps::{self, Steps};
use crate::{Outcome, dist, old_redis, peers};

/// Brings the peers, runs the workspace's tests, then each peer's.
pub(crate) fn run() -> Outcome {
    let mut steps = Steps::begin("test");
    let peers = peers::all();
    steps.step("peers", || peers::bring(&peers));
    steps.step("redis 6.2", old_redis::bring);
    steps.step("workspace", || {
        steps::run(&mut cargo(&[
            "test",
            "--workspace",
            "--quiet",
            "--features",
            "forebay-jobs/redis",
        ]))
        .map(|()| String::new())
    });
    steps.step("package", || {
        let target = metadata()?.target;
        dist::prove(&target.join("debug/forebay"), &target.join("package-test"))
    });
    for peer in peers {
        steps.step(&format!("peer {}", peer.name), || {
            steps::run(Command::new(&peer.run).current_dir(root())).map(|()| String::new())
        });
    }
    steps.end()
}
