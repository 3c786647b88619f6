//! What an application said of a request: for whom it is used again, and who waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::forward_auth::ForwardAuth;
use forebay_edge::view;
use forebay_signals::clock;

use super::support::{Answers, ask, at_once, request, until};
use super::vouched::{ADA, BOB, by_session, forward_auth, get, greets, slowly, with_doorman};

#[test]
fn what_was_said_is_used_for_those_of_whom_the_same_is_told() {
    let control = "private, max-age=60";
    with_doorman(
        greets("no-store"),
        by_session(control),
        |_, _| (),
        |world, auth, config| async move {
            for (fields, path, asked) in [
                (ADA, "/a", 1),
                (ADA, "/a", 1),
                // Another path, another method, another user, another wish: each is another question.
                (ADA, "/b", 2),
                (BOB, "/a", 3),
                (BOB, "/a", 3),
                ("Accept: text/html\r\nCookie: session=ada\r\n", "/a", 4),
            ] {
                let answer = world.ask(&request("GET", path, fields)).await;
                let user = if fields == BOB { "hello bob" } else { "hello ada" };
                assert!(answer.ends_with(user), "{answer}");
                assert_eq!(auth.asked(), asked, "{fields} {path}");
            }
            let posted = request("POST", "/a", &format!("{ADA}Content-Length: 0\r\n"));
            assert!(world.ask(&posted).await.ends_with("hello ada"));
            assert_eq!(auth.asked(), 5);
            // A reload puts a change of rights in force at once.
            world.reload(config.clone());
            get(&world, ADA).await;
            assert_eq!(auth.asked(), 6);
            // So many as a settings' bound of nothing allows.
            let mut never = forward_auth();
            never.max_ttl = None;
            let (mut config, never) = (config, Arc::new(never));
            config.forward_auths = vec![Arc::clone(&never)];
            config.routes[0].forward_auth = Some(never);
            world.reload(config);
            for asked in 7..9 {
                get(&world, ADA).await;
                assert_eq!(auth.asked(), asked);
            }
            let seen = view::status(&world.edge).forward_auths.remove(0);
            assert_eq!((seen.asked, seen.remembered), (8, 2), "counts outlive a reload");
        },
    );
}

#[test]
fn what_says_nothing_of_its_time_is_used_once() {
    for control in ["public", "no-store, max-age=60", "no-cache, max-age=60"] {
        with_doorman(
            greets("no-store"),
            by_session(control),
            |_, _| (),
            |world, auth, _| async move {
                for asked in 1..4 {
                    assert!(get(&world, ADA).await.ends_with("hello ada"));
                    assert_eq!(auth.asked(), asked, "{control}");
                }
            },
        );
    }
}

#[test]
fn a_ruling_ends_with_the_time_that_the_settings_allow() {
    let edit = |auth: &mut ForwardAuth, _: &mut Config| {
        auth.max_ttl = Some(Duration::from_millis(30));
    };
    with_doorman(
        greets("no-store"),
        by_session("max-age=600"),
        edit,
        |world, auth, _| async move {
            get(&world, ADA).await;
            let deadline = clock::now() + Duration::from_secs(10);
            while auth.asked() == 1 {
                assert!(clock::now() < deadline, "a ruling is used for ever");
                get(&world, ADA).await;
            }
        },
    );
}

#[test]
fn one_answer_does_for_all_paths_if_no_path_is_told() {
    let edit = |auth: &mut ForwardAuth, _: &mut Config| {
        auth.show = Vec::new();
        auth.show_fields = vec![http::header::COOKIE];
        auth.show_cookies = Some(vec!["session".into()]);
    };
    with_doorman(greets("no-store"), by_session("max-age=60"), edit, |world, auth, _| async move {
        for (number, method) in ["GET", "HEAD", "GET"].into_iter().enumerate() {
            let cookies = format!("Cookie: _ga={number}; session=ada\r\nAccept: a/{number}\r\n");
            world.ask(&request(method, &format!("/{number}"), &cookies)).await;
        }
        assert_eq!((world.asked(), auth.asked()), (3, 1));
        let asked = auth.heads().remove(0);
        assert!(asked.contains("\r\ncookie: session=ada\r\n"), "{asked}");
        for name in ["x-forwarded-uri", "x-original", "x-forwarded-for", "x-forwarded-method"] {
            assert!(!asked.contains(name), "{asked}");
        }
    });
}

