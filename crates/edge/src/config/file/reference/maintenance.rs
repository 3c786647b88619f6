//! `[maintenance]`.

use super::{Key, Section};

/// `[maintenance]`.
pub const MAINTENANCE: Section = Section {
    name: "maintenance",
    header: "[maintenance]",
    doc: "What clients get while an application is worked on: 503 with `Retry-After`. `forebay maintenance on` begins it, for all routes or for one, and so do `on` here and `maintenance` of a route. What the edge answers by itself, redirects and fixed answers, goes on.",
    keys: &[
        Key {
            name: "on",
            kind: "true or false",
            default: "false",
            doc: "All routes are in maintenance.",
            example: "true",
        },
        Key {
            name: "page",
            kind: "path",
            default: "none",
            doc: "HTML file for clients, read when the config is loaded. Without it there is the route's page for 503, or a plain sentence.",
            example: r#""maintenance.html""#,
        },
        Key {
            name: "allow",
            kind: "list of networks",
            default: "[]",
            doc: "Addresses and networks that pass as ever; `unix` is whoever connects to a Unix socket.",
            example: r#"["10.0.0.0/8"]"#,
        },
        Key {
            name: "serve_hits",
            kind: "true or false",
            default: "false",
            doc: "What is stored and usable is answered meanwhile; the origin is not asked.",
            example: "true",
        },
        Key {
            name: "retry_after",
            kind: "duration",
            default: r#""5m""#,
            doc: "When clients are told to come again.",
            example: r#""1h""#,
        },
    ],
};
