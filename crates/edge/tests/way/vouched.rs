//! Routes whose requests an application must vouch for: who comes in, as whom, and what others get of it.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forebay_edge::config::Config;
use forebay_edge::config::forward_auth::{
    ForwardAuth, MAX_TTL, OnFailure, SHOW_FIELDS, Shown, TIMEOUT,
};
use forebay_edge::config::policy::Policy;
use forebay_edge::config::route::{NamedValue, Route};
use forebay_edge::config::users::{BasicAuth, Users};
use forebay_edge::{act, view};
use http::HeaderName;

use super::support::{Answers, Other, World, always, ask, request, until, with_world};

pub(crate) const X_USER: HeaderName = HeaderName::from_static("x-user");
pub(crate) const ADA: &str = "Cookie: session=ada\r\n";
pub(crate) const BOB: &str = "Cookie: session=bob\r\n";
pub(crate) const SHARED: &str = "s-maxage=60";

pub(crate) fn forward_auth() -> ForwardAuth {
    ForwardAuth {
        name: "sso".into(),
        origin: "auth".into(),
        path: "/verify?rd=x".parse().expect("a path"),
        show: vec![Shown::Method, Shown::Target, Shown::Address],
        show_fields: SHOW_FIELDS.to_vec(),
        show_cookies: None,
        take: vec![X_USER],
        keys: None,
        timeout: TIMEOUT,
        max_ttl: Some(MAX_TTL),
        on_failure: OnFailure::Refuse,
    }
}

/// Lets users of a session in by its name, and sends everybody else to sign in.
pub(crate) fn by_session(control: &'static str) -> Answers {
    Arc::new(move |head| {
        let user = head.split("session=").nth(1).and_then(|rest| rest.split([';', '\r']).next());
        let answer = match user {
            None => "HTTP/1.1 302 Found\r\nLocation: /sign-in\r\nSet-Cookie: csrf=1\r\n\
                     Content-Length: 7\r\n\r\nsign in"
                .into(),
            Some("eve") => "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".into(),
            Some(user) => format!(
                "HTTP/1.1 200 OK\r\nX-User: {user}\r\nX-Secret: s\r\nCache-Control: {control}\r\n\
                 Content-Length: 2\r\n\r\nok"
            ),
        };
        (Duration::ZERO, answer)
    })
}

/// An application that greets whom it is told of.
pub(crate) fn greets(control: &'static str) -> Answers {
    Arc::new(move |head| {
        let user = head.split("x-user: ").nth(1).and_then(|rest| rest.split('\r').next());
        let page = format!("hello {}", user.unwrap_or("nobody"));
        let length = page.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n");
        (Duration::ZERO, format!("{head}Cache-Control: {control}\r\n\r\n{page}"))
    })
}

/// A world whose route asks another origin first.
pub(crate) fn with_doorman<T, F>(
    app: Answers,
    auth: Answers,
    edit: impl FnOnce(&mut ForwardAuth, &mut Config),
    test: T,
) where
    T: FnOnce(World, Other, Config) -> F,
    F: Future<Output = ()>,
{
    let started = Arc::new(OnceLock::new());
    let filled = Arc::clone(&started);
    let edit = move |config: &mut Config| {
        let auth = Other::start("auth", auth);
        config.origins.push(Arc::clone(&auth.settings));
        let mut settings = forward_auth();
        edit(&mut settings, config);
        let settings = Arc::new(settings);
        config.forward_auths = vec![Arc::clone(&settings)];
        config.routes.last_mut().expect("a route").forward_auth = Some(settings);
        assert!(filled.set((auth, config.clone())).is_ok());
    };
    with_world(app, edit, |world| {
        let (auth, config) = started.get().expect("it is started").clone();
        test(world, auth, config)
    });
}

/// A policy that stores what is granted, keyed by these fields.
pub(crate) fn keyed_by(names: &[HeaderName]) -> Arc<Policy> {
    let mut policy = (*Policy::html()).clone();
    policy.key.fields = names.to_vec();
    Arc::new(policy)
}

