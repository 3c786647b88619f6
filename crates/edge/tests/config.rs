//! The config file: golden cases of `tests/config/*.txt`, and the reference against what is read.
//!
//! A case is a file, a line of dashes, and what comes of it: each value that is not a default with its
//! origin, or the exact complaints. `FOREBAY_GOLDEN=write` writes the second half anew; read the
//! difference before keeping it.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use forebay_edge::config::file::reference::{Key, SECTIONS};
use forebay_edge::config::file::{
    self, Layer, Loaded, Machine, Problems, SetBy, Source, Value, explain,
};

const DASHES: &str = "----\n";

fn load(layers: &[Layer]) -> Result<Loaded, Problems> {
    let read = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.starts_with("missing") => Err(io::ErrorKind::NotFound.into()),
        Some(name) if name.ends_with("htpasswd") => {
            // `U*U`, of the test vectors of bcrypt.
            let users =
                b"# users\nada:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n";
            Ok(users.to_vec())
        }
        Some("acme.key") => Ok(b"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajV\n".to_vec()),
        Some(name) if name.ends_with("keys") => {
            Ok(b"# id:secret\n2026-a:0123456789abcdef0123456789abcdef\n".to_vec())
        }
        _ => Ok(b"<h1>content</h1>".to_vec()),
    };
    let is_folder = |path: &Path| !path.ends_with("missing");
    let folder = Path::new("/etc/forebay");
    let machine = Machine { read: &read, is_folder: &is_folder, folder, has_ipv6: true };
    file::read(layers, &machine)
}

fn in_file(text: &str) -> Layer {
    Layer { source: Source::File("forebay.toml".into()), text: text.to_owned() }
}

