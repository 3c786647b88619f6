//! `forebay top`: what is asked for most, of a running edge.

use super::support::{Origin, Running, ask, config, wait_for};

fn json(running: &Running, words: &[&str]) -> serde_json::Value {
    let said = running.operate(&[&["top"], words, &["--json"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.data).expect("JSON")
}

#[test]
fn keys_clients_and_routes_are_told_by_what_they_cost() {
    let origin = Origin::start();
    let own = "[policy.plain]\nextends = \"html\"\nquery = \"drop\"\n\n\
               [[route]]\nname = \"plain\"\npath = \"/plain\"\norigin = \"app\"\npolicy = \"plain\"\n";
    let running = Running::with_config(&config(&origin, own));
    for (path, times) in [("/often", 12), ("/plain?a=1", 3), ("/plain?b=2", 3), ("/once", 1)] {
        for _ in 0..times {
            assert!(running.get(path).contains("200 OK"));
        }
    }
    assert!(ask(running.port, "other.example", "/often").contains("200 OK"));
    let keys = wait_for("all that was asked for", || {
        let keys = json(&running, &["keys"]);
        (keys["requests"] == 20).then_some(keys)
    });
    assert_eq!(
        (&keys["what"], &keys["by"], &keys["looked_at"]),
        (&"keys".into(), &"requests".into(), &20.into())
    );
    let row = |view: &serde_json::Value, nth: usize| view["rows"][nth].clone();
    let first = row(&keys, 0);
    assert_eq!(first["name"], "http://shop.example/often");
    assert_eq!(
        (&first["requests"], &first["hits"], &first["misses"], &first["error"]),
        (&12.into(), &11.into(), &1.into(), &0.into())
    );
    assert_eq!(first["share"].as_f64(), Some(0.6), "{first}");
    assert_eq!(first["bytes"], 12 * "/often".len());
    let second = row(&keys, 1);
    assert_eq!(
        (&second["name"], &second["hits"]),
        (&"http://shop.example/plain".into(), &5.into())
    );
    let misses = json(&running, &["keys", "--by", "misses", "--rows", "2"]);
    assert_eq!(misses["rows"].as_array().map(Vec::len), Some(2), "{misses}");
    assert_eq!(row(&misses, 0)["misses"], 1);
    let clients = json(&running, &["clients", "--by", "bytes"]);
    assert_eq!(
        (&row(&clients, 0)["name"], &row(&clients, 0)["requests"]),
        (&"127.0.0.1".into(), &20.into())
    );
    let routes = json(&running, &["routes"]);
    assert_eq!(
        (&row(&routes, 0)["name"], &row(&routes, 0)["requests"]),
        (&"all".into(), &14.into())
    );
    assert_eq!((&row(&routes, 1)["name"], &row(&routes, 1)["hits"]), (&"plain".into(), &5.into()));

    // Without a terminal it shows once.
    let shown = running.operate(&["top", "keys"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.data.starts_with("top keys by requests · last "), "{}", shown.data);
    assert!(shown.data.contains("   exact  http://shop.example/often\n"), "{}", shown.data);
    assert!(!shown.data.contains('\x1b'), "{}", shown.data);
    assert_eq!(running.operate(&["top", "pages"]).code, Some(1));
    let refused = super::support::send(
        running.admin_port(),
        "GET /top/keys?by=size HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert!(refused.contains(" 422 ") && refused.contains("by=misses"), "{refused}");
}
