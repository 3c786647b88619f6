//! What `cache why` names of what stands between the route and the cache.

use super::support::{Origin, Running, config, write};

#[test]
fn why_names_passwords_maintenance_and_the_arm() {
    const HASH: &str = "$2y$04$abcdefghijklmnopqrstuu7ChGmjZcQOHoXUsJG.oyY4BYJ5xUZhS";
    let origin = Origin::start();
    let users = tempfile::NamedTempFile::new().expect("a file");
    write(users.path(), &format!("anna:{HASH}\n"));
    let own = format!(
        "[maintenance]\nallow = [\"192.0.2.0/24\"]\nserve_hits = true\n\n\
         [[origin]]\nname = \"canary\"\nservers = [\"{}\"]\n\n\
         [[route]]\nname = \"shop\"\npath = \"/shop\"\norigin = \"app\"\n\
         split = {{ canary = 5.25 }}\nsticky = \"address\"\n\
         basic_auth = {{ users = \"{}\", realm = \"the shop\" }}\n",
        origin.url(),
        users.path().display()
    );
    let running = Running::with_config(&config(&origin, &own));
    let why = |more: &[&str]| {
        let said = running.operate(&[&["cache", "why", "http://shop.example/shop"], more].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        said.data
    };
    let said = why(&["-H", "Authorization: Basic YTpi"]);
    for part in [
        "a password for `the shop` is asked for; it ends at the edge, and what is stored is for all users",
        "the route is split: `canary` gets 5.25 %",
        "its arm is `app`, by its address",
    ] {
        assert!(said.contains(&format!("part       {part}\n")), "{part}: {said}");
    }
    assert!(said.contains("decision   miss") && !said.contains("maintenance"), "{said}");
    assert!(said.contains("stripped   -\nforwarded  -\n"), "the password is gone: {said}");
    let arms = (0..=255).map(|last| why(&["--from", &format!("192.0.2.{last}")]));
    let canary = arms.into_iter().find(|said| said.contains("its arm is `canary`"));
    let canary = canary.expect("one of 256 in 5 %");
    assert!(canary.contains("part       the arm's name is in the key"), "{canary}");
    assert!(canary.contains("key        http://shop.example/shop | %canary"), "{canary}");
    assert_eq!(running.operate(&["maintenance", "on"]).code, Some(0));
    let said = why(&[]);
    assert!(
        said.contains("the route is in maintenance: this client gets what is stored"),
        "{said}"
    );
    assert!(said.contains("decision   refused\nrule       maintenance\n"), "{said}");
    let said = why(&["--from", "192.0.2.7"]);
    assert!(said.contains("the route is in maintenance: this client passes"), "{said}");
    assert!(said.contains("decision   miss"), "{said}");
}
