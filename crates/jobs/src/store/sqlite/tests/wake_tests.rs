//! The wake-up, without the net below it.

use std::fs;
use std::os::unix::net::UnixDatagram;

use super::super::super::suite::run;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

async fn wakes(ringing: &Bell, woken: &Bell) {
    let changed = woken.changed().notified();
    ringing.ring();
    clock::timeout(PATIENCE, changed).await.expect("nobody was woken");
}

#[test]
fn whoever_listens_is_woken_by_others_however_long_the_path() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        for name in ["short", &"long".repeat(50)] {
            let file = folder.path().join(name);
            let [a, b, c] = [0, 1, 2].map(|_| Bell::beside(&file));
            b.listen();
            wakes(&a, &b).await;
            wakes(&b, &b).await;
            // One that comes later is told as well, though the folder was read a moment ago.
            c.listen();
            wakes(&a, &c).await;
            wakes(&b, &c).await;
            wakes(&c, &b).await;
        }
    });
}

#[test]
fn what_a_dead_process_left_is_removed() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jobs.db");
        let [a, b] = [0, 1].map(|_| Bell::beside(&file));
        b.listen();
        let left = folder.path().join("jobs.db-wake").join("1-0-dead");
        drop(UnixDatagram::bind(&left).unwrap());
        assert!(left.exists());
        wakes(&a, &b).await;
        assert!(!left.exists());
        drop(b);
        assert_eq!(fs::read_dir(left.parent().unwrap()).unwrap().count(), 0);
    });
}
