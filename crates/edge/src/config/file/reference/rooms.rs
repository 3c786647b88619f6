//! Sections of one room each.

use super::{Key, Section};

/// `[listen]`.
pub const LISTEN: Section = Section {
    name: "listen",
    header: "[listen]",
    doc: "Sockets, certificates and the deadlines towards clients.",
    keys: &[
        Key {
            name: "on",
            kind: "list of listeners",
            default: r#"[":8080"]"#,
            doc: "Where clients connect. `:80` is every IPv4 and IPv6 address, `https://` before it means TLS, `unix:/path` is a Unix socket, `systemd:NAME` the sockets that systemd hands over under that name. With a certificate and without this key, `https://:8443` is added.",
            example: r#"[":80", "https://:443"]"#,
        },
        Key {
            name: "certificates",
            kind: "list of tables",
            default: "[]",
            doc: "Certificates, chosen by the server name that the client asks for; the first is for clients that name none.",
            example: r#"[{ chain = "chain.pem", key = "key.pem" }]"#,
        },
        Key {
            name: "proxy_protocol",
            kind: "list of networks",
            default: "[]",
            doc: "Load balancers that begin each connection with a PROXY header (version 1 or 2) to say whose it is. They must; from everybody else none is taken. `unix` is whoever connects to a Unix socket.",
            example: r#"["10.0.0.0/8", "unix"]"#,
        },
        Key {
            name: "head_timeout",
            kind: "duration",
            default: r#""10s""#,
            doc: "Time for the first byte, for a PROXY header, for the TLS handshake and for each request head.",
            example: r#""5s""#,
        },
        Key {
            name: "http2_first_request_timeout",
            kind: "duration",
            default: r#""10s""#,
            doc: "Time that a new HTTP/2 connection may be without a request.",
            example: r#""5s""#,
        },
        Key {
            name: "idle_timeout",
            kind: "duration",
            default: r#""60s""#,
            doc: "Time between two requests of a connection.",
            example: r#""75s""#,
        },
        Key {
            name: "min_content_rate",
            kind: "bytes a second",
            default: "240",
            doc: "Slowest upload that is waited for.",
            example: "1024",
        },
        Key {
            name: "content_grace",
            kind: "duration",
            default: r#""5s""#,
            doc: "Time before that rate is asked for.",
            example: r#""10s""#,
        },
        Key {
            name: "blocked_write_timeout",
            kind: "duration",
            default: r#""30s""#,
            doc: "Time that a write towards a client may make no progress. A quiet origin does not count. A window of HTTP/2 must let 240 bytes pass for each second of waiting beyond it.",
            example: r#""60s""#,
        },
        Key {
            name: "upgraded_idle_timeout",
            kind: "duration",
            default: r#""1h""#,
            doc: "Time that an upgraded connection (WebSocket) may be silent in both directions.",
            example: r#""10m""#,
        },
        Key {
            name: "drain_timeout",
            kind: "duration",
            default: r#""30s""#,
            doc: "Time that requests in flight have to end when the process is told to go.",
            example: r#""2m""#,
        },
        Key {
            name: "cores",
            kind: "number",
            default: "none",
            doc: "Threads that serve requests; without it one for each core.",
            example: "2",
        },
    ],
};

/// An item of `listen.certificates`.
pub const CERTIFICATE: Section = Section {
    name: "listen.certificates",
    header: "certificates = [{ … }]",
    doc: "A certificate. Its names are read from the certificate itself. Relative paths start at the folder of the config file.",
    keys: &[
        Key {
            name: "chain",
            kind: "path",
            default: "",
            doc: "PEM file of the chain, the server's own certificate first.",
            example: r#""chain.pem""#,
        },
        Key {
            name: "key",
            kind: "path",
            default: "",
            doc: "PEM file of the private key.",
            example: r#""key.pem""#,
        },
    ],
};

/// `[admit]`.
pub const ADMIT: Section = Section {
    name: "admit",
    header: "[admit]",
    doc: "Who and how much may come in.",
    keys: &[
        Key {
            name: "trusted_proxies",
            kind: "list of networks",
            default: "[]",
            doc: "Proxies before the edge that are believed when they say whose request it is; from everybody else such fields are dropped. `unix` is whoever connects to a Unix socket.",
            example: r#"["10.0.0.0/8", "::1", "unix"]"#,
        },
        Key {
            name: "forwarded_field",
            kind: "text",
            default: r#""x-forwarded-for""#,
            doc: "Where trusted proxies say it: `x-forwarded-for` (with `X-Forwarded-Proto`) or `forwarded` (RFC 7239). The other one is a client's own word and is dropped.",
            example: r#""forwarded""#,
        },
        Key {
            name: "max_head",
            kind: "size",
            default: r#""32KiB""#,
            doc: "Largest head of a request; above it the answer is 431.",
            example: r#""16KiB""#,
        },
        Key {
            name: "max_fields",
            kind: "number",
            default: "100",
            doc: "Most fields of a request; above it the answer is 431.",
            example: "64",
        },
        Key {
            name: "max_uri",
            kind: "size",
            default: r#""8KiB""#,
            doc: "Longest target of a request; above it the answer is 414.",
            example: r#""4KiB""#,
        },
        Key {
            name: "max_content",
            kind: "size",
            default: r#""1GiB""#,
            doc: "Largest content of a request; above it the answer is 413. A route may have its own.",
            example: r#""10MiB""#,
        },
        Key {
            name: "max_connections",
            kind: "number",
            default: "20000",
            doc: "Connections open at once, all clients together.",
            example: "50000",
        },
        Key {
            name: "max_connections_per_address",
            kind: "number",
            default: "512",
            doc: "Connections of one address; an IPv6 client counts as its /64.",
            example: "128",
        },
        Key {
            name: "max_connections_per_network",
            kind: "number",
            default: "2048",
            doc: "Connections of one IPv4 /24 or IPv6 /48.",
            example: "1024",
        },
        Key {
            name: "max_in_flight",
            kind: "number",
            default: "20000",
            doc: "Requests inside at once; above it the answer is 503.",
            example: "10000",
        },
    ],
};

