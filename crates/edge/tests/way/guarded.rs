//! Routes whose users have passwords.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use forebay_edge::config::Config;
use forebay_edge::config::route::{PathRule, Route};
use forebay_edge::config::users::{BasicAuth, Users};
use forebay_signals::clock;
use tokio::task::JoinSet;

use super::support::{World, always, request, until, with_world};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: s-maxage=60\r\n\r\npage";
/// `ada:lovelace` and `bob:builder`.
const ADA: &str = "Authorization: Basic YWRhOmxvdmVsYWNl\r\n";
const BOB: &str = "Authorization: basic Ym9iOmJ1aWxkZXI=\r\n";

/// Users whose passwords take 2 to the power of `cost` rounds to check.
fn users(cost: u32, forwards: bool) -> Arc<BasicAuth> {
    let hash = |password| bcrypt::hash(password, cost).expect("a hash");
    let text = format!("# users\nada:{}\n\nbob:{}\n", hash("lovelace"), hash("builder"));
    let users = Users::parse(&text).expect("users");
    assert!(!format!("{users:?}").contains('$'), "a hash is not for logs");
    Arc::new(BasicAuth { users, realm: "the shop".into(), forwards })
}

async fn ask(world: &World, fields: &str) -> String {
    world.ask(&request("GET", "/a", fields)).await
}

#[test]
fn strangers_are_refused_and_users_share_what_is_stored() {
    let edit = |config: &mut Config| config.routes[0].basic_auth = Some(users(4, false));
    with_world(always(PAGE), edit, |world| async move {
        let wrong = [
            "",
            "Authorization: Basic YWRhOmJ1aWxkZXI=\r\n", // ada:builder
            "Authorization: Basic ZXZlOmxvdmVsYWNl\r\n", // eve:lovelace
            "Authorization: Basic YWRh\r\n",             // ada
            "Authorization: Basic !\r\n",
            "Authorization: Bearer YWRhOmxvdmVsYWNl\r\n",
            "Authorization: Basic YWRhOmxvdmVsYWNl\r\nAuthorization: Basic YWRh\r\n",
        ];
        for time in 0..2 {
            for fields in wrong {
                let answer = ask(&world, fields).await;
                assert!(answer.starts_with("HTTP/1.1 401"), "{fields}{answer}");
                let challenge = "www-authenticate: Basic realm=\"the shop\", charset=\"UTF-8\"\r\n";
                assert!(answer.contains(challenge) && answer.contains("no-store"), "{answer}");
            }
            assert_eq!(world.asked(), time, "the origin hears of users only");
            assert!(ask(&world, ADA).await.ends_with("page"));
            assert!(!world.last_head().to_lowercase().contains("authorization"));
        }
        for user in [ADA, BOB, BOB] {
            assert!(ask(&world, user).await.contains("Forebay; hit"), "it is theirs together");
        }
        assert_eq!(world.asked(), 1);
    });
}

#[test]
fn a_user_who_is_taken_out_is_refused_after_the_reload() {
    let edit = |config: &mut Config| config.routes[0].basic_auth = Some(users(4, false));
    with_world(always(PAGE), edit, |world| async move {
        assert!(ask(&world, ADA).await.ends_with("page"));
        let mut config = world.edge.snapshot().config.clone();
        let hash = bcrypt::hash("builder", 4).expect("a hash");
        let users = Users::parse(&format!("bob:{hash}")).expect("users");
        let only_bob = BasicAuth { users, realm: String::new(), forwards: false };
        config.routes[0].basic_auth = Some(Arc::new(only_bob));
        world.reload(config);
        assert!(ask(&world, ADA).await.starts_with("HTTP/1.1 401"));
        assert!(ask(&world, BOB).await.ends_with("page"));
    });
}

