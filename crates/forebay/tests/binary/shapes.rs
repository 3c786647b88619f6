//! What `--json` of every reading verb holds: names and kinds, under snapshot. Names may come, none may go.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::support::{Origin, Running, config, outcome, write};

/// `a.b[].c: number`, a line for each value that is no table and no list.
fn shape(value: &Value, place: &str, lines: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if place.is_empty() { "" } else { "." };
                shape(value, &format!("{place}{dot}{name}"), lines);
            }
            return;
        }
        Value::Array(values) if values.is_empty() => "an empty list",
        Value::Array(values) => {
            for value in values {
                shape(value, &format!("{place}[]"), lines);
            }
            return;
        }
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "number",
        Value::String(_) => "text",
    };
    lines.insert(format!("{place}: {kind}"));
}

#[test]
fn json_of_every_reading_verb_keeps_its_shape() {
    let origin = Origin::start();
    // A server that cannot be reached has a last error.
    let gone = "[[origin]]\nname = \"gone\"\nservers = [\"unix:/no/such/socket\"]\n\n\
                [rate.gone]\nrequests = 9\n\n\
                [[route]]\nname = \"gone\"\npath = \"/gone\"\norigin = \"gone\"\nrates = [\"gone\"]\n\n\
                [forward_auth.gone]\norigin = \"gone\"\npath = \"/verify\"\n\n\
                [[route]]\nname = \"closed\"\npath = \"/closed\"\norigin = \"app\"\nforward_auth = \"gone\"\n\
                mirror = { origin = \"gone\" }\n";
    let running = Running::with_config(&config(&origin, gone));
    for path in ["/a", "/a", "/gone"] {
        running.get(path);
    }
    let file = running.path("forebay.toml");
    let name = file.to_string_lossy().into_owned();
    let bad = running.path("bad.toml");
    write(&bad, "[cache]\nmemry = 1\n");
    let bad = bad.to_string_lossy().into_owned();
    let verbs: [(&str, &[&str]); 8] = [
        ("status", &["status", "--json"]),
        ("cache-why-hit", &["cache", "why", "http://shop.example/a", "--json"]),
        ("cache-why-miss", &["cache", "why", "http://shop.example/b", "--json"]),
        ("cache-purge", &["cache", "purge", "http://shop.example/a", "--dry-run", "--json"]),
        ("check", &["check", "--json", "--config", &name]),
        ("check-refused", &["check", "--json", "--config", &bad]),
        ("top", &["top", "routes", "--json"]),
        ("version", &["version", "--json"]),
    ];
    let mut text = String::new();
    for (title, words) in verbs {
        let asks = matches!(words[0], "status" | "cache" | "top");
        let got = if asks { running.operate(words) } else { outcome(words) };
        let value: Value = serde_json::from_str(&got.data)
            .unwrap_or_else(|error| panic!("{title} is no JSON ({error}): {got:?}"));
        let mut lines = BTreeSet::new();
        shape(&value, "", &mut lines);
        text = text + "# " + title + "\n";
        for line in lines {
            text = text + &line + "\n";
        }
    }
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/json/shapes.txt");
    let expected = fs::read_to_string(&kept).unwrap_or_default();
    if expected != text {
        let got = std::env::temp_dir().join("forebay-shapes.txt");
        write(&got, &text);
        panic!(
            "the shapes differ from tests/json/shapes.txt; if that is meant, copy {} over it\n\
             expected:\n{expected}\ngot:\n{text}",
            got.display()
        );
    }
}
