//! What is made for a user whom an application vouches for: nobody else's, and still stored where it may be.

use std::sync::Arc;
use std::time::Duration;

use forebay_edge::act;
use forebay_edge::config::Config;
use forebay_edge::config::forward_auth::ForwardAuth;
use forebay_edge::config::policy::Policy;

use super::support::{Answers, request};
use super::vouched::{ADA, BOB, SHARED, X_USER, by_session, get, greets, keyed_by, with_doorman};

#[test]
fn what_is_made_for_one_user_is_nobody_elses() {
    // Whatever the application grants, as long as no policy has the user in the key.
    for policy in [None, Some(Policy::html()), Some(keyed_by(&[http::header::ACCEPT]))] {
        let edit = |_: &mut ForwardAuth, config: &mut Config| config.routes[0].policy = policy;
        let app = greets("public, s-maxage=60, stale-while-revalidate=60");
        with_doorman(app, by_session("max-age=60"), edit, |world, _, _| async move {
            for (number, (user, name)) in
                [(ADA, "ada"), (BOB, "bob"), (ADA, "ada")].iter().enumerate()
            {
                let answer = get(&world, user).await;
                assert!(answer.ends_with(&format!("hello {name}")), "{answer}");
                assert!(answer.contains("detail=identity"), "{answer}");
                assert_eq!(world.asked(), number + 1);
            }
            let why = act::why(&world.edge, "http://shop.example/a?b=c", &[], None).expect("a URL");
            assert_eq!((why.decision.as_str(), why.rule.as_deref()), ("pass", Some("identity")));
            let part = "forward_auth `sso` asks origin `auth` first, hits included, and takes `x-user` \
                        from its answer";
            assert!(why.parts.contains(&part.to_owned()), "{why:?}");
        });
    }
}

#[test]
fn a_user_in_the_key_has_answers_of_his_own_and_they_are_refilled_as_his() {
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        config.routes[0].policy = Some(keyed_by(&[X_USER]));
    };
    let app = greets("s-maxage=0, stale-while-revalidate=60");
    with_doorman(app, by_session("max-age=60"), edit, |world, _, _| async move {
        for (user, name) in [(ADA, "ada"), (BOB, "bob")] {
            assert!(get(&world, user).await.ends_with(&format!("hello {name}")));
        }
        for round in 0..3 {
            for (user, name) in [(ADA, "ada"), (BOB, "bob")] {
                let before = world.asked();
                let answer = get(&world, user).await;
                assert!(answer.ends_with(&format!("hello {name}")), "{round}: {answer}");
                assert!(answer.contains("detail=stale-while-revalidate"), "{answer}");
                // Behind it goes out again, as the same user.
                world.until_asked(before + 1).await;
                let head = world.last_head();
                assert!(head.contains(&format!("\r\nx-user: {name}\r\n")), "{head}");
                assert!(!head.contains("session"), "{head}");
            }
        }
        assert!(get(&world, "X-User: ada\r\n").await.starts_with("HTTP/1.1 302"));
    });
}

#[test]
fn what_takes_nothing_along_is_shared_by_all_who_may_come_in() {
    let edit = |auth: &mut ForwardAuth, config: &mut Config| {
        auth.take = Vec::new();
        config.routes[0].policy = Some(Policy::html());
    };
    with_doorman(greets(SHARED), by_session("max-age=60"), edit, |world, _, _| async move {
        assert!(get(&world, ADA).await.ends_with("hello nobody"));
        let answer = get(&world, BOB).await;
        assert!(answer.contains("Forebay; hit") && answer.ends_with("hello nobody"), "{answer}");
        assert!(get(&world, "").await.starts_with("HTTP/1.1 302"), "a hit is for those who may");
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_session_that_is_renewed_reaches_its_client_on_a_hit_too() {
    let renews: Answers = Arc::new(|_| {
        let head = "HTTP/1.1 202 Accepted\r\nX-User: ada\r\nSet-Cookie: session=ada2; HttpOnly\r\n";
        let control = "Cache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n";
        (Duration::ZERO, format!("{head}{control}"))
    });
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        config.routes[0].policy = Some(keyed_by(&[X_USER]));
    };
    with_doorman(greets(SHARED), renews, edit, |mut world, auth, _| async move {
        for (number, status) in ["stored", "hit"].into_iter().enumerate() {
            let answer = get(&world, ADA).await;
            assert!(answer.contains("set-cookie: session=ada2; HttpOnly\r\n"), "{answer}");
            assert!(answer.contains(status), "{answer}");
            assert_eq!(auth.asked(), number + 1, "what sets a cookie is for one");
        }
        world.origin.abort();
        assert!((&mut world.origin).await.is_err(), "the origin is gone");
        let failed = world.ask(&request("GET", "/other", ADA)).await;
        assert!(failed.starts_with("HTTP/1.1 502"), "{failed}");
        assert!(failed.contains("set-cookie: session=ada2; HttpOnly\r\n"), "{failed}");
    });
}
