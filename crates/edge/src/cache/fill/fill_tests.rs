use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use bytes::Bytes;
use forebay_signals::clock;
use http::{HeaderMap, HeaderValue};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::error::{Error, ErrorKind};

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// Runs `future`, which must end by itself.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    runtime().block_on(async { clock::timeout(PATIENCE, future).await.expect("it ends") })
}

pub(super) fn fills() -> Arc<Fills<u16>> {
    Fills::new(Limits::new(1 << 20))
}

pub(super) fn lead(fills: &Arc<Fills<u16>>) -> (FillLead<u16>, FillReader<u16>) {
    match fills.join(b"a") {
        Join::Lead(lead, reader) => (lead, reader),
        Join::Follow(_) => panic!("somebody asks already"),
    }
}

pub(super) fn follow(fills: &Arc<Fills<u16>>) -> FillReader<u16> {
    match fills.join(b"a") {
        Join::Follow(reader) => reader,
        Join::Lead(..) => panic!("nobody asks"),
    }
}

async fn body(reader: FillReader<u16>) -> Result<Bytes, Error> {
    Ok(reader.collect().await?.to_bytes())
}

#[test]
fn a_thousand_on_two_cores_get_one_answer_while_it_arrives() {
    let fills = fills();
    let leads = AtomicUsize::new(0);
    let joined = AtomicUsize::new(0);
    let piece = |n: usize| Bytes::from(vec![u8::try_from(n % 251).unwrap(); 100 + n * 37]);
    let whole: Vec<u8> = (0..50).flat_map(|n| piece(n).to_vec()).collect();
    let reads = |mut reader: FillReader<u16>| {
        let whole = &whole;
        async move {
            assert_eq!(*reader.head().await.unwrap(), 200);
            assert_eq!(reader.size_hint().exact(), Some(whole.len() as u64));
            assert!(body(reader).await.unwrap() == *whole);
        }
    };
    let leads_once = |lead: Option<FillLead<u16>>| {
        let (joined, whole_len) = (&joined, whole.len() as u64);
        async move {
            let Some(mut lead) = lead else { return };
            lead.head(Arc::new(200), Keep::Store, Some(whole_len));
            for n in 0..50 {
                // The last piece waits until everybody has come.
                while n == 49 && joined.load(Ordering::SeqCst) < 1_000 {
                    tokio::task::yield_now().await;
                }
                lead.push(piece(n)).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut stored = Vec::new();
            lead.finish(None, |pieces| {
                stored = pieces.concat();
                None
            })
            .unwrap();
            assert_eq!(stored.len() as u64, whole_len);
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                run(futures(500, || async {
                    let (lead, reader) = match fills.join(b"a") {
                        Join::Lead(lead, reader) => (Some(lead), reader),
                        Join::Follow(reader) => (None, reader),
                    };
                    leads.fetch_add(usize::from(lead.is_some()), Ordering::SeqCst);
                    joined.fetch_add(1, Ordering::SeqCst);
                    tokio::join!(leads_once(lead), reads(reader));
                }));
            });
        }
    });
    assert_eq!(leads.load(Ordering::SeqCst), 1);
    assert!(fills.is_empty());
}

/// Runs `count` futures side by side.
async fn futures<F: Future<Output = ()>>(count: usize, make: impl Fn() -> F) {
    let mut waiting: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[test]
fn whoever_comes_before_the_object_is_stored_still_reads_along() {
    let fills = fills();
    let (mut lead, first) = lead(&fills);
    lead.head(Arc::new(200), Keep::Store, None);
    run(lead.push(Bytes::from_static(b"hello"))).unwrap();
    let mut late = None;
    lead.finish(None, |pieces| {
        assert_eq!(pieces.concat(), b"hello");
        late = Some(follow(&fills));
        None
    })
    .unwrap();
    assert!(fills.is_empty());
    assert_eq!(run(body(late.unwrap())).unwrap(), "hello");
    assert_eq!(run(body(first)).unwrap(), "hello");
    assert_eq!(fills.held_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn trailers_come_after_the_body() {
    let fills = fills();
    let (mut lead, reader) = lead(&fills);
    lead.head(Arc::new(200), Keep::Store, None);
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("\"a\""))]);
    lead.finish(Some(trailers.clone()), |pieces| {
        assert!(pieces.is_empty());
        None
    })
    .unwrap();
    let collected = run(reader.collect()).unwrap();
    assert_eq!(collected.trailers(), Some(&trailers));
}

#[test]
fn a_failure_before_the_head_reaches_everybody() {
    let fills = fills();
    let (lead, mut first) = lead(&fills);
    let mut second = follow(&fills);
    lead.fail(&Error::new(ErrorKind::OriginTimeout, "no answer in time"));
    for reader in [&mut first, &mut second] {
        let Err(Missed::Failed(error)) = run(reader.head()) else { panic!("it must fail") };
        assert_eq!(error.kind(), ErrorKind::OriginTimeout);
    }
    assert!(matches!(fills.join(b"a"), Join::Lead(..)));
}

