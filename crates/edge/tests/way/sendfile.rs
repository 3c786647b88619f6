//! Files that the application names in place of its content, on real sockets.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use forebay_edge::config::Config;

use super::support::{Answers, World, request, with_world};

const COOKIE: &str = "Set-Cookie: seen=1\r\n";

/// A folder of files, a file outside, and an application that names what the request's query says.
fn world_of<F: Future<Output = ()>>(
    more: &'static str,
    is_on: bool,
    test: impl FnOnce(World, PathBuf) -> F,
) {
    let all = tempfile::tempdir().expect("a folder");
    let folder = all.path().join("files");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("a b.txt"), "the file").expect("written");
    fs::write(folder.join(".key"), "secret").expect("written");
    fs::write(folder.join("large"), "0123456789".repeat(20_000)).expect("written");
    fs::write(all.path().join("outside"), "secret").expect("written");
    let on_disk = folder.display().to_string();
    let answers: Answers = Arc::new(move |head: &str| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let named = path.split_once('?').and_then(|(_, it)| it.split_once('='));
        let (name, value) = named.unwrap_or_default();
        let value = value.replace("DISK", &on_disk).replace('+', " ");
        let fields = format!(
            "{name}: {value}\r\nContent-Type: text/csv\r\n\
             Content-Disposition: attachment\r\n{more}"
        );
        (Duration::ZERO, format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 7\r\n\r\nno file"))
    });
    let edit = |config: &mut Config| {
        config.cache.max_object_bytes = 64 << 10;
        if is_on {
            config.routes[0].sendfile = vec![("/protected/".into(), folder)];
        }
    };
    let path = all.path().join("files");
    with_world(answers, edit, |world| test(world, path));
    drop(all);
}

async fn get(world: &World, query: &str, fields: &str) -> String {
    world.ask(&request("GET", &format!("/download?{query}"), fields)).await
}

#[test]
fn a_named_file_takes_the_place_of_the_content() {
    world_of(COOKIE, true, |world, folder| async move {
        for query in ["X-Accel-Redirect=/protected/a%20b.txt", "X-Sendfile=DISK/a+b.txt"] {
            let answer = get(&world, query, "").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.ends_with("\r\n\r\nthe file"), "{answer}");
            for kept in [
                "content-type: text/csv",
                "content-disposition: attachment",
                "set-cookie: seen=1",
                "etag: \"",
                "content-length: 8\r\n",
            ] {
                assert!(answer.contains(kept), "{kept}: {answer}");
            }
            for hidden in ["x-accel-redirect", "x-sendfile", "cache-control"] {
                assert!(!answer.contains(hidden), "{hidden}: {answer}");
            }
            let part = get(&world, query, "Range: bytes=4-\r\n").await;
            assert!(part.starts_with("HTTP/1.1 206"), "{part}");
            assert!(part.ends_with("\r\n\r\nfile"), "{part}");
        }
        let asked = world.last_head().to_ascii_lowercase();
        let folder = folder.display().to_string();
        let mapping = format!("x-accel-mapping: {folder}/=/protected/\r\n");
        assert!(asked.contains(&mapping.to_ascii_lowercase()), "{asked}");
        assert!(asked.contains("x-sendfile-type: x-accel-redirect"), "{asked}");
        let large = get(&world, "X-Accel-Redirect=/protected/large", "").await;
        assert!(large.ends_with(&"0123456789".repeat(20_000)), "{}", large.len());
    });
}

#[test]
fn what_the_application_varies_by_stays_beside_encodings() {
    world_of("Vary: Cookie\r\n", true, |world, folder| async move {
        fs::write(folder.join("a b.txt.gz"), "smaller").expect("written");
        let path = "/download?X-Accel-Redirect=/protected/a%20b.txt";
        let fields = "Accept-Encoding: gzip\r\nContent-Length: 0\r\n";
        let answer = world.ask(&request("POST", path, fields)).await;
        assert!(answer.ends_with("\r\n\r\nsmaller"), "{answer}");
        let vary: String = answer.lines().filter(|line| line.starts_with("vary: ")).collect();
        let vary = vary.to_ascii_lowercase();
        assert!(vary.contains("cookie") && vary.contains("accept-encoding"), "{answer}");
    });
}

#[test]
fn an_answer_to_a_post_is_never_304() {
    world_of(COOKIE, true, |world, _| async move {
        let path = "/download?X-Accel-Redirect=/protected/a%20b.txt";
        let condition = "If-None-Match: *\r\nContent-Length: 0\r\n";
        let posted = world.ask(&request("POST", path, condition)).await;
        assert!(posted.starts_with("HTTP/1.1 200"), "{posted}");
        assert!(posted.ends_with("\r\n\r\nthe file"), "{posted}");
    });
}

#[test]
fn nothing_outside_of_the_folders_is_sent() {
    world_of(COOKIE, true, |world, _| async move {
        for query in [
            "X-Accel-Redirect=/protected/../outside",
            "X-Accel-Redirect=/protected/%2e%2e/outside",
            "X-Accel-Redirect=/outside",
            "X-Accel-Redirect=/protected/.key",
            "X-Accel-Redirect=/protected/none",
            "X-Accel-Redirect=/protected/",
            "X-Sendfile=DISK/../outside",
            "X-Sendfile=/etc/hostname",
            "X-Sendfile=DISKx",
            "X-Sendfile=DISK",
            "X-Sendfile=DISK/.key",
            "X-Sendfile=DISK/a%20b.txt",
        ] {
            let answer = get(&world, query, "").await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{query}: {answer}");
            assert!(!answer.contains("secret") && !answer.contains("no file"), "{query}: {answer}");
            assert!(!answer.contains("set-cookie"), "{query}: {answer}");
        }
    });
}

#[test]
fn a_named_file_is_stored_by_the_applications_grant() {
    let query = "X-Accel-Redirect=/protected/a%20b.txt";
    for (more, asked) in
        [("Cache-Control: max-age=60\r\n", 1), ("Cache-Control: private\r\n", 2), ("", 2)]
    {
        world_of(more, true, |world, _| async move {
            for _ in 0..2 {
                let answer = get(&world, query, "").await;
                assert!(answer.ends_with("\r\n\r\nthe file"), "{answer}");
            }
            assert_eq!(world.asked(), asked, "{more}");
        });
    }
}

#[test]
fn without_the_setting_nobody_is_told_and_nothing_is_sent() {
    world_of(COOKIE, false, |world, _| async move {
        let fields = "X-Sendfile-Type: X-Sendfile\r\nX-Accel-Mapping: /=/x\r\n";
        let answer = get(&world, "X-Sendfile=DISK/a+b.txt", fields).await;
        assert!(answer.ends_with("no file"), "{answer}");
        let asked = world.last_head().to_ascii_lowercase();
        assert!(!asked.contains("sendfile-type") && !asked.contains("accel-mapping"), "{asked}");
    });
}
