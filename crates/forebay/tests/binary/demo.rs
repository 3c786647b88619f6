//! `forebay demo` as a user runs it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use super::support::{forebay, outcome, send, wait_for};

struct Demo {
    process: Child,
    port: u16,
    admin: String,
    said: String,
}

impl Demo {
    fn start(more: &[&str]) -> Demo {
        let mut process = forebay(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut said = String::new();
        while !said.contains("Ctrl-C ends it") {
            let line = lines.next().unwrap_or_else(|| panic!("it ended:\n{said}"));
            said = said + &line.expect("text") + "\n";
        }
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let after = |mark: &str| {
            let rest = said.split(mark).nth(1).and_then(|rest| rest.split_whitespace().next());
            rest.unwrap_or_else(|| panic!("no {mark:?} in:\n{said}")).to_owned()
        };
        let port = after("http://127.0.0.1:").trim_end_matches('/').parse().expect("a port");
        let admin = after("status --admin ");
        Demo { process, port, admin, said }
    }

    fn get(&self, path: &str, fields: &str) -> String {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}\r\n"
        );
        send(self.port, &head)
    }

    fn post(&self, path: &str, fields: &str, form: &str) -> String {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{fields}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        send(self.port, &head)
    }

    fn status(&self) -> serde_json::Value {
        let status = outcome(&["status", "--json", "--admin", &self.admin]);
        serde_json::from_str(&status.data).unwrap_or_else(|error| panic!("{error}: {status:?}"))
    }

    fn requests(&self) -> u64 {
        let status = self.status();
        let routes = status["routes"].as_array().expect("a list");
        routes.iter().filter_map(|route| route["requests"].as_u64()).sum()
    }

    fn servers_that_are_well(&self) -> usize {
        let status = self.status();
        let servers = status["origins"][0]["servers"].as_array().expect("a list");
        servers.iter().filter(|server| server["is_healthy"] == true).count()
    }

    fn interrupt(mut self) -> ExitStatus {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &pid]).status().expect("kill is there");
        assert!(sent.success());
        wait_for("its end", || self.process.try_wait().expect("ours"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What stands between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let rest = text.split(begin).nth(1).unwrap_or_else(|| panic!("no {begin:?} in:\n{text}"));
    rest.split(end).next().unwrap_or_default()
}

#[test]
fn the_demo_serves_a_shop_and_is_quiet_without_traffic() {
    let demo = Demo::start(&["--no-traffic"]);
    assert!(!demo.said.contains("A few visitors"), "{}", demo.said);
    let front = demo.get("/", "");
    assert!(front.starts_with("HTTP/1.1 200") && front.contains("Weir &amp; Sons"), "{front}");
    assert!(demo.get("/", "").contains("cache-status: Forebay; hit"), "the second time is a hit");
    let product = between(&front, "href=\"/products/", "\"").to_owned();
    assert!(demo.get(&format!("/products/{product}"), "").starts_with("HTTP/1.1 200"));
    for asset in [
        between(&front, "rel=\"stylesheet\" href=\"", "\""),
        between(&front, "<script src=\"", "\""),
    ] {
        let answer = demo.get(asset, "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{asset}: {answer}");
        assert!(answer.contains("immutable"), "{asset}: {answer}");
        assert!(demo.get(asset, "").contains("cache-status: Forebay; hit"), "{asset}");
    }
    let api = demo.get("/api/products", "");
    let list: serde_json::Value =
        serde_json::from_str(api.split("\r\n\r\n").nth(1).unwrap_or_default()).expect("JSON");
    assert!(list.to_string().contains(&product), "{list}");
    // Nobody but us has asked, before and now.
    assert_eq!(demo.requests(), 8);
}

#[test]
fn style_and_script_come_from_a_folder_and_waiting_browsers_are_told_of_them() {
    let demo = Demo::start(&["--no-traffic"]);
    let front = demo.get("/", "");
    assert!(front.contains("shop-origin: "), "the shop says who it is: {front}");
    let style = between(&front, "rel=\"stylesheet\" href=\"", "\"").to_owned();
    let script = between(&front, "<script src=\"", "\"").to_owned();
    for asset in [&style, &script] {
        let answer = demo.get(asset, "");
        assert!(answer.contains("immutable") && answer.contains("etag: "), "{asset}: {answer}");
        assert!(!answer.contains("shop-origin: "), "the edge serves it: {answer}");
    }
    let part = demo.get(&style, "Range: bytes=0-9\r\n");
    assert!(
        part.starts_with("HTTP/1.1 206") && part.contains("content-range: bytes 0-9/"),
        "{part}"
    );
    assert!(demo.get("/assets/none.css", "").starts_with("HTTP/1.1 404"));
    // A page of one's own is asked for each time: from the second visit on there is something to tell.
    let navigates = "Sec-Fetch-Mode: navigate\r\n";
    assert!(demo.get("/cart", navigates).starts_with("HTTP/1.1 200"));
    let told = demo.get("/cart", navigates);
    let hint = format!("<{style}>; rel=preload; as=style, <{script}>; rel=preload; as=script");
    assert!(
        told.starts_with(&format!("HTTP/1.1 103 Early Hints\r\nlink: {hint}\r\n\r\n")),
        "{told}"
    );
    assert!(told.contains("HTTP/1.1 200 OK"), "{told}");
}

#[test]
fn the_demo_takes_its_files_away_with_it() {
    let demo = Demo::start(&["--no-traffic"]);
    let begins = format!("forebay-demo-{}-", demo.process.id());
    let left = || {
        let entries = std::fs::read_dir(std::env::temp_dir()).expect("it is there").flatten();
        entries.filter(|it| it.file_name().to_string_lossy().starts_with(&begins)).count()
    };
    assert_eq!(left(), 1);
    assert!(demo.interrupt().success());
    assert_eq!(left(), 0);
}

#[test]
fn a_visitor_signs_up_by_a_form_of_his_own_and_nobody_else_sees_him() {
    let demo = Demo::start(&["--no-traffic"]);
    let form = demo.get("/signup", "");
    assert!(!form.contains("; stored"), "{form}");
    let token = between(&form, "name=\"token\" value=\"", "\"").to_owned();
    let other = demo.get("/signup", "");
    let other = between(&other, "name=\"token\" value=\"", "\"");
    assert_ne!(token, other, "each form has a token of its own");
    let cookie = format!("Cookie: {}\r\n", between(&form, "set-cookie: ", ";"));
    let filled =
        |token: &str| format!("token={token}&name=Ada+of+the+weir&email=ada%40shop.example");
    for forged in
        [demo.post("/signup", "", &filled(&token)), demo.post("/signup", &cookie, &filled(other))]
    {
        assert!(forged.starts_with("HTTP/1.1 403"), "a forged form is refused: {forged}");
    }
    let done = demo.post("/signup", &cookie, &filled(&token));
    assert!(done.starts_with("HTTP/1.1 303") && done.contains("location: /account"), "{done}");
    let name = format!("Cookie: {}\r\n", between(&done, "set-cookie: ", ";"));
    let account = demo.get("/account", &name);
    assert!(account.contains("Good day, Ada of the weir"), "{account}");
    let stranger = demo.get("/account", "");
    assert!(stranger.starts_with("HTTP/1.1 303") && !stranger.contains("Ada"), "{stranger}");
    for page in ["/", "/cart", "/signup"] {
        assert!(!demo.get(page, "").contains("Ada"), "{page}");
    }
}

#[test]
fn one_origin_goes_and_returns_and_visitors_see_no_error() {
    let demo = Demo::start(&[]);
    assert!(demo.said.contains("A few visitors"), "{}", demo.said);
    let pages = ["/", "/search?q=lantern", "/api/products"];
    let look = |well: usize| {
        wait_for("the other origin", || {
            for page in pages {
                let answer = demo.get(page, "");
                assert!(answer.starts_with("HTTP/1.1 200"), "{page}: {answer}");
            }
            (demo.servers_that_are_well() == well).then_some(())
        });
    };
    look(2);
    // It goes after twenty seconds and stays away for ten.
    look(1);
    look(2);
    assert!(demo.requests() > 100, "visitors browse along");
    let status = demo.status();
    assert_eq!(status["routes"][0]["errors"], 0, "{status:#}");
    let port = demo.port;
    let end = demo.interrupt();
    assert!(end.success(), "{end}");
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nothing listens any more");
}

#[test]
fn a_changed_product_is_purged_by_its_tag_and_the_rest_stays() {
    let demo = Demo::start(&["--no-traffic"]);
    let front = demo.get("/", "");
    let page = format!("/products/{}", between(&front, "href=\"/products/", "\""));
    let api = demo.get("/api/products", "");
    let list: serde_json::Value =
        serde_json::from_str(api.split("\r\n\r\n").nth(1).unwrap_or_default()).expect("JSON");
    let slug = page.trim_start_matches("/products/");
    let products = list["products"].as_array().expect("a list");
    let product = products.iter().find(|product| product["slug"] == slug).expect("it is there");
    let tag = format!("product-{}", product["id"]);
    let look = |path: &str| {
        let answer = demo.get(path, "");
        assert!(!answer.to_ascii_lowercase().contains("surrogate-key"), "{answer}");
        answer.contains("cache-status: Forebay; hit")
    };
    assert!(!look(&page) && look(&page) && look("/"));
    let why =
        outcome(&["cache", "why", &format!("http://shop.example{page}"), "--admin", &demo.admin]);
    assert!(why.data.contains(&format!("tags       catalogue, {tag}")), "{why:?}");
    let purge = |more: &[&str]| {
        let words = ["cache", "purge", "--tag", &tag, "--admin", &demo.admin];
        outcome(&[&words, more].concat()).data
    };
    assert_eq!(purge(&["--dry-run"]), "1 would be purged\n");
    assert!(look(&page), "it was only counted");
    assert_eq!(purge(&["--yes"]), "1 purged\n");
    assert!(!look(&page), "it is made anew");
    assert!(look(&page) && look("/"));
    assert_eq!(purge(&["--yes", "--soft"]), "1 made stale\n");
    let stale = demo.get(&page, "");
    assert!(stale.contains("detail=stale-while-revalidate"), "{stale}");
}