pub(crate) async fn get(world: &World, fields: &str) -> String {
    world.ask(&request("GET", "/a?b=c", fields)).await
}

#[test]
fn who_is_let_in_takes_along_what_was_said_and_nothing_that_he_says_himself() {
    with_doorman(
        greets("no-store"),
        by_session("no-store"),
        |_, _| (),
        |world, auth, _| async move {
            let claims = "X-User: root\r\nX_User: root\r\nX-Other: o\r\nAccept: text/html\r\n";
            let answer = get(&world, &format!("{ADA}{claims}")).await;
            assert!(answer.ends_with("hello ada"), "{answer}");
            let head = world.last_head().to_lowercase();
            assert!(!head.contains("root") && !head.contains("x-secret"), "{head}");
            assert!(
                head.contains("x-other: o\r\n") && head.contains("cookie: session=ada"),
                "{head}"
            );
            let asked = auth.heads().pop().expect("it was asked");
            for line in [
                "GET /verify?rd=x HTTP/1.1\r\nhost: shop.example\r\n",
                "\r\nx-forwarded-method: GET\r\n",
                "\r\nx-forwarded-proto: http\r\n",
                "\r\nx-forwarded-host: shop.example\r\n",
                "\r\nx-forwarded-uri: /a?b=c\r\n",
                "\r\nx-forwarded-for: 127.0.0.1\r\n",
                "\r\nx-original-method: GET\r\n",
                "\r\nx-original-url: http://shop.example/a?b=c\r\n",
                "\r\ncookie: session=ada\r\n",
                "\r\naccept: text/html\r\n",
            ] {
                assert!(asked.contains(line), "{line} in {asked}");
            }
            assert!(!asked.contains("root") && !asked.contains("x-other"), "{asked}");
        },
    );
}

#[test]
fn nobody_is_routed_by_what_he_makes_up() {
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        let mut admins = Route::everything_to("app");
        admins.name = "admins".into();
        admins.fields = vec![NamedValue { name: "x-user".into(), value: None }];
        // The mark of a copy is not for clients either.
        let mirror = super::mirrored::mirror("auth");
        admins.mirror = Some(mirror);
        config.routes.insert(0, admins);
    };
    with_doorman(greets("no-store"), by_session("no-store"), edit, |world, _, _| async move {
        let forged = "X-User: root\r\nForebay-Mirror: x\r\n";
        let answer = get(&world, &format!("{ADA}{forged}")).await;
        assert!(answer.ends_with("hello ada"), "{answer}");
        assert!(!world.last_head().contains("forebay-mirror"), "{}", world.last_head());
    });
}

#[test]
fn without_a_doorman_nobody_comes_in() {
    let edit = |auth: &mut ForwardAuth, _: &mut Config| auth.origin = "nobody".into();
    with_doorman(greets(SHARED), by_session("no-store"), edit, |world, _, _| async move {
        let answer = get(&world, ADA).await;
        assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
        assert_eq!(world.asked(), 0);
    });
}

#[test]
fn who_is_turned_away_gets_the_answer_and_the_application_hears_nothing() {
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        // Stored before anybody is asked of it: a hit must not come out either.
        config.routes[0].policy = Some(keyed_by(&[X_USER]));
    };
    with_doorman(greets(SHARED), by_session("no-store"), edit, |world, auth, _| async move {
        assert!(get(&world, ADA).await.ends_with("hello ada"));
        assert!(get(&world, ADA).await.contains("Forebay; hit"));
        let answer = get(&world, "").await;
        assert!(answer.starts_with("HTTP/1.1 302") && answer.ends_with("sign in"), "{answer}");
        assert!(answer.contains("location: /sign-in\r\n"), "{answer}");
        assert!(answer.contains("set-cookie: csrf=1\r\n"), "{answer}");
        assert!(answer.contains("cache-status: Forebay; detail=forward-auth\r\n"), "{answer}");
        let answer = get(&world, "Cookie: session=eve\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.ends_with("no"), "{answer}");
        let head = world.ask(&request("HEAD", "/a?b=c", "")).await;
        assert!(head.starts_with("HTTP/1.1 302") && head.ends_with("\r\n\r\n"), "{head}");
        assert_eq!((world.asked(), auth.asked()), (1, 5), "a hit is asked of too");
        let status = view::status(&world.edge).forward_auths.remove(0);
        assert_eq!((status.let_in, status.turned_away, status.failed), (2, 3, 0));
        let metrics = view::metrics(&world.edge);
        let line = "forebay_edge_forward_auth_requests_total{forward_auth=\"sso\",ruling=\"turned-away\"} 3\n";
        assert!(metrics.contains(line), "{metrics}");
    });
}