#[test]
fn a_failure_within_the_body_comes_after_what_had_arrived() {
    let fills = fills();
    let (mut lead, mut first) = lead(&fills);
    lead.head(Arc::new(200), Keep::Store, Some(10));
    run(lead.push(Bytes::from_static(b"hello"))).unwrap();
    lead.fail(&Error::new(ErrorKind::OriginProtocol, "broke off"));
    run(async {
        first.head().await.unwrap();
        let data = first.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(data, "hello");
        let error = first.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginProtocol);
        assert!(first.frame().await.is_none());
    });
}

#[test]
fn a_body_that_is_not_as_long_as_promised_is_not_stored() {
    let fills = fills();
    let (mut lead, reader) = lead(&fills);
    lead.head(Arc::new(200), Keep::Store, Some(10));
    run(lead.push(Bytes::from_static(b"hello"))).unwrap();
    let error = lead.finish(None, |_| panic!("it must not be stored")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginProtocol);
    assert_eq!(run(body(reader)).unwrap_err().kind(), ErrorKind::OriginProtocol);
}

#[test]
fn what_belongs_to_one_sends_all_others_on_alone_at_once() {
    let fills = fills();
    let (mut lead, mut first) = lead(&fills);
    let mut others: Vec<_> = (0..1_000).map(|_| follow(&fills)).collect();
    run(async {
        let mut waiting: Vec<_> = others.iter_mut().map(|other| Box::pin(other.head())).collect();
        let ended = std::future::poll_fn(|context| {
            let is_waiting =
                waiting.iter_mut().all(|head| head.as_mut().poll(context).is_pending());
            std::task::Poll::Ready(is_waiting)
        });
        assert!(ended.await, "nobody knows yet");
        assert_eq!(lead.head(Arc::new(200), Keep::Own, None), Keep::Own);
        // Before a single byte of the body: nobody waits for anybody's turn.
        for head in waiting {
            assert!(matches!(head.await, Err(Missed::NotShareable)));
        }
        assert!(matches!(fills.join(b"a"), Join::Lead(..)), "the next do not wait either");
        assert_eq!(*first.head().await.unwrap(), 200);
        lead.push(Bytes::from_static(b"mine")).await.unwrap();
        lead.finish(None, |_| panic!("it must not be stored")).unwrap();
        assert_eq!(body(first).await.unwrap(), "mine");
    });
}

#[test]
fn those_who_wait_share_what_is_not_stored_but_nobody_joins_it() {
    let fills = fills();
    let (mut lead, first) = lead(&fills);
    let second = follow(&fills);
    lead.head(Arc::new(503), Keep::Share, None);
    assert!(matches!(fills.join(b"a"), Join::Lead(..)));
    run(async {
        lead.push(Bytes::from_static(b"down")).await.unwrap();
        lead.finish(None, |_| panic!("it must not be stored")).unwrap();
        assert_eq!(body(first).await.unwrap(), "down");
        assert_eq!(body(second).await.unwrap(), "down");
    });
}

#[test]
fn a_leader_that_vanishes_fails_its_readers() {
    let fills = fills();
    let (lead_of_a, mut first) = lead(&fills);
    let mut second = follow(&fills);
    thread::scope(|scope| {
        let reads = scope.spawn(|| run(second.head()));
        drop(lead_of_a);
        let Err(Missed::Failed(error)) = reads.join().unwrap() else { panic!("it must fail") };
        assert_eq!(error.kind(), ErrorKind::Internal);
    });
    assert!(matches!(run(first.head()), Err(Missed::Failed(_))));
    assert!(fills.is_empty());
    let (mut lead, reader) = lead(&fills);
    lead.head(Arc::new(200), Keep::Store, None);
    drop(lead);
    assert_eq!(run(body(reader)).unwrap_err().kind(), ErrorKind::Internal);
}

#[test]
fn an_end_without_a_head_is_a_failure() {
    let fills = fills();
    let (lead, mut reader) = lead(&fills);
    assert!(lead.finish(None, |_| panic!("it must not be stored")).is_err());
    assert!(matches!(run(reader.head()), Err(Missed::Failed(_))));
}

#[test]
fn a_client_that_leaves_takes_nothing_from_the_others() {
    let fills = fills();
    let (mut lead, first) = lead(&fills);
    let second = follow(&fills);
    drop(first);
    lead.head(Arc::new(200), Keep::Store, None);
    drop(second);
    run(lead.push(Bytes::from_static(b"for the store"))).unwrap();
    let mut stored = Vec::new();
    lead.finish(None, |pieces| {
        stored = pieces.concat();
        None
    })
    .unwrap();
    assert_eq!(stored, b"for the store");
}

#[test]
fn what_nobody_reads_and_nobody_stores_is_abandoned() {
    let fills = fills();
    let (mut lead, first) = lead(&fills);
    lead.head(Arc::new(200), Keep::Own, None);
    run(async {
        let is_abandoned = lead.abandoned();
        tokio::pin!(is_abandoned);
        let early = std::future::poll_fn(|context| {
            std::task::Poll::Ready(is_abandoned.as_mut().poll(context).is_ready())
        });
        assert!(!early.await, "its client is still there");
        drop(first);
        is_abandoned.await;
    });
    assert_eq!(run(lead.push(Bytes::from_static(b"x"))), Err(Abandoned));
}
