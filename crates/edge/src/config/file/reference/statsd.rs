//! `[statsd]`.

use super::{Key, Section};

/// `[statsd]`.
pub const STATSD: Section = Section {
    name: "statsd",
    header: "[statsd]",
    doc: "Sends the counters of `/metrics` to an agent that speaks DogStatsD. Nothing waits for it: what it does not take is dropped and counted.",
    keys: &[
        Key {
            name: "address",
            kind: "address",
            default: "none",
            doc: "Where the agent listens: host and port (UDP), or `unix:` and the path of its socket. Without it nothing is sent.",
            example: r#""127.0.0.1:8125""#,
        },
        Key {
            name: "prefix",
            kind: "text",
            default: r#""forebay.""#,
            doc: "What stands before every name: `forebay_edge_requests_total` is sent as `forebay.edge.requests`.",
            example: r#""shop.forebay.""#,
        },
        Key {
            name: "tags",
            kind: "list of texts",
            default: "[]",
            doc: "Tags of every metric, beside its labels.",
            example: r#"["env:production", "service:shop"]"#,
        },
        Key {
            name: "interval",
            kind: "duration",
            default: r#""10s""#,
            doc: "Time between two sendings, from 1 s to 10 min. Counters are sent as what they grew by.",
            example: r#""30s""#,
        },
        Key {
            name: "timings",
            kind: "`distribution`, `histogram` or `timer`",
            default: r#""distribution""#,
            doc: "What durations are sent as: `d` and `h` in seconds, `ms` in milliseconds. A value stands for all of its bucket, within a sixteenth, with the rate that says how many.",
            example: r#""histogram""#,
        },
    ],
};
