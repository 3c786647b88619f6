//! `[[origin]]`.

use super::{Key, Section};

/// `[[origin]]`.
pub const ORIGIN: Section = Section {
    name: "origin",
    header: "[[origin]]",
    doc: "An application behind the edge and its servers. `forebay run --origin` and `forebay run -- CMD` give the origin `app` its servers.",
    keys: &[
        Key {
            name: "name",
            kind: "text",
            default: "",
            doc: "Name, as routes refer to it.",
            example: r#""app""#,
        },
        Key {
            name: "servers",
            kind: "list of servers",
            default: "",
            doc: "`http://host:port`, `https://host`, `h2c://host:port` (HTTP/2 over clear text), `unix:/path`, or a table each.",
            example: r#"["http://10.0.0.5:3000", "http://10.0.0.6:3000"]"#,
        },
        Key {
            name: "balance",
            kind: "`least-in-flight`, `round-robin` or `hash`",
            default: r#""least-in-flight""#,
            doc: "How a server is chosen: the less busy of two drawn by weight; in turn; or the same server for the same `hash_by`.",
            example: r#""round-robin""#,
        },
        Key {
            name: "hash_by",
            kind: "`url`, `address`, `field:NAME` or `cookie:NAME`",
            default: r#""url""#,
            doc: "What `balance = \"hash\"` goes by: the URL as the origin is shown it, the client's address, a field or a cookie (without it, the address). A server that comes or goes moves only what it takes or had.",
            example: r#""cookie:session""#,
        },
        Key {
            name: "hash_bound",
            kind: "factor",
            default: "1.25",
            doc: "With `balance = \"hash\"`, a server with more requests in flight than so many times the mean is passed over for the next.",
            example: "2.0",
        },
        Key {
            name: "slow_start",
            kind: "duration or `off`",
            default: r#""off""#,
            doc: "Time in which a server that becomes well again, or is new after a reload, grows from a tenth of its share to the whole.",
            example: r#""30s""#,
        },
        Key {
            name: "probe",
            kind: "table",
            default: "none",
            doc: "Active health probes; without it, health is what requests show.",
            example: r#"{ path = "/up" }"#,
        },
        Key {
            name: "host",
            kind: "text",
            default: "none",
            doc: "Host to send in place of the client's.",
            example: r#""app.internal""#,
        },
        Key {
            name: "failover_statuses",
            kind: "list of statuses",
            default: "[]",
            doc: "Statuses after which another server is asked, where a retry is safe.",
            example: "[502, 503]",
        },
        Key {
            name: "connect_timeout",
            kind: "duration",
            default: r#""3s""#,
            doc: "Time to connect, TLS included.",
            example: r#""1s""#,
        },
        Key {
            name: "try_timeout",
            kind: "duration",
            default: r#""30s""#,
            doc: "Time of one try until the head of the answer.",
            example: r#""10s""#,
        },
        Key {
            name: "total_timeout",
            kind: "duration",
            default: r#""60s""#,
            doc: "Time of all tries together until the head of the answer.",
            example: r#""30s""#,
        },
        Key {
            name: "content_idle_timeout",
            kind: "duration",
            default: r#""5m""#,
            doc: "Time between two reads of an answer's content.",
            example: r#""60s""#,
        },
        Key {
            name: "max_tries",
            kind: "number",
            default: "3",
            doc: "Tries at most, the first included; only where a retry is safe.",
            example: "2",
        },
        Key {
            name: "retry_budget_percent",
            kind: "number",
            default: "10",
            doc: "Retries as a share of requests, so that an outage is not amplified.",
            example: "5",
        },
        Key {
            name: "max_in_flight",
            kind: "number",
            default: "1024",
            doc: "Requests in flight to this origin; above it misses are answered with 503.",
            example: "256",
        },
        Key {
            name: "throttle_factor",
            kind: "number above 1, or `off`",
            default: "2.0",
            doc: "Adaptive throttling: an origin that refuses as overloaded (503 without or with a short `Retry-After`, no connection, no answer in time) is sent at most so many times what it takes. Those lose first that a stored answer covers, then clients without cookie or credentials, then all.",
            example: "1.5",
        },
        Key {
            name: "pool_idle_timeout",
            kind: "duration",
            default: r#""30s""#,
            doc: "Time that an unused connection is kept.",
            example: r#""10s""#,
        },
        Key {
            name: "pool_max_idle",
            kind: "number",
            default: "128",
            doc: "Unused connections kept for each core and server.",
            example: "32",
        },
        Key {
            name: "breaker_failures",
            kind: "number",
            default: "5",
            doc: "Failures in a row after which a server is left alone.",
            example: "3",
        },
        Key {
            name: "breaker_open_for",
            kind: "duration",
            default: r#""5s""#,
            doc: "Time that it is left alone before one request may try.",
            example: r#""10s""#,
        },
        Key {
            name: "resolve_every",
            kind: "duration",
            default: r#""30s""#,
            doc: "Age at which a name is resolved again; the last address is kept when that fails.",
            example: r#""10s""#,
        },
    ],
};

/// An item of `origin.servers`.
pub const SERVER: Section = Section {
    name: "origin.servers",
    header: "servers = [{ … }]",
    doc: "A server with settings of its own.",
    keys: &[
        Key {
            name: "url",
            kind: "text",
            default: "",
            doc: "Where it is.",
            example: r#""https://10.0.0.5""#,
        },
        Key {
            name: "weight",
            kind: "number",
            default: "1",
            doc: "Share of the load relative to the others; 0 takes nothing new.",
            example: "2",
        },
        Key {
            name: "group",
            kind: "number",
            default: "0",
            doc: "0 is the primary group; 1 is asked when no server of group 0 can be, and so on.",
            example: "1",
        },
        Key {
            name: "server_name",
            kind: "text",
            default: "none",
            doc: "TLS name to send and to check; without it the host of `url`.",
            example: r#""app.example""#,
        },
        Key {
            name: "authorities",
            kind: "path",
            default: "none",
            doc: "PEM file of the authorities to trust in place of the system's.",
            example: r#""ca.pem""#,
        },
    ],
};

/// `origin.probe`.
pub const PROBE: Section = Section {
    name: "origin.probe",
    header: "probe = { … }",
    doc: "A GET that a healthy server answers with 2xx or 3xx.",
    keys: &[
        Key {
            name: "path",
            kind: "path",
            default: r#""/""#,
            doc: "Path of the probe.",
            example: r#""/up""#,
        },
        Key {
            name: "interval",
            kind: "duration",
            default: r#""5s""#,
            doc: "Time between probes.",
            example: r#""2s""#,
        },
        Key {
            name: "timeout",
            kind: "duration",
            default: r#""2s""#,
            doc: "Time a probe may take.",
            example: r#""1s""#,
        },
        Key {
            name: "rises_after",
            kind: "number",
            default: "2",
            doc: "Probes in a row that must succeed before a sick server is well.",
            example: "1",
        },
        Key {
            name: "falls_after",
            kind: "number",
            default: "3",
            doc: "Probes in a row that must fail before a well server is sick.",
            example: "2",
        },
    ],
};