/// `[cache]`.
pub const CACHE: Section = Section {
    name: "cache",
    header: "[cache]",
    doc: "The store. What may be stored is the business of policies.",
    keys: &[
        Key {
            name: "memory",
            kind: "size",
            default: r#""256MiB""#,
            doc: "Bound of the store, keys and fields counted.",
            example: r#""2GiB""#,
        },
        Key {
            name: "max_object",
            kind: "size",
            default: r#""16MiB""#,
            doc: "Largest answer that is stored; larger ones stream through. The store is divided by it at the start: a reload that raises it beyond what a part holds says how much is taken until a restart.",
            example: r#""64MiB""#,
        },
        Key {
            name: "show_tags",
            kind: "`true` or `false`",
            default: "false",
            doc: "Lets clients see `Surrogate-Key` and `Cache-Tag` of answers: for a cache before the edge that is purged by tag too. Holds for what is stored from then on.",
            example: "true",
        },
    ],
};

/// `[purge]`.
pub const PURGE: Section = Section {
    name: "purge",
    header: "[purge]",
    doc: "Who may purge by the HTTP method `PURGE` on the listeners of clients. While neither key is set, `PURGE` is a method like any other and goes to the application.",
    keys: &[
        Key {
            name: "allow",
            kind: "list of networks",
            default: "[]",
            doc: "Addresses that may purge, as `admit.trusted_proxies` tells them; `unix` is whoever connects to a Unix socket. A proxy before the edge that is not among the trusted ones counts with its own address, and all its clients with it.",
            example: r#"["10.0.0.0/8", "::1"]"#,
        },
        Key {
            name: "token_file",
            kind: "path",
            default: "none",
            doc: "File with a token of at least 16 visible characters; whoever sends it as `Authorization: Bearer TOKEN` may purge. Read at the start and at each reload.",
            example: r#""purge.token""#,
        },
    ],
};

/// `[compress]`.
pub const COMPRESS: Section = Section {
    name: "compress",
    header: "[compress]",
    doc: "Encodings of answers.",
    keys: &[
        Key {
            name: "encodings",
            kind: "list of `br`, `zstd`, `gzip`",
            default: r#"["br", "zstd", "gzip"]"#,
            doc: "Encodings in order of preference among what a client likes equally; an empty list turns compression off.",
            example: r#"["zstd", "gzip"]"#,
        },
        Key {
            name: "min_size",
            kind: "size",
            default: r#""1KiB""#,
            doc: "Answers below this are sent as they are.",
            example: "512",
        },
        Key {
            name: "more_types",
            kind: "list of media types",
            default: "[]",
            doc: "Media types to compress besides text, JSON, XML, JavaScript, SVG and the like.",
            example: r#"["application/x-protobuf"]"#,
        },
        Key {
            name: "background_cpu_percent",
            kind: "number",
            default: "25",
            doc: "Share of one core, in percent, that may go into better encodings of stored answers.",
            example: "10",
        },
        Key {
            name: "hits_before_best",
            kind: "number",
            default: "3",
            doc: "Hits after which a stored answer gets the best encoding.",
            example: "10",
        },
        Key {
            name: "encodes_with_cookies",
            kind: "`true` or `false`",
            default: "false",
            doc: "Compress answers that set cookies, too. Off, because length can give away what is secret in them (BREACH).",
            example: "true",
        },
    ],
};

/// `[log]`.
pub const LOG: Section = Section {
    name: "log",
    header: "[log]",
    doc: "The access log.",
    keys: &[
        Key {
            name: "format",
            kind: "`json`, `common` or `off`",
            default: r#""json""#,
            doc: "One JSON object a request with the time that each room took, or the combined log format.",
            example: r#""common""#,
        },
        Key {
            name: "path",
            kind: "path",
            default: "none",
            doc: "File to append to; without it, standard output.",
            example: r#""/var/log/forebay/access.log""#,
        },
    ],
};

/// `[admin]`.
pub const ADMIN: Section = Section {
    name: "admin",
    header: "[admin]",
    doc: "The listener for operators: status, metrics, health, reload, purge.",
    keys: &[
        Key {
            name: "listen",
            kind: "address",
            default: r#""127.0.0.1:7400""#,
            doc: "An address and port, or `unix:/path`.",
            example: r#""unix:/run/forebay-admin.sock""#,
        },
        Key {
            name: "public",
            kind: "true or false",
            default: "false",
            doc: "Permits an address other than loopback. Whoever reaches it may purge and reload.",
            example: "true",
        },
    ],
};
