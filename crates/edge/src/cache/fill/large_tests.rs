use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use bytes::Bytes;
use forebay_signals::clock;
use http_body_util::BodyExt;

use super::fill_tests::{follow, lead, run};
use super::*;
use crate::error::ErrorKind;

const PIECE: u64 = 16 << 10;

fn small_fills(lag: Duration) -> Arc<Fills<u16>> {
    Fills::new(Limits {
        max_object_bytes: 4 * PIECE,
        max_held_bytes: 1 << 20,
        window_bytes: 2 * PIECE,
        lag,
    })
}

fn piece() -> Bytes {
    Bytes::from(vec![b'x'; usize::try_from(PIECE).unwrap()])
}

async fn length(mut reader: FillReader<u16>) -> u64 {
    let mut length = 0;
    while let Some(frame) = reader.frame().await {
        length += frame.unwrap().into_data().unwrap().len() as u64;
    }
    length
}

#[test]
fn what_grows_too_large_passes_through_with_bounded_memory() {
    let fills = small_fills(LAG);
    let (mut lead, first) = lead(&fills);
    let second = follow(&fills);
    thread::scope(|scope| {
        let readers = [first, second].map(|reader| scope.spawn(|| run(length(reader))));
        run(async {
            assert_eq!(lead.head(Arc::new(200), Keep::Store, None), Keep::Store);
            for n in 0..200 {
                lead.push(piece()).await.unwrap();
                let held = fills.held_bytes.load(Ordering::Relaxed);
                assert!(held <= 5 * PIECE, "{held} held after {n}");
            }
            assert!(fills.is_empty(), "nobody joins it any more");
            lead.finish(None, |_| panic!("it must not be stored")).unwrap();
        });
        for reader in readers {
            assert_eq!(reader.join().unwrap(), 200 * PIECE);
        }
    });
    assert_eq!(fills.held_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn what_says_that_it_is_too_large_is_never_collected() {
    let fills = small_fills(LAG);
    let (mut lead, reader) = lead(&fills);
    assert_eq!(lead.head(Arc::new(200), Keep::Store, Some(5 * PIECE)), Keep::Own);
    assert!(fills.is_empty());
    thread::scope(|scope| {
        let reads = scope.spawn(|| run(length(reader)));
        run(async {
            for _ in 0..5 {
                lead.push(piece()).await.unwrap();
                assert!(fills.held_bytes.load(Ordering::Relaxed) <= 3 * PIECE);
            }
            lead.finish(None, |_| panic!("it must not be stored")).unwrap();
        });
        assert_eq!(reads.join().unwrap(), 5 * PIECE);
    });
}

#[test]
fn a_changed_limit_holds_for_fills_that_begin_then() {
    run(async {
        let fills = small_fills(LAG);
        let (mut before, _reader) = lead(&fills);
        fills.set_max_object_bytes(1 << 30);
        assert_eq!(before.head(Arc::new(200), Keep::Store, Some(1 << 29)), Keep::Own);
        let (mut after, _reader) = lead(&fills);
        assert_eq!(after.head(Arc::new(200), Keep::Store, Some(1 << 29)), Keep::Store);
    });
}

#[test]
fn fills_together_hold_no_more_than_their_bound() {
    let fills: Arc<Fills<u16>> = Fills::new(Limits {
        max_object_bytes: 1 << 30,
        max_held_bytes: 8 * PIECE,
        window_bytes: 2 * PIECE,
        lag: LAG,
    });
    let mut held = Vec::new();
    for key in 0..3_u8 {
        let Join::Lead(mut lead, reader) = fills.join(&[key]) else { panic!("nobody asks") };
        lead.head(Arc::new(200), Keep::Store, None);
        held.push((lead, reader));
    }
    let pushed = run(async {
        let mut pushed = 0;
        for n in 0..100 {
            let (lead, _) = &mut held[n % 3];
            if clock::timeout(Duration::from_millis(5), lead.push(piece())).await.is_err() {
                break;
            }
            pushed += 1;
        }
        pushed
    });
    assert_eq!(pushed, 8, "the one that passes the bound waits for its reader");
}

#[test]
fn a_single_slow_reader_may_take_its_time() {
    let fills = small_fills(Duration::from_millis(1));
    let (mut lead, mut reader) = lead(&fills);
    run(async {
        lead.head(Arc::new(200), Keep::Own, None);
        let pushes = async {
            for _ in 0..20 {
                lead.push(piece()).await.unwrap();
            }
            lead.finish(None, |_| None).unwrap();
        };
        let reads = async {
            let mut length = 0;
            while let Some(frame) = reader.frame().await {
                length += frame.unwrap().into_data().unwrap().len() as u64;
                // Far slower than the lag that others would suffer.
                clock::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(length, 20 * PIECE);
        };
        tokio::join!(pushes, reads);
    });
}

#[test]
fn a_reader_that_holds_up_others_is_cut() {
    let fills = small_fills(Duration::from_millis(20));
    let (mut lead, fast) = lead(&fills);
    let mut slow = follow(&fills);
    run(async {
        lead.head(Arc::new(200), Keep::Share, None);
        let pushes = async {
            for _ in 0..20 {
                lead.push(piece()).await.unwrap();
            }
            lead.finish(None, |_| None).unwrap();
        };
        let ((), length) = tokio::join!(pushes, length(fast));
        assert_eq!(length, 20 * PIECE);
        let error = slow.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ClientTimeout);
    });
}

#[test]
fn a_steady_but_slow_reader_is_cut_too() {
    let fills = small_fills(Duration::from_millis(30));
    let (mut lead, fast) = lead(&fills);
    let mut slow = follow(&fills);
    run(async {
        lead.head(Arc::new(200), Keep::Share, None);
        let pushes = async {
            for _ in 0..100 {
                lead.push(piece()).await.unwrap();
            }
            lead.finish(None, |_| None).unwrap();
        };
        let drips = async {
            loop {
                match slow.frame().await {
                    Some(Ok(_)) => clock::sleep(Duration::from_millis(5)).await,
                    Some(Err(error)) => return error.kind(),
                    None => panic!("it read all of it"),
                }
            }
        };
        let ((), length, kind) = tokio::join!(pushes, length(fast), drips);
        assert_eq!((length, kind), (100 * PIECE, ErrorKind::ClientTimeout));
    });
}

#[test]
fn a_large_answer_whose_clients_leave_is_abandoned() {
    let fills = small_fills(LAG);
    let (mut lead, reader) = lead(&fills);
    run(async {
        lead.head(Arc::new(200), Keep::Store, None);
        let pushes = async {
            loop {
                if lead.push(piece()).await.is_err() {
                    break;
                }
            }
        };
        let leaves = async {
            while !fills.is_empty() {
                tokio::task::yield_now().await;
            }
            drop(reader);
        };
        tokio::join!(pushes, leaves);
    });
}