fn outcome(text: &str) -> String {
    match load(&[in_file(text)]) {
        Ok(loaded) => {
            let told = |value: &Value| !matches!(value.set_by, SetBy::Default | SetBy::Policy(_));
            let told: Vec<Value> = loaded.values.into_iter().filter(told).collect();
            explain(&told).join("\n") + "\n"
        }
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn every_golden_case_comes_out_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/config");
    let entries = fs::read_dir(&folder).expect("the cases are there");
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    cases.sort();
    assert!(cases.len() > 20, "only {} cases", cases.len());
    let mut failures = String::new();
    for case in cases {
        let text = fs::read_to_string(&case).expect("readable");
        let (input, expected) = text.split_once(DASHES).unwrap_or((&text, ""));
        let got = outcome(input);
        if std::env::var_os("FOREBAY_GOLDEN").is_some() {
            fs::write(&case, format!("{input}{DASHES}{got}")).expect("writable");
        } else if got != expected {
            writeln!(failures, "== {}\n-- expected\n{expected}-- got\n{got}", case.display())
                .expect("a String takes everything");
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// A file in which `key` of a section stands alone, with what the section needs to be valid.
fn alone(section: &str, key: &Key) -> String {
    let line = format!("{} = {}", key.name, key.example);
    let app = "[[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:3000\"]\n";
    let tls = "[listen]\non = [\"https://:443\"]\n";
    let path = "path = \"/users/:id/*rest\"\n";
    match (section, key.name) {
        ("listen", "on") => format!(
            "[listen]\n{line}\ncertificates = [{{ chain = \"c.pem\", key = \"k.pem\" }}]\n{app}"
        ),
        ("acme", _) => {
            let needed = [
                ("domains", "domains = [\"shop.example\"]\n"),
                ("agree_to_terms", "agree_to_terms = true\n"),
            ];
            let needed = needed.iter().filter(|(name, _)| *name != key.name);
            let needed: String = needed.map(|(_, line)| *line).collect();
            let more = match key.name {
                "key_id" => "key_file = \"acme.key\"\n",
                "key_file" => "key_id = \"kid-1\"\n",
                _ => "",
            };
            format!("{tls}[acme]\n{needed}{more}{line}\n{app}")
        }
        ("listen", "certificates") => format!("{tls}{line}\n{app}"),
        ("listen.certificates", _) => {
            let other = if key.name == "key" { "chain" } else { "key" };
            format!("{tls}certificates = [{{ {line}, {other} = \"x.pem\" }}]\n{app}")
        }
        ("route", "rates") => {
            let rates = "[rate.login]\nrequests = 1\n[rate.all]\nrequests = 1\n";
            format!("[[route]]\n{line}\n{rates}{app}")
        }
        ("rate", _) => {
            let more = if key.name == "requests" { "" } else { "requests = 1\n" };
            format!("[[route]]\nrates = [\"mine\"]\n[rate.mine]\n{more}{line}\n{app}")
        }
        ("route", "forward_auth") => {
            let sso = "[forward_auth.sso]\norigin = \"app\"\npath = \"/x\"\n";
            format!("[[route]]\n{line}\n{sso}{app}")
        }
        ("forward_auth", _) => {
            let needed = ["origin = \"app\"\n", "path = \"/x\"\n"].into_iter();
            let needed: String = needed.filter(|it| !it.starts_with(key.name)).collect();
            format!(
                "[[route]]\nforward_auth = \"mine\"\n[forward_auth.mine]\n{needed}{line}\n{app}"
            )
        }
        ("route", "mirror") => {
            let next = "[[origin]]\nname = \"next\"\nservers = [\"http://127.0.0.1:3001\"]\n";
            format!("[[route]]\norigin = \"app\"\n{line}\n{app}{next}")
        }
        ("route.mirror", _) => {
            let next = "[[origin]]\nname = \"next\"\nservers = [\"http://127.0.0.1:3001\"]\n";
            let origin = if key.name == "origin" { "" } else { "origin = \"next\", " };
            format!("[[route]]\norigin = \"app\"\nmirror = {{ {origin}{line} }}\n{app}{next}")
        }
        ("route", "split") => {
            let canary = "[[origin]]\nname = \"canary\"\nservers = [\"http://127.0.0.1:3001\"]\n";
            format!("[[route]]\norigin = \"app\"\n{line}\n{app}{canary}")
        }
        ("route", "countries") => {
            format!("[geo]\ndatabase = \"a.mmdb\"\n[[route]]\n{path}{line}\n{app}")
        }
        ("geo", "domains") => format!("[geo]\ndatabase = \"a.mmdb\"\n{line}\n{app}"),
        ("route", "path") => format!("[[route]]\n{line}\n{app}"),
        ("route", _) => format!("[[route]]\n{path}{line}\n{app}"),
        ("route.redirect", "status") => {
            format!("[[route]]\nredirect = {{ to = \"/x\", {line} }}\n{app}")
        }
        ("route.redirect", _) => format!("[[route]]\nredirect = {{ {line} }}\n{app}"),
        ("route.basic_auth", "users") => format!("[[route]]\nbasic_auth = {{ {line} }}\n{app}"),
        ("route.basic_auth", _) => {
            format!("[[route]]\nbasic_auth = {{ users = \"a.htpasswd\", {line} }}\n{app}")
        }
        ("route.files", "folder") => format!("[[route]]\nfiles = {{ {line} }}\n{app}"),
        ("route.files", _) => {
            format!("[[route]]\nfiles = {{ folder = \"public\", {line} }}\n{app}")
        }
        ("route.answer", _) => format!("[[route]]\nanswer = {{ {line} }}\n{app}"),
        ("route.request_fields", _) => {
            format!("[[route]]\nrequest_fields = {{ {line} }}\nanswer_fields = {{ {line} }}\n{app}")
        }
        ("policy", _) => format!("[policy.mine]\n{line}\n{app}"),
        ("policy.query", _) => format!("[policy.mine]\nquery = {{ {line} }}\n{app}"),
        ("origin", "name") => format!("[[origin]]\n{line}\nservers = [\"http://a:1\"]\n"),
        ("origin", "servers") => format!("[[origin]]\nname = \"app\"\n{line}\n"),
        ("origin", _) => format!("{app}{line}\n"),
        ("origin.servers", "url") => {
            format!("[[origin]]\nname = \"a\"\nservers = [{{ {line} }}]\n")
        }
        ("origin.servers", _) => {
            format!("[[origin]]\nname = \"a\"\nservers = [{{ url = \"https://b\", {line} }}]\n")
        }
        ("origin.probe", _) => format!("{app}probe = {{ {line} }}\n"),
        _ => format!("[{section}]\n{line}\n{app}"),
    }
}

#[test]
fn every_key_of_the_reference_is_read_with_its_example() {
    for section in SECTIONS {
        for key in section.keys {
            let text = alone(section.name, key);
            let loaded = load(&[in_file(&text)]).unwrap_or_else(|problems| {
                panic!("{}.{}: {problems}\n{text}", section.name, key.name)
            });
            // These are part of a value that is shown as a whole.
            if ["route.request_fields", "listen.certificates", "policy.query", "origin.servers"]
                .contains(&section.name)
            {
                continue;
            }
            let is_it = |value: &&Value| {
                value.key.rsplit('.').next() == Some(key.name)
                    && matches!(value.set_by, SetBy::File(..))
            };
            let value = loaded.values.iter().find(is_it);
            // A name is what the other keys are called by.
            assert!(
                value.is_some() || key.name == "name",
                "{}.{} is not read",
                section.name,
                key.name
            );
        }
    }
}

#[test]
fn defaults_of_the_reference_are_the_defaults_in_force() {
    let text = "[listen]\non = [\":1\", \"https://:2\"]\n[[route]]\norigin = \"app\"\nrates = [\"mine\"]\nforward_auth = \"mine\"\n\
                mirror = { origin = \"next\" }\n[rate.mine]\nrequests = 1\n\
                [forward_auth.mine]\norigin = \"app\"\npath = \"/x\"\n\
                [[origin]]\nname = \"next\"\nservers = [\"http://127.0.0.1:3001\"]\n\
                [[origin]]\nname = \"app\"\nservers = [\"http://127.0.0.1:3000\"]\n\
                probe = {}\n[policy.mine]\n[acme]\ndomains = [\"a.example\"]\nagree_to_terms = true\n";
    let loaded = load(&[in_file(text)]).expect("it is valid");
    for section in SECTIONS {
        for key in section.keys.iter().filter(|key| !key.default.is_empty()) {
            let path = match section.name {
                "route" => "route.route-1".to_owned(),
                "policy" => "policy.mine".to_owned(),
                "rate" => "rate.mine".to_owned(),
                "forward_auth" => "forward_auth.mine".to_owned(),
                "route.mirror" => "route.route-1.mirror".to_owned(),
                "origin" => "origin.app".to_owned(),
                "origin.probe" => "origin.app.probe".to_owned(),
                name => name.to_owned(),
            };
            let path = format!("{path}.{}", key.name);
            let Some(value) = loaded.values.iter().find(|value| value.key == path) else {
                let within =
                    ["redirect", "answer", "files", "request_fields", "servers", "basic_auth"];
                let is_within = within.iter().any(|end| section.name.ends_with(end));
                let is_choice = ["redirect", "answer", "files"].contains(&key.name);
                assert!(is_within || is_choice, "`{path}` is never explained");
                continue;
            };
            let is_special = ["extended", "the only origin", "`requests`"].contains(&key.default)
                || matches!(value.set_by, SetBy::File(..));
            assert!(
                is_special || value.text == key.default,
                "{path}: {} {}",
                value.text,
                key.default
            );
        }
    }
}

#[test]
fn a_flag_stands_above_the_environment_and_that_above_the_file() {
    let layer = |source, text: &str| Layer { source, text: text.into() };
    let flag = layer(Source::Flag("--listen"), "listen.on = [\":1\"]");
    let variable = layer(Source::Variable("FOREBAY_LISTEN"), "listen.on = [\":2\"]\n");
    let admin = layer(Source::Variable("FOREBAY_ADMIN"), "admin.listen = \"127.0.0.1:9\"");
    let file = in_file(
        "[listen]\non = [\":3\"]\nidle_timeout = \"9s\"\n[[origin]]\nname = \"app\"\n\
         servers = [\"http://a:1\"]\nmax_tries = 2",
    );
    let origin = layer(
        Source::Flag("--origin"),
        "[[origin]]\nname = \"app\"\nservers = [\"http://b:2\", \"unix:/c\"]",
    );
    let loaded = load(&[flag, variable, admin, origin, file]).expect("it is valid");
    let set_by = |key: &str| {
        let value = loaded.values.iter().find(|value| value.key == key).expect(key);
        value.set_by.to_string()
    };
    assert_eq!(set_by("listen.on"), "flag --listen");
    assert_eq!(set_by("admin.listen"), "environment FOREBAY_ADMIN");
    assert_eq!(set_by("listen.idle_timeout"), "forebay.toml:3");
    assert_eq!(set_by("listen.head_timeout"), "default");
    assert_eq!(set_by("origin.app.servers"), "flag --origin");
    let [origin] = &loaded.config.origins[..] else { panic!("{:?}", loaded.config.origins) };
    assert_eq!((origin.servers.len(), origin.max_tries), (2, 2));
    let ports = loaded.config.listen.listeners.len();
    assert_eq!(ports, 2, "one for IPv4 and one for IPv6");
}

#[test]
fn a_complaint_about_a_flag_names_the_flag() {
    let flag = Layer {
        source: Source::Flag("--listen"),
        text: "[listen]\non = [\":80\", \":99999\"]".into(),
    };
    let problems = load(&[flag, in_file("")]).expect_err("it is wrong").to_string();
    assert!(problems.starts_with("flag `--listen`: `listen.on` has a port above 65535: `:99999`"));
}

#[test]
fn a_thousand_routes_are_read_and_checked_quickly() {
    let mut text = "[[origin]]\nname = \"app\"\nservers = [\"http://a:1\"]\n".to_owned();
    for n in 0..1_000 {
        writeln!(text, "[[route]]\nname = \"r{n}\"\npath = \"/section/{n}/*\"\npolicy = \"html\"")
            .expect("a String takes everything");
    }
    let began = forebay_signals::clock::now();
    let loaded = load(&[in_file(&text)]).expect("it is valid");
    let took = forebay_signals::clock::now().saturating_duration_since(began);
    assert_eq!(loaded.config.routes.len(), 1_000);
    // Without optimisation; the release build is held to 100 ms by the benchmark.
    assert!(took.as_millis() < 2_000, "{took:?}");
}