/// The same, after a while.
pub(crate) fn slowly(answers: &Answers) -> Answers {
    let answers = Arc::clone(answers);
    Arc::new(move |head| (Duration::from_millis(150), answers(head).1))
}

#[test]
fn while_nobody_can_say_nobody_is_let_in() {
    let is_well = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&is_well);
    let sessions = by_session("no-store");
    let auth: Answers = Arc::new(move |head| match now.load(Ordering::SeqCst) {
        0 => (Duration::ZERO, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".into()),
        1 => (Duration::ZERO, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".into()),
        2 => (Duration::from_secs(3_600), String::new()),
        _ => sessions(head),
    });
    let edit = |auth: &mut ForwardAuth, config: &mut Config| {
        auth.timeout = Duration::from_millis(80);
        config.routes[0].policy = Some(keyed_by(&[X_USER]));
    };
    with_doorman(greets(SHARED), auth, edit, |world, _, mut config| async move {
        for state in 0..3 {
            is_well.store(state, Ordering::SeqCst);
            let answer = get(&world, ADA).await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{state}: {answer}");
            assert!(answer.contains("forebay-error: unverified\r\n"), "{answer}");
            assert!(answer.contains("retry-after: 2\r\n"), "{answer}");
        }
        assert_eq!(world.asked(), 0);
        let status = view::status(&world.edge).forward_auths.remove(0);
        assert!(!status.is_well && status.failed == 3, "{status:?}");
        is_well.store(3, Ordering::SeqCst);
        assert!(get(&world, ADA).await.ends_with("hello ada"));
        let told: Vec<_> = world.edge.journal.newest(9).into_iter().map(|it| it.what).collect();
        assert_eq!(
            told,
            [
                "forward_auth `sso` answers again",
                "forward_auth `sso` fails, requests are refused: forward_auth answered with neither \
                 a welcome nor a refusal"
            ]
        );
        // Public pages may go on, of nobody: what is stored for a user is not theirs.
        is_well.store(0, Ordering::SeqCst);
        let mut open = forward_auth();
        open.on_failure = OnFailure::LetIn;
        let open = Arc::new(open);
        config.forward_auths = vec![Arc::clone(&open)];
        config.routes[0].forward_auth = Some(open);
        world.reload(config);
        let answer = get(&world, &format!("{ADA}X-User: ada\r\n")).await;
        assert!(answer.ends_with("hello nobody"), "{answer}");
        is_well.store(3, Ordering::SeqCst);
        assert!(get(&world, ADA).await.ends_with("hello ada"));
        let told = world.edge.journal.newest(9);
        assert_eq!(told.len(), 2, "what fails now and then does not fill the journal: {told:?}");
    });
}

#[test]
fn content_and_upgrades_come_through_untouched() {
    let app: Answers = Arc::new(|message| {
        let answer = if message.contains("upgrade: websocket") {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nsocket"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
        };
        (Duration::ZERO, answer.into())
    });
    with_doorman(
        app,
        by_session("no-store"),
        |_, _| (),
        |world, auth, _| async move {
            let content = format!("{ADA}Content-Length: 9\r\n");
            let message = request("POST", "/a", &content) + "order\r\n\r\n";
            assert!(world.ask(&message).await.ends_with("hi"));
            until("the content came", || world.last_head().ends_with("order\r\n\r\n")).await;
            assert!(
                !auth.heads()[0].contains("order") && !auth.heads()[0].contains("content-length")
            );
            // What would be a user's name behind the content is none either.
            let chunked = "Transfer-Encoding: chunked\r\nTrailer: X-User, X-Sum\r\n";
            let message = request("POST", "/b", &format!("{ADA}{chunked}"))
                + "5\r\norder\r\n0\r\nX-User: root\r\nX-Sum: 1\r\n\r\n";
            assert!(world.ask(&message).await.ends_with("hi"));
            until("the trailer came", || world.last_head().ends_with("0\r\nx-sum: 1\r\n\r\n"))
                .await;
            let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
            let message = request("GET", "/a", &format!("{ADA}{upgrade}"));
            let message = message.replace("Connection: close\r\n", "");
            let text = super::support::ask_until(world.port, &message, "socket").await;
            assert!(text.starts_with("HTTP/1.1 101"), "{text}");
            assert!(world.last_head().contains("\r\nx-user: ada\r\n"), "{}", world.last_head());
            assert!(!auth.heads()[2].contains("upgrade"), "{}", auth.heads()[2]);
            let refused = message.replace(ADA, "");
            let text = super::support::ask_until(world.port, &refused, "sign in").await;
            assert!(text.starts_with("HTTP/1.1 302"), "{text}");
        },
    );
}

#[test]
fn files_and_fixed_answers_are_for_those_who_may_come_in_too() {
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        config.routes[0].action =
            forebay_edge::config::route::Action::Fixed(http::StatusCode::OK, "fixed".into());
    };
    with_doorman(always(""), by_session("no-store"), edit, |world, _, _| async move {
        assert!(get(&world, ADA).await.ends_with("fixed"));
        assert!(get(&world, "").await.starts_with("HTTP/1.1 302"));
    });
}

