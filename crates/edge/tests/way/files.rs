//! Files of a folder, on real sockets.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use forebay_edge::act;
use forebay_edge::config::Config;
use forebay_edge::config::policy::Policy;
use forebay_edge::config::route::{Action, Files};
use forebay_signals::clock;
use tempfile::TempDir;

use super::support::{World, always, request, with_world};

const NO_ORIGIN: &str = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
/// What the store takes in these tests.
const MOST: u64 = 64 << 10;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("made");
        fs::write(path, content).expect("written");
    }
    folder
}

fn serving(folder: &Path) -> impl FnOnce(&mut Config) + use<> {
    let files = Files::below(folder);
    move |config| {
        config.routes[0].action = Action::Files(files);
        config.cache.max_object_bytes = MOST;
    }
}

async fn get(world: &World, path: &str, fields: &str) -> String {
    world.ask(&request("GET", path, fields)).await
}

fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default()
}

fn content(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, content)| content)
}

/// Asks until an answer is as it should be: files are looked at once a second.
async fn until(world: &World, path: &str, fields: &str, is_good: impl Fn(&str) -> bool) -> String {
    let deadline = clock::now() + Duration::from_secs(10);
    loop {
        let answer = get(world, path, fields).await;
        if is_good(&answer) {
            return answer;
        }
        assert!(clock::now() < deadline, "in vain: {answer}");
        clock::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_file_is_read_once_and_answered_from_the_store() {
    let folder = folder(&[("css/app.css", b"body { color: red }")]);
    let check = |world: World| async move {
        let miss = get(&world, "/css/app.css", "").await;
        assert!(miss.starts_with("HTTP/1.1 200"), "{miss}");
        assert_eq!(content(&miss), "body { color: red }");
        assert_eq!(field(&miss, "content-type"), "text/css; charset=utf-8");
        assert_eq!(field(&miss, "cache-control"), "no-cache");
        assert_eq!(field(&miss, "accept-ranges"), "bytes");
        assert!(
            field(&miss, "cache-status").contains("fwd=uri-miss; fwd-status=200; stored"),
            "{miss}"
        );
        assert!(!miss.contains("surrogate-control"), "{miss}");
        let (tag, date) = (field(&miss, "etag"), field(&miss, "last-modified"));
        assert!(tag.starts_with('"') && date.ends_with("GMT"), "{miss}");

        let hit = get(&world, "/css/app.css?v=2", "Cookie: a=b\r\nAuthorization: c\r\n").await;
        assert!(
            field(&hit, "cache-status").contains("Forebay; hit"),
            "a query is no other file: {hit}"
        );
        let head = world.ask(&request("HEAD", "/css/app.css", "")).await;
        assert!(field(&head, "content-length") == "19" && content(&head).is_empty(), "{head}");
        let held = format!("If-None-Match: {tag}\r\n");
        let same = get(&world, "/css/app.css", &held).await;
        assert!(same.starts_with("HTTP/1.1 304") && field(&same, "etag") == tag, "{same}");
        let part = get(&world, "/css/app.css", "Range: bytes=0-3\r\n").await;
        assert!(part.starts_with("HTTP/1.1 206") && content(&part) == "body", "{part}");
        let why = act::why(&world.edge, "http://shop.example/css/app.css?v=3", &[], None);
        let why = why.expect("a good URL");
        assert_eq!((&*why.decision, why.forwarded.len()), ("hit", 0), "{why:?}");
        assert_eq!(world.asked(), 0, "no origin is asked");
    };
    with_world(always(NO_ORIGIN), serving(folder.path()), check);
}

#[test]
fn a_file_that_changes_is_seen_under_every_policy() {
    for policy in [None, Some(Policy::assets())] {
        let folder = folder(&[("a.txt", b"old")]);
        let path = folder.path().to_owned();
        let edit = |config: &mut Config| {
            serving(&path)(config);
            config.routes[0].policy = policy;
        };
        let name = folder.path().join("a.txt");
        with_world(always(NO_ORIGIN), edit, |world| async move {
            let old = get(&world, "/a.txt", "").await;
            assert_eq!(content(&old), "old");
            // The same length, and the same time of modification, as builds do that make their output
            // reproducible.
            let modified = fs::metadata(&name).expect("there").modified().expect("known");
            fs::write(&name, "new").expect("written");
            let file = fs::File::options().write(true).open(&name).expect("there");
            file.set_modified(modified).expect("set");
            let new = until(&world, "/a.txt", "", |it| content(it) == "new").await;
            assert_ne!(field(&new, "etag"), field(&old, "etag"));
            fs::remove_file(&name).expect("removed");
            until(&world, "/a.txt", "", |it| it.starts_with("HTTP/1.1 404")).await;
            fs::write(&name, "back").expect("written");
            let back = get(&world, "/a.txt", "").await;
            assert_eq!(content(&back), "back", "that nothing was there is not remembered");
        });
    }
}

#[test]
fn what_has_not_changed_is_confirmed_and_not_read_again() {
    let folder = folder(&[("a.txt", b"same")]);
    with_world(always(NO_ORIGIN), serving(folder.path()), |world| async move {
        get(&world, "/a.txt", "").await;
        let confirmed = |it: &str| field(it, "cache-status").contains("fwd-status=304");
        let answer = until(&world, "/a.txt", "", confirmed).await;
        assert_eq!(content(&answer), "same");
    });
}

#[test]
fn a_release_is_another_folder_behind_the_same_link() {
    let folder = folder(&[("1/a.txt", b"one"), ("2/a.txt", b"two")]);
    let current = folder.path().join("current");
    std::os::unix::fs::symlink("1", &current).expect("linked");
    with_world(always(NO_ORIGIN), serving(&current), |world| async move {
        assert_eq!(content(&get(&world, "/a.txt", "").await), "one");
        fs::remove_file(&current).expect("removed");
        std::os::unix::fs::symlink("2", &current).expect("linked");
        until(&world, "/a.txt", "", |it| content(it) == "two").await;
    });
}

#[test]
fn what_lies_beside_a_file_is_sent_to_clients_that_take_it() {
    let long = "x".repeat(4_000);
    let folder = folder(&[
        ("a.js", long.as_bytes()),
        ("a.js.br", b"as brotli"),
        ("a.js.gz", b"as gzip"),
        ("old.js", long.as_bytes()),
        ("old.js.br", b"of before"),
    ]);
    let old = fs::File::options().write(true).open(folder.path().join("old.js.br"));
    let day_before = clock::wall() - Duration::from_secs(86_400);
    old.expect("there").set_modified(day_before).expect("set");
    with_world(always(NO_ORIGIN), serving(folder.path()), |world| async move {
        for takes in ["gzip, br", "br;q=0.5, gzip", "gzip", "identity", "br;q=0", ""] {
            let answer = get(&world, "/a.js", &format!("Accept-Encoding: {takes}\r\n")).await;
            let (encoding, expected) = match takes {
                "gzip, br" => ("br", "as brotli"),
                "br;q=0.5, gzip" | "gzip" => ("gzip", "as gzip"),
                _ => ("", long.as_str()),
            };
            assert_eq!(field(&answer, "content-encoding"), encoding, "{takes}: {answer}");
            assert_eq!(content(&answer), expected, "{takes}");
            assert_eq!(field(&answer, "vary"), "accept-encoding", "{takes}: {answer}");
            let ending = if encoding.is_empty() { "\"".into() } else { format!("--{encoding}\"") };
            assert!(field(&answer, "etag").ends_with(&ending), "{takes}: {answer}");
        }
        let answer = get(&world, "/old.js", "Accept-Encoding: br\r\n").await;
        assert!(!answer.contains("of before"), "{answer}");
        let itself = get(&world, "/a.js.gz", "").await;
        assert_eq!(field(&itself, "content-type"), "application/gzip");
        assert!(field(&itself, "content-encoding").is_empty(), "{itself}");
    });
}

#[test]
fn what_lies_outside_or_is_hidden_is_not_there() {
    let folder = folder(&[
        ("secret", b"secret"),
        ("public/a", b"secret a"),
        ("public/.env", b"secret"),
        ("public/.git/config", b"secret"),
        ("public/.well-known/security.txt", b"known"),
    ]);
    let public = folder.path().join("public");
    std::os::unix::fs::symlink("../secret", public.join("link")).expect("linked");
    with_world(always(NO_ORIGIN), serving(&public), |world| async move {
        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/a/../../secret",
            "/..%2fsecret",
            "/..%5csecret",
            "/.env",
            "/%2eenv",
            "/.git/config",
            "/link",
            "/a%00",
            "/a/",
            "//secret",
            "/%252e%252e/secret",
            "/secret",
        ] {
            let answer = get(&world, path, "").await;
            assert!(
                answer.starts_with("HTTP/1.1 4") && !answer.contains("secret\n"),
                "{path}: {answer}"
            );
            assert!(!content(&answer).contains("secret"), "{path}: {answer}");
        }
        let known = get(&world, "/.well-known/security.txt", "").await;
        assert_eq!(content(&known), "known");
    });
}

#[test]
fn a_folder_is_its_index_and_ends_with_a_slash() {
    let folder =
        folder(&[("index.html", b"home"), ("docs/index.html", b"docs"), ("empty/x", b"x")]);
    let edit = |config: &mut Config| {
        serving(folder.path())(config);
        config.routes[0].error_pages.insert(404, Bytes::from_static(b"<h1>gone</h1>"));
    };
    with_world(always(NO_ORIGIN), edit, |world| async move {
        assert_eq!(content(&get(&world, "/", "").await), "home");
        assert_eq!(content(&get(&world, "/docs/", "").await), "docs");
        let moved = get(&world, "/docs", "").await;
        assert!(
            moved.starts_with("HTTP/1.1 308") && field(&moved, "location") == "./docs/",
            "{moved}"
        );
        let nothing = get(&world, "/empty/", "").await;
        assert!(nothing.starts_with("HTTP/1.1 404"), "{nothing}");
        assert_eq!(content(&nothing), "<h1>gone</h1>");
        let post = world.ask(&request("POST", "/", "Content-Length: 0\r\n")).await;
        assert!(post.starts_with("HTTP/1.1 405") && field(&post, "allow") == "GET, HEAD", "{post}");
    });
}

#[test]
fn pages_that_are_not_there_are_the_applications() {
    let folder = folder(&[("index.html", b"app"), ("a.js", b"script")]);
    let edit = |config: &mut Config| {
        serving(folder.path())(config);
        let fallback = Some("index.html".into());
        config.routes[0].action = Action::Files(Files { fallback, ..Files::below(folder.path()) });
    };
    with_world(always(NO_ORIGIN), edit, |world| async move {
        for page in ["/", "/cart", "/orders/17/", "/orders/18"] {
            let answer = get(&world, page, "").await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && content(&answer) == "app",
                "{page}: {answer}"
            );
        }
        for file in ["/b.js", "/.env", "/cart.html", "/../cart"] {
            let answer = get(&world, file, "").await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{file}: {answer}");
        }
    });
}