#[test]
fn credentials_that_are_forwarded_are_shown_and_make_the_answer_personal() {
    const OWN: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\npage";
    let edit = |config: &mut Config| config.routes[0].basic_auth = Some(users(4, true));
    with_world(always(OWN), edit, |world| async move {
        for (count, user) in [ADA, BOB, ADA].iter().enumerate() {
            assert!(ask(&world, user).await.ends_with("page"));
            assert_eq!(world.asked(), count + 1, "nobody gets what was another's");
            let shown = world.last_head().to_lowercase();
            assert!(shown.contains(&user.trim_end().to_lowercase()), "{shown}");
        }
    });
}

#[test]
fn a_password_is_checked_beside_what_is_served_and_once() {
    let edit = |config: &mut Config| {
        let mut guarded = Route::everything_to("app");
        guarded.name = "guarded".into();
        guarded.path = PathRule::Prefix("/guarded".into());
        guarded.basic_auth = Some(users(10, false));
        config.routes.insert(0, guarded);
    };
    with_world(always(PAGE), edit, |world| async move {
        let message = request("GET", "/guarded", ADA);
        let is_in = AtomicBool::new(false);
        let began = clock::now();
        let first = async {
            assert!(world.ask(&message).await.ends_with("page"));
            is_in.store(true, Ordering::SeqCst);
            clock::now() - began
        };
        let others = async {
            let mut served = 0;
            while !is_in.load(Ordering::SeqCst) {
                assert!(ask(&world, "").await.ends_with("page"));
                served += 1;
            }
            served
        };
        let (checked_for, served) = tokio::join!(first, others);
        assert!(served >= 3, "{served} requests were served meanwhile");
        let began = clock::now();
        assert!(world.ask(&message).await.ends_with("page"));
        let known_for = clock::now() - began;
        assert!(known_for * 3 < checked_for, "{known_for:?}, and {checked_for:?} at first");
    });
}

/// Five times more guesses than may wait, each of which takes a while to check.
#[test]
fn a_flood_of_wrong_passwords_is_shed_and_who_is_known_feels_nothing() {
    const GUESSES: usize = 320;
    const PLACES: usize = 64;
    let edit = |config: &mut Config| {
        config.routes[0].basic_auth = Some(users(9, false));
        let mut open = Route::everything_to("app");
        open.name = "open".into();
        open.path = PathRule::Prefix("/open".into());
        config.routes.insert(0, open);
    };
    with_world(always(PAGE), edit, |world| async move {
        assert!(ask(&world, ADA).await.ends_with("page"), "she is known from here on");
        let refused = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let port = world.port;
        let mut guessing = JoinSet::new();
        for number in 0..GUESSES {
            let refused = Arc::clone(&refused);
            guessing.spawn(async move {
                let guess = STANDARD.encode(format!("ada:{number}"));
                let fields = format!("Authorization: Basic {guess}\r\n");
                let answer = super::support::ask(port, &request("GET", "/a", &fields)).await;
                let kind = match answer.get(9..12) {
                    Some("401") => 0,
                    Some("503") => 1,
                    _ => panic!("a guess is let in: {answer}"),
                };
                assert!(kind == 0 || answer.contains("retry-after: "), "{answer}");
                refused[kind].fetch_add(1, Ordering::SeqCst);
            });
        }
        let count = |kind: usize| refused[kind].load(Ordering::SeqCst);
        until("only those that wait are left", || count(0) + count(1) >= GUESSES - PLACES).await;
        // While the passwords of others wait to be checked, those who are known do not.
        for path in ["/a", "/open"].repeat(10) {
            let answer = world.ask(&request("GET", path, ADA)).await;
            assert!(answer.ends_with("page"), "{answer}");
        }
        assert!(count(0) + count(1) < GUESSES, "twenty answers came before the last check");
        while let Some(guess) = guessing.join_next().await {
            guess.expect("no panic");
        }
        assert_eq!(count(0) + count(1), GUESSES);
        // No more are checked than may wait and what has been checked meanwhile.
        assert!(count(1) >= GUESSES / 2, "{} of {GUESSES} were shed", count(1));
        assert!(ask(&world, BOB).await.ends_with("page"), "who comes later is checked again");
    });
}
