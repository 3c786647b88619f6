//! `[rate.NAME]`.

use super::{Key, Section};

/// `[rate.NAME]`.
pub const RATE: Section = Section {
    name: "rate",
    header: "[rate.NAME]",
    doc: "How often a client may ask, counted for all routes that name the rate together. Each client has a bucket of `burst` requests that fills again at `requests` in `per`; a request above it gets 429 with `Retry-After`. Hits count too.",
    keys: &[
        Key {
            name: "requests",
            kind: "number",
            default: "",
            doc: "Requests in the time of `per`, in the long run.",
            example: "10",
        },
        Key {
            name: "per",
            kind: "duration",
            default: r#""1s""#,
            doc: "Time that `requests` are counted over.",
            example: r#""1m""#,
        },
        Key {
            name: "burst",
            kind: "number",
            default: "`requests`",
            doc: "Requests that may come at once after a while of silence.",
            example: "5",
        },
        Key {
            name: "key",
            kind: "`address`, `everybody`, `field:NAME` or `cookie:NAME`",
            default: r#""address""#,
            doc: "Whose requests are counted together. The address is the one that trusted proxies tell. A request without the field or the cookie counts by its address.",
            example: r#""field:x-api-key""#,
        },
        Key {
            name: "ipv4_prefix",
            kind: "1 to 32",
            default: "32",
            doc: "Leading bits of an IPv4 address that make one client; 24 counts a network of 256.",
            example: "24",
        },
        Key {
            name: "ipv6_prefix",
            kind: "1 to 128",
            default: "64",
            doc: "The same of an IPv6 address: a household has a /64, a site mostly a /48.",
            example: "48",
        },
        Key {
            name: "enforce",
            kind: "true or false",
            default: "true",
            doc: "`false` refuses nothing and only counts what would be refused: try a rate so before it is in force.",
            example: "false",
        },
        Key {
            name: "announce",
            kind: "true or false",
            default: "true",
            doc: "Answers tell what is left, in `RateLimit` and `RateLimit-Policy`.",
            example: "false",
        },
        Key {
            name: "keys",
            kind: "number",
            default: "131072",
            doc: "Clients remembered at a time, 8 bytes each. If more are above none of their rate, those nearest to that are forgotten; nobody is refused for it.",
            example: "1000000",
        },
    ],
};
