//! The one request that a half-open breaker lets through.

use std::time::Duration;

use forebay_edge::error::ErrorKind;

use crate::support::{Raw, get, origins, run, settings, until};

/// Hears a request and breaks off.
async fn breaking() -> Raw {
    Raw::start(|mut peer| async move {
        peer.head().await;
        peer.reset();
    })
    .await
}

#[test]
fn a_retry_that_the_budget_refuses_spends_no_trial() {
    run(async {
        let (first, second) = (breaking().await, breaking().await);
        let mut standby = second.server();
        standby.group = 1;
        let mut settings = settings([first.server(), standby]);
        settings.retry_budget_percent = 0;
        settings.breaker_failures = 1;
        settings.breaker_open_for = Duration::from_millis(200);
        let (_origins, upstream) = origins(settings);
        let breakers =
            || upstream.view().servers.iter().map(|s| s.breaker.clone()).collect::<Vec<_>>();
        for _ in 0..2 {
            let error = upstream.fetch(get("/")).await.expect_err("it breaks off");
            assert_eq!(error.kind(), ErrorKind::OriginProtocol);
        }
        until(|| breakers() == ["half-open", "half-open"]).await;
        upstream.fetch(get("/")).await.expect_err("the first one has its trial, and breaks off");
        assert_eq!(breakers(), ["open", "half-open"], "the second one keeps its own");
        assert_eq!((first.heads().len(), second.heads().len()), (2, 1));
        upstream.fetch(get("/")).await.expect_err("now it has it");
        assert_eq!(second.heads().len(), 2);
    });
}