#[test]
fn many_who_wait_ask_once_and_what_is_for_one_goes_to_one() {
    let auth = slowly(&by_session("max-age=60"));
    with_doorman(
        greets("no-store"),
        auth,
        |_, _| (),
        |world, auth, _| async move {
            let answers = at_once(&world, &[ADA; 20]).await;
            assert!(answers.iter().all(|answer| answer.ends_with("hello ada")), "{answers:?}");
            assert_eq!(auth.asked(), 1);
        },
    );
    // A redirect that sets a cookie is one client's own: nobody gets another's session.
    let count = AtomicUsize::new(0);
    let each: Answers = Arc::new(move |_| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: csrf={number}\r\n\
             Cache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n"
        );
        (Duration::from_millis(50), answer)
    });
    with_doorman(
        greets("no-store"),
        each,
        |_, _| (),
        |world, auth, _| async move {
            let mut cookies: Vec<String> = at_once(&world, &[""; 20]).await;
            for answer in &mut cookies {
                let set = answer.split("set-cookie: ").nth(1).expect("a cookie");
                *answer = set.split("\r\n").next().unwrap_or_default().to_owned();
            }
            cookies.sort();
            cookies.dedup();
            assert_eq!((cookies.len(), auth.asked()), (20, 20));
        },
    );
}

#[test]
fn a_client_that_leaves_takes_nothing_from_those_who_wait() {
    let auth = slowly(&by_session("max-age=60"));
    with_doorman(
        greets("no-store"),
        auth,
        |_, _| (),
        |world, auth, _| async move {
            let port = world.port;
            let first = tokio::spawn(async move { ask(port, &request("GET", "/a", ADA)).await });
            until("it is asked", || auth.asked() == 1).await;
            let second = tokio::spawn(async move { ask(port, &request("GET", "/a", ADA)).await });
            until("both wait", || view::status(&world.edge).in_flight == 2).await;
            first.abort();
            assert!(second.await.expect("no panic").ends_with("hello ada"));
            assert_eq!(auth.asked(), 1);
        },
    );
}

#[test]
fn with_no_time_allowed_nobody_gets_what_another_was_told() {
    let auth = slowly(&by_session("max-age=60"));
    let edit = |auth: &mut ForwardAuth, _: &mut Config| auth.max_ttl = None;
    with_doorman(greets("no-store"), auth, edit, |world, auth, _| async move {
        let answers = at_once(&world, &[ADA; 5]).await;
        assert!(answers.iter().all(|answer| answer.ends_with("hello ada")), "{answers:?}");
        assert_eq!(auth.asked(), 5);
    });
}

#[test]
fn a_question_whose_client_has_left_keeps_its_seat() {
    let sessions = by_session("max-age=60");
    let auth: Answers = Arc::new(move |head| (Duration::from_secs(2), sessions(head).1));
    with_doorman(
        greets("no-store"),
        auth,
        |_, _| (),
        |world, auth, _| async move {
            let port = world.port;
            let first = tokio::spawn(async move { ask(port, &request("GET", "/a", ADA)).await });
            until("it is asked", || auth.asked() == 1).await;
            first.abort();
            let traffic = world.edge.traffic.of("default");
            until("it is gone", || traffic.requests() == 1).await;
            assert_eq!(view::status(&world.edge).in_flight, 1, "somebody is asked still");
            until("it is answered", || view::status(&world.edge).in_flight == 0).await;
        },
    );
}

#[test]
fn an_address_is_part_of_the_question_unless_it_is_not_told() {
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        config.admit.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    };
    with_doorman(greets("no-store"), by_session("max-age=60"), edit, |world, auth, _| async move {
        for (address, asked) in [("203.0.113.7", 1), ("203.0.113.8", 2), ("203.0.113.7", 2)] {
            get(&world, &format!("{ADA}X-Forwarded-For: {address}\r\n")).await;
            assert_eq!(auth.asked(), asked);
        }
        let asked = auth.heads().remove(0);
        assert!(asked.contains("\r\nx-forwarded-for: 203.0.113.7\r\n"), "{asked}");
    });
}
