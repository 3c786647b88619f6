//! What the edge says of a client is believed by the middleware of the guide, and nothing else is.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use forebay_edge::config::forward_auth::{ForwardAuth, Keys};
use forebay_edge::config::route::FieldEdit;
use http::{HeaderName, HeaderValue};

use super::support::{always, request};
use super::vouched::{ADA, X_USER, by_session, keyed_by, with_doorman};

const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const OLD: &str = "2026-a:0123456789abcdef0123456789abcdef";
const NEW: &str = "2026-b:fedcba9876543210fedcba9876543210";

/// Makes the environment of Rack from the head of each request, and says what is left of it. One process for all
/// of them: each takes long to start where much else runs.
const DRIVER: &str = r##"
require "json"
at = Time.now
said = JSON.parse($stdin.read).each_with_index.map do |(request, keys, later), number|
  Time.define_singleton_method(:now) { at + later }
  file = File.join(ARGV.fetch(0), "#{number}.keys")
  File.write(file, "# shared\n#{keys}\n")
  head = request.split("\r\n")
  method, target, = head.shift.split(" ")
  env = { "REQUEST_METHOD" => method, "REQUEST_URI" => target }
  head.take_while { |line| !line.empty? }.each do |line|
    name, value = line.split(": ", 2)
    name = "HTTP_#{name.tr("-", "_").upcase}"
    env[name] = env[name] ? "#{env[name]}, #{value}" : value
  end
  app = ->(seen) { seen["HTTP_X_USER"] || "nobody" }
  EdgeSignature.new(app, file, %w[x-user x-groups]).call(env)
end
print(JSON.generate(said))
"##;

/// The middleware as the guide has it.
fn middleware() -> String {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/routing.md");
    let guide = std::fs::read_to_string(guide).expect("the guide is there");
    let block = guide.split("```ruby\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("it has an example").to_owned()
}

/// A request, the keys that its reader has, and how many seconds later it is read.
type Case<'c> = (&'c str, &'c str, i64);

/// Whom the middleware takes the sender of each request for.
fn believed(cases: &[Case<'_>]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ruby = Command::new("ruby")
        .args(["-e", &(middleware() + DRIVER)])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs `ruby`");
    let mut input = ruby.stdin.take().expect("piped");
    input.write_all(&serde_json::to_vec(cases).expect("JSON")).expect("written");
    drop(input);
    let output = ruby.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn keys(text: &str) -> Keys {
    Keys::parse(text).expect("keys")
}

#[test]
fn the_middleware_of_the_guide_believes_the_edge_and_nobody_else() {
    let edit = |auth: &mut ForwardAuth, config: &mut forebay_edge::config::Config| {
        auth.keys = Some(keys(OLD));
        // The signature is over what is sent.
        config.routes[0].rewrite = Some("/v2{path}".into());
        let edited = (HeaderName::from_static("x-edge"), HeaderValue::from_static("1"));
        config.routes[0].request_fields = vec![FieldEdit::Set(edited.0, edited.1)];
    };
    with_doorman(always(PAGE), by_session("no-store"), edit, |world, _, mut config| async move {
        let forged = "Signature: forebay=:AAAA:\r\nSignature-Input: forebay=()\r\nX-User: eve\r\n";
        let asked = request("POST", "/a%20b?x=1&y", &format!("{ADA}{forged}Content-Length: 0\r\n"));
        assert!(world.ask(&asked).await.ends_with("hi"));
        let head = world.last_head();
        assert!(head.starts_with("POST /v2/a%20b?x=1&y HTTP/1.1\r\n"), "{head}");
        assert_eq!(head.matches("signature-input: ").count(), 1, "{head}");
        let as_user = |name| head.replace("x-user: ada", name);
        let changed = [
            (as_user("x-user: eve"), "another user"),
            (as_user("x-other: ada"), "no user"),
            (as_user("x-user: ada\r\nx-user: eve"), "two users"),
            (head.replace("POST /", "PUT /"), "another method"),
            (head.replace("/v2/a", "/v2/b"), "another path"),
            (head.replace("x=1", "x=2"), "another query"),
            (head.replace("x-forwarded-host: shop", "x-forwarded-host: bank"), "another host"),
            (head.replace("created=1", "created=2"), "another time"),
            (head.replace(" \"x-user\"", ""), "less is covered"),
            (head.replace("signature: forebay=:", "signature: forebay=:A"), "another signature"),
            (head.replace("signature: ", "x-signature: "), "no signature"),
        ];
        let mut cases: Vec<Case<'_>> = changed.iter().map(|(text, _)| (&**text, OLD, 0)).collect();
        let both = format!("{OLD}\n{NEW}");
        cases.extend([(&*head, OLD, 62), (&head, NEW, 0), (&head, OLD, 0), (&head, OLD, 20)]);
        cases.push((&head, &both, 0));
        let said = believed(&cases);
        for ((text, what), said) in changed.iter().zip(&said) {
            assert_ne!(text, &head, "{what}");
            assert_eq!(said, "nobody", "{what}: {text}");
        }
        let rest: Vec<&str> = said.iter().skip(changed.len()).map(String::as_str).collect();
        // What was overheard is worthless soon, and to others at once.
        assert_eq!(rest, ["nobody", "nobody", "ada", "ada", "ada"], "{head}");
        // The key changes, and no request in between is refused.
        let mut auth = (*config.forward_auths[0]).clone();
        auth.keys = Some(keys(&format!("{NEW}\n{OLD}")));
        let auth = Arc::new(auth);
        config.forward_auths = vec![Arc::clone(&auth)];
        config.routes[0].forward_auth = Some(auth);
        world.reload(config);
        assert!(world.ask(&request("GET", "/", ADA)).await.ends_with("hi"));
        let head = world.last_head();
        assert!(head.contains("keyid=\"2026-b\""), "{head}");
        assert_eq!(believed(&[(&head, &both, 0), (&head, NEW, 0)]), ["ada", "ada"], "{head}");
    });
}

#[test]
fn a_refill_and_a_canary_are_signed_too() {
    let edit = |auth: &mut ForwardAuth, config: &mut forebay_edge::config::Config| {
        auth.keys = Some(keys(OLD));
        config.routes[0].policy = Some(keyed_by(&[X_USER]));
        let mut other = (*config.origins[0]).clone();
        other.name = "canary".into();
        config.origins.push(Arc::new(other));
        config.routes[0].split = Some(forebay_edge::config::route::Split {
            shares: vec![("canary".into(), forebay_edge::config::route::ALL_PARTS)],
            sticky: forebay_edge::config::route::Sticky::Off,
        });
    };
    let app = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\
               Cache-Control: s-maxage=0, stale-while-revalidate=60\r\n\r\nhi";
    with_doorman(always(app), by_session("max-age=60"), edit, |world, _, _| async move {
        // A HEAD fetches the whole: the method that is signed is the one that is sent.
        world.ask(&request("HEAD", "/a?utm_source=x", ADA)).await;
        assert!(world.last_head().starts_with("GET /a HTTP/1.1"), "{}", world.last_head());
        let first = world.last_head();
        let answer = world.ask(&request("GET", "/a", ADA)).await;
        assert!(answer.contains("detail=stale-while-revalidate"), "{answer}");
        world.until_asked(2).await;
        let second = world.last_head();
        let said = believed(&[(&first, OLD, 0), (&second, OLD, 0)]);
        assert_eq!(said, ["ada", "ada"], "{first}{second}");
    });
}