#[test]
fn a_password_is_asked_for_first_and_both_must_be_right() {
    let edit = |_: &mut ForwardAuth, config: &mut Config| {
        let hash = bcrypt::hash("lovelace", 4).expect("a hash");
        let users = Users::parse(&format!("ada:{hash}")).expect("users");
        let basic = BasicAuth { users, realm: "shop".into(), forwards: false };
        config.routes[0].basic_auth = Some(Arc::new(basic));
    };
    with_doorman(greets("no-store"), by_session("max-age=60"), edit, |world, auth, _| async move {
        let password = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";
        assert!(get(&world, ADA).await.starts_with("HTTP/1.1 401"));
        assert_eq!(auth.asked(), 0);
        for (fields, asked) in [(ADA, 1), (ADA, 1), ("", 2)] {
            let answer = get(&world, &format!("{password}{fields}")).await;
            let is_right = if fields.is_empty() {
                answer.starts_with("HTTP/1.1 302")
            } else {
                answer.ends_with("hello ada")
            };
            assert!(is_right, "{answer}");
            assert_eq!(auth.asked(), asked);
        }
        assert!(!auth.heads()[0].contains("authorization"), "{}", auth.heads()[0]);
    });
}

#[test]
fn a_closed_route_asks_nobody_and_those_who_wait_have_seats() {
    let auth = slowly(&by_session("no-store"));
    let edit = |_: &mut ForwardAuth, config: &mut Config| config.admit.max_in_flight = 1;
    with_doorman(greets("no-store"), auth, edit, |world, auth, _| async move {
        act::maintenance(&world.edge, None, true).expect("all routes");
        let closed = get(&world, ADA).await;
        assert!(closed.contains("forebay-error: maintenance\r\n"), "{closed}");
        assert_eq!(auth.asked(), 0);
        act::maintenance(&world.edge, None, false).expect("all routes");
        let port = world.port;
        let first = tokio::spawn(async move { ask(port, &request("GET", "/a", ADA)).await });
        until("it is asked", || auth.asked() == 1).await;
        let second = world.ask(&request("GET", "/b", BOB)).await;
        assert!(second.contains("forebay-error: saturated\r\n"), "{second}");
        assert!(first.await.expect("no panic").ends_with("hello ada"));
    });
}
