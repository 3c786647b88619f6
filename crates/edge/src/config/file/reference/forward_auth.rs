//! `[forward_auth.NAME]`, `basic_auth` and `mirror`.

use super::{Key, Section};

/// `[forward_auth.NAME]`.
pub const FORWARD_AUTH: Section = Section {
    name: "forward_auth",
    header: "[forward_auth.NAME]",
    doc: "An application that is asked, before a route that names it, whether a request may come in: a `GET` with `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`, `X-Original-Method` and `X-Original-URL`. 2xx lets it in; a redirect or a refusal (401, 403, …) is what the client gets; everything else is a failure. What it answers is remembered as long as its own `Cache-Control` says, for requests of which it is told the same.",
    keys: &[
        Key {
            name: "origin",
            kind: "name",
            default: "",
            doc: "Origin to ask.",
            example: r#""app""#,
        },
        Key {
            name: "path",
            kind: "path",
            default: "",
            doc: "Path, and query, to ask for.",
            example: r#""/api/authz/forward-auth""#,
        },
        Key {
            name: "show",
            kind: "list of `method`, `target` and `address`",
            default: r#"["method", "target", "address"]"#,
            doc: "What it is told of the request besides scheme, host and fields: method, path with query, the client's address. The less it is told, the more requests one answer does for.",
            example: "[]",
        },
        Key {
            name: "show_fields",
            kind: "list of fields",
            default: r#"["accept", "authorization", "cookie", "x-requested-with"]"#,
            doc: "Fields of the request that it is shown.",
            example: r#"["cookie"]"#,
        },
        Key {
            name: "show_cookies",
            kind: "list of names",
            default: "none",
            doc: "Cookies that it is shown, if not all of them.",
            example: r#"["session"]"#,
        },
        Key {
            name: "take",
            kind: "list of fields",
            default: "[]",
            doc: "Fields of its answer that the request takes along to the route's origin. Fields of these names are dropped from every request of every route, so that nobody can make them up. Answers are then stored only under a policy that has all of them in its key.",
            example: r#"["x-user", "x-groups"]"#,
        },
        Key {
            name: "key_file",
            kind: "path",
            default: "none",
            doc: "File with `id:secret` a line. What is taken along is signed with the first (RFC 9421, HMAC-SHA256), so that the application need not believe the network; read when the config is loaded.",
            example: r#""edge.keys""#,
        },
        Key {
            name: "timeout",
            kind: "duration",
            default: r#""5s""#,
            doc: "Time that a request waits for it.",
            example: r#""2s""#,
        },
        Key {
            name: "max_ttl",
            kind: "duration or `off`",
            default: r#""60s""#,
            doc: "Longest time that an answer of it is used for, whatever it says; `off` asks for every request. A reload forgets all answers.",
            example: r#""5m""#,
        },
        Key {
            name: "on_failure",
            kind: "`refuse` or `let-in`",
            default: r#""refuse""#,
            doc: "What becomes of requests while it does not answer: 503, or they go on without any of the fields, as those of nobody.",
            example: r#""let-in""#,
        },
    ],
};

/// Copies of requests.
pub const MIRROR: Section = Section {
    name: "route.mirror",
    header: "mirror = { … }",
    doc: "An origin that gets copies of what the route's own origin is asked, marked with `Forebay-Mirror`, and whose answers are dropped. What the store answers is not copied. No request waits for its copy: what there is no room for is dropped and counted.",
    keys: &[
        Key {
            name: "origin",
            kind: "name",
            default: "",
            doc: "Origin that gets the copies.",
            example: r#""next""#,
        },
        Key {
            name: "share",
            kind: "percent",
            default: "100",
            doc: "Percent of the requests that are copied; two digits behind the point count.",
            example: "12.5",
        },
        Key {
            name: "methods",
            kind: "list of methods",
            default: r#"["GET", "HEAD", "OPTIONS"]"#,
            doc: "Methods that are copied. Others do twice what they do: name them only if the mirror has data of its own.",
            example: r#"["GET", "POST"]"#,
        },
        Key {
            name: "max_content",
            kind: "size",
            default: "0",
            doc: "Longest content that is copied, at most 1 MiB; a request with more has no copy.",
            example: r#""64KiB""#,
        },
        Key {
            name: "max_in_flight",
            kind: "number",
            default: "64",
            doc: "Copies on their way at once.",
            example: "8",
        },
        Key {
            name: "timeout",
            kind: "duration",
            default: r#""30s""#,
            doc: "Time that a copy has, with its whole answer.",
            example: r#""10s""#,
        },
        Key {
            name: "personal",
            kind: "true or false",
            default: "false",
            doc: "Copies hold what says whose request it is: cookies, `Authorization`, the client's address and place, fields of `[forward_auth.NAME]`. Without it they are left out.",
            example: "true",
        },
    ],
};

/// Users with passwords.
pub const BASIC_AUTH: Section = Section {
    name: "route.basic_auth",
    header: "basic_auth = { … }",
    doc: "Who may use a route. What is stored for it is shared by all its users.",
    keys: &[
        Key {
            name: "users",
            kind: "path",
            default: "",
            doc: "File with `name:hash` a line, hashes of bcrypt, as `htpasswd -B` makes it; read when the config is loaded.",
            example: r#""shop.htpasswd""#,
        },
        Key {
            name: "realm",
            kind: "text",
            default: "\"restricted\"",
            doc: "What a browser shows when it asks for the password.",
            example: r#""staging""#,
        },
        Key {
            name: "forward",
            kind: "true or false",
            default: "false",
            doc: "The origin is shown the credentials too. Answers are then stored only as the rules for `Authorization` allow.",
            example: "true",
        },
    ],
};