#[test]
fn a_file_too_large_for_the_store_is_read_as_it_is_taken() {
    let large: String =
        (0..200_000).map(|place| char::from(b'a' + u8::try_from(place % 23).unwrap())).collect();
    let folder = folder(&[("large.bin", large.as_bytes()), ("large.bin.gz", b"smaller")]);
    with_world(always(NO_ORIGIN), serving(folder.path()), |world| async move {
        for _ in 0..2 {
            let whole = get(&world, "/large.bin", "").await;
            assert!(content(&whole) == large, "{}", whole.len());
            assert_eq!(field(&whole, "content-length"), "200000");
        }
        assert_eq!(world.edge.cache.memory.statistics().objects, 0);
        let part = get(&world, "/large.bin", "Range: bytes=150000-150009\r\n").await;
        assert!(part.starts_with("HTTP/1.1 206"), "{part}");
        assert_eq!(content(&part), &large[150_000..150_010]);
        assert_eq!(field(&part, "content-range"), "bytes 150000-150009/200000");
        several_of(&large, &get(&world, "/large.bin", SEVERAL).await);
        let beyond = get(&world, "/large.bin", "Range: bytes=200000-\r\n").await;
        assert!(beyond.starts_with("HTTP/1.1 416"), "{beyond}");
        assert_eq!(field(&beyond, "content-range"), "bytes */200000");
        let head = world.ask(&request("HEAD", "/large.bin", "")).await;
        assert!(field(&head, "content-length") == "200000" && content(&head).is_empty(), "{head}");
        let encoded = get(&world, "/large.bin", "Accept-Encoding: gzip\r\n").await;
        assert_eq!((field(&encoded, "content-encoding"), content(&encoded)), ("gzip", "smaller"));

        // Its tag holds once the clock of the file system has gone on.
        let tag = field(&get(&world, "/large.bin", "").await, "etag").to_owned();
        let tag = std::cell::RefCell::new(tag);
        let is_same = |it: &str| {
            let before = tag.replace(field(it, "etag").to_owned());
            before == field(it, "etag")
        };
        until(&world, "/large.bin", "", |it| is_same(it)).await;
        let tag = tag.into_inner();
        let held = get(&world, "/large.bin", &format!("If-None-Match: {tag}\r\n")).await;
        assert!(held.starts_with("HTTP/1.1 304"), "{held}");
        let held = format!("If-None-Match: {}\r\n", field(&encoded, "etag"));
        assert!(
            get(&world, "/large.bin", &held).await.starts_with("HTTP/1.1 200"),
            "another moment's"
        );
        let of_it = format!("Range: bytes=0-1\r\nIf-Range: {tag}\r\n");
        assert!(get(&world, "/large.bin", &of_it).await.starts_with("HTTP/1.1 206"));
        let of_other = "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n";
        assert!(get(&world, "/large.bin", of_other).await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn a_policy_that_stores_nothing_still_serves_files() {
    let folder = folder(&[("a.txt", b"text")]);
    let edit = |config: &mut Config| {
        serving(folder.path())(config);
        config.routes[0].policy = Some(Policy::pass());
    };
    with_world(always(NO_ORIGIN), edit, |world| async move {
        let answer = get(&world, "/a.txt", "").await;
        assert!(answer.starts_with("HTTP/1.1 200") && content(&answer) == "text", "{answer}");
        assert_eq!(world.edge.cache.memory.statistics().objects, 0);
    });
}

#[test]
fn many_who_ask_for_a_file_at_once_have_it_read_once() {
    let folder = folder(&[("a.txt", b"text")]);
    with_world(always(NO_ORIGIN), serving(folder.path()), |world| async move {
        let message = request("GET", "/a.txt", "");
        let all: Vec<_> = (0..20)
            .map(|_| {
                let (port, message) = (world.port, message.clone());
                tokio::spawn(async move { super::support::ask(port, &message).await })
            })
            .collect();
        let mut misses = 0;
        for one in all {
            let answer = one.await.expect("no panic");
            assert_eq!(content(&answer), "text");
            let status = field(&answer, "cache-status");
            misses += usize::from(status.contains("fwd=uri-miss") && !status.contains("collapsed"));
        }
        assert_eq!(misses, 1);
    });
}

/// The last first, two that touch, and one that lies outside.
const SEVERAL: &str = "Range: bytes=-5, 1000-1999, 2000-2010, 70000-70000, 900000-\r\n";

/// Holds an answer to [`SEVERAL`] to the parts of `whole`.
fn several_of(whole: &str, answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 206"), "{answer}");
    let boundary = field(answer, "content-type").strip_prefix("multipart/byteranges; boundary=");
    let delimiter = format!("--{}", boundary.expect("parts"));
    assert_eq!(field(answer, "content-length"), content(answer).len().to_string());
    let mut parts: Vec<&str> = content(answer).split(&delimiter).collect();
    assert_eq!((parts.remove(0), parts.pop()), ("", Some("--\r\n")));
    let mut seen = vec![];
    for part in parts {
        let (head, content) = part.split_once("\r\n\r\n").expect("a part has a head");
        let content = content.strip_suffix("\r\n").expect("a part ends with a line");
        let range = head.lines().find_map(|line| line.strip_prefix("Content-Range: bytes "));
        let (range, length) = range.expect("a range").split_once('/').expect("a length");
        let (first, last) = range.split_once('-').expect("two ends");
        let number = |text: &str| text.parse::<usize>().expect("a number");
        let (first, last) = (number(first), number(last));
        assert_eq!(length, whole.len().to_string());
        assert_eq!(content, &whole[first..=last]);
        seen.push((first, last));
    }
    let end = whole.len();
    assert_eq!(seen, [(1_000, 2_010), (70_000, 70_000), (end - 5, end - 1)]);
}

#[test]
fn several_ranges_of_a_stored_file_come_as_parts() {
    let text: String =
        (0..80_000).map(|place| char::from(b'a' + u8::try_from(place % 23).unwrap())).collect();
    let folder = folder(&[("a.txt", text.as_bytes())]);
    let edit = |config: &mut Config| {
        serving(folder.path())(config);
        config.cache.max_object_bytes = 1 << 20;
    };
    with_world(always(NO_ORIGIN), edit, |world| async move {
        // Of a miss, and of a hit.
        several_of(&text, &get(&world, "/a.txt", SEVERAL).await);
        let hit = get(&world, "/a.txt", SEVERAL).await;
        assert!(field(&hit, "cache-status").contains("hit"), "{hit}");
        several_of(&text, &hit);
    });
}

#[test]
fn names_with_a_digest_never_change() {
    let folder = folder(&[("app-5f3a9c0b.js", b"x"), ("app-20240131.js", b"x")]);
    let edit = |config: &mut Config| {
        serving(folder.path())(config);
        let max_age = Some(Duration::from_secs(60));
        config.routes[0].action = Action::Files(Files { max_age, ..Files::below(folder.path()) });
    };
    with_world(always(NO_ORIGIN), edit, |world| async move {
        let digest = get(&world, "/app-5f3a9c0b.js", "").await;
        assert_eq!(field(&digest, "cache-control"), "public, max-age=31536000, immutable");
        let date = get(&world, "/app-20240131.js", "").await;
        assert_eq!(field(&date, "cache-control"), "public, max-age=60");
    });
}

#[test]
fn an_origin_that_says_nothing_of_a_name_with_a_digest_means_for_ever() {
    const FOR_EVER: &str = "public, max-age=31536000, immutable";
    let answers: super::support::Answers = std::sync::Arc::new(|head: &str| {
        let more = match head.split(' ').nth(1).unwrap_or_default() {
            path if path.contains("said") => "Cache-Control: max-age=5\r\n",
            path if path.contains("cookie") => "Set-Cookie: a=b\r\n",
            _ => "",
        };
        let status = if head.contains("gone") { "404 Not Found" } else { "200 OK" };
        (Duration::ZERO, format!("HTTP/1.1 {status}\r\n{more}Content-Length: 1\r\n\r\nx"))
    });
    for (policy, told) in
        [(Some(Policy::assets()), FOR_EVER), (Some(Policy::html()), ""), (None, "")]
    {
        let edit = |config: &mut Config| config.routes[0].policy = policy;
        with_world(std::sync::Arc::clone(&answers), edit, |world| async move {
            // As it comes, and from the store.
            for _ in 0..2 {
                let answer = get(&world, "/app-5f3a9c0b.js", "").await;
                assert_eq!(field(&answer, "cache-control"), told, "{answer}");
                for (path, told) in [
                    ("/app.js", ""),
                    ("/cookie-5f3a9c0b.js", ""),
                    ("/gone-5f3a9c0b.js", ""),
                    ("/said-5f3a9c0b.js", "max-age=5"),
                ] {
                    let answer = get(&world, path, "").await;
                    assert_eq!(field(&answer, "cache-control"), told, "{path}: {answer}");
                }
            }
        });
    }
}
