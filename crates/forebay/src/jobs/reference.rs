//! Every key of `[jobs]`: the one source for complaints about unknown keys and for the reference.

use forebay_edge::config::file::reference::{Key, Section};

/// `[jobs]` and what is within, in the order of the way.
pub(crate) const SECTIONS: [&Section; 5] = [&JOBS, &HTTP, &EXEC, &REDIS, &TIMETABLE];

/// `[jobs]`.
pub(crate) const JOBS: Section = Section {
    name: "jobs",
    header: "[jobs]",
    doc: "Background jobs: where they are kept and who runs them. With this section, and one of `[jobs.http]` and `[jobs.exec]`, `forebay run` starts a worker beside the edge, on threads of its own; every verb of `forebay jobs` reads it too.",
    keys: &[
        Key {
            name: "store",
            kind: "path or URL",
            default: r#""./forebay.db""#,
            doc: "Where jobs are kept: a file (SQLite), `redis://`, `rediss://`, `unix:///path`, `redis+sentinel://host,host/primary`, or `redis` for the server of `REDIS_URL`. `FOREBAY_JOBS_STORE` wins over it.",
            example: r#""redis://10.0.0.7:6379/0""#,
        },
        Key {
            name: "queues",
            kind: "list of names, or table of weights",
            default: r#"["default"]"#,
            doc: "Queues that are worked on. A list is strict: nothing is taken from a queue while one before it holds something. In a table each has a weight, and is looked at first that much more often.",
            example: "{ mail = 5, low = 1 }",
        },
        Key {
            name: "concurrency",
            kind: "count",
            default: "10",
            doc: "Jobs at once. `RAILS_MAX_THREADS` wins over it.",
            example: "25",
        },
        Key {
            name: "deadline",
            kind: "duration",
            default: r#""10m""#,
            doc: "How long a job may take. What takes longer has failed and is tried again.",
            example: r#""1h""#,
        },
        Key {
            name: "grace",
            kind: "duration",
            default: r#""25s""#,
            doc: "How long jobs may go on when the worker ends. The rest goes back to its queue.",
            example: r#""2m""#,
        },
        Key {
            name: "beside",
            kind: "boolean",
            default: "true",
            doc: "Whether `forebay run` starts a worker beside the edge. `false` where `forebay jobs work` is a process of its own.",
            example: "false",
        },
        Key {
            name: "dead_most",
            kind: "count",
            default: "10000",
            doc: "Most jobs that are kept among the dead; the oldest go first.",
            example: "1000",
        },
        Key {
            name: "dead_age",
            kind: "duration",
            default: r#""180d""#,
            doc: "Longest that a job is kept among the dead.",
            example: r#""30d""#,
        },
        Key {
            name: "time_stamps",
            kind: "`seconds` or `milliseconds`",
            default: r#""seconds""#,
            doc: "How times are written into payloads: as float seconds, which Sidekiq 6, 7 and 8 read, or as whole milliseconds, which Sidekiq 8 alone reads. Both are always read.",
            example: r#""milliseconds""#,
        },
        Key {
            name: "metrics",
            kind: "`8`, `7` or `off`, as a text",
            default: r#""8""#,
            doc: "For which version of Sidekiq's Web UI runs are counted by class on Redis, for its Metrics page; 7 is for 6.5 too.",
            example: r#""7""#,
        },
        Key {
            name: "http",
            kind: "table",
            default: "none",
            doc: "Jobs are delivered to an application: `[jobs.http]`.",
            example: r#"{ url = "http://127.0.0.1:3000/jobs" }"#,
        },
        Key {
            name: "exec",
            kind: "table",
            default: "none",
            doc: "Jobs are run as commands: `[jobs.exec]`.",
            example: r#"{ command = ["bin/job"] }"#,
        },
        Key {
            name: "redis",
            kind: "table",
            default: "none",
            doc: "How a Redis server is reached: `[jobs.redis]`.",
            example: r#"{ timeout = "2s" }"#,
        },
        Key {
            name: "timetable",
            kind: "list of tables",
            default: "none",
            doc: "Jobs that come again and again: `[[jobs.timetable]]`.",
            example: r#"[{ name = "nightly", cron = "0 3 * * *", class = "Report" }]"#,
        },
    ],
};

/// `[jobs.http]`.
pub(crate) const HTTP: Section = Section {
    name: "jobs.http",
    header: "[jobs.http]",
    doc: "Each job is a `POST` with its payload as content; the answer decides (`docs/guides/first-job.md` has the table). It may go through the edge itself.",
    keys: &[
        Key {
            name: "url",
            kind: "URL",
            default: "",
            doc: "Address of the application, `http://` or `https://`. `FOREBAY_JOBS_HTTP` wins over it.",
            example: r#""https://shop.example/jobs""#,
        },
        Key {
            name: "secret_file",
            kind: "path",
            default: "none",
            doc: "File with the secret that signs deliveries: `whsec_` and base64. `FOREBAY_JOBS_SECRET` (the secret itself) and `FOREBAY_JOBS_SECRET_FILE` win over it.",
            example: r#""/etc/forebay/jobs.secret""#,
        },
        Key {
            name: "deadline",
            kind: "duration",
            default: "that of `[jobs]`",
            doc: "How long a delivery may take.",
            example: r#""30s""#,
        },
        Key {
            name: "fields",
            kind: "table of texts",
            default: "{}",
            doc: "Fields that go with each delivery.",
            example: r#"{ authorization = "Bearer 4711" }"#,
        },
        Key {
            name: "authorities",
            kind: "path",
            default: "none",
            doc: "Authorities (PEM) that an application with `https` is checked against. Without it those of the system.",
            example: r#""/etc/forebay/ca.pem""#,
        },
    ],
};

/// `[jobs.exec]`.
pub(crate) const EXEC: Section = Section {
    name: "jobs.exec",
    header: "[jobs.exec]",
    doc: "Each job is a run of a command, which reads the payload from its standard input; exit code 0 is done, 65 is dead, everything else is tried again. Commands that the worker beside the edge starts step back behind the edge, as it does itself (nice 5).",
    keys: &[
        Key {
            name: "command",
            kind: "list of texts",
            default: "[]",
            doc: "Program and arguments for jobs of every class that has no command of its own.",
            example: r#"["bin/job", "--quiet"]"#,
        },
        Key {
            name: "classes",
            kind: "table of lists of texts",
            default: "{}",
            doc: "Program and arguments for jobs of a class. With `[jobs.http]` the others are delivered.",
            example: r#"{ Report = ["bin/report"] }"#,
        },
    ],
};

/// `[jobs.redis]`.
pub(crate) const REDIS: Section = Section {
    name: "jobs.redis",
    header: "[jobs.redis]",
    doc: "How a Redis or Valkey server is reached. Each key has a variable that wins over it, with times in seconds as Sidekiq's users know them.",
    keys: &[
        Key {
            name: "timeout",
            kind: "duration",
            default: r#""1s""#,
            doc: "Longest time for a connection to be made, and for an answer to come. `REDIS_TIMEOUT`.",
            example: r#""500ms""#,
        },
        Key {
            name: "reconnect_attempts",
            kind: "count",
            default: "3",
            doc: "How often a connection is tried again before a call is given up. `REDIS_RECONNECT_ATTEMPTS`.",
            example: "5",
        },
        Key {
            name: "reconnect_delay",
            kind: "duration",
            default: r#""500ms""#,
            doc: "Pause before the first of these; each further one is twice as long. `REDIS_RECONNECT_DELAY`.",
            example: r#""100ms""#,
        },
        Key {
            name: "reconnect_delay_max",
            kind: "duration",
            default: r#""5s""#,
            doc: "Longest pause. `REDIS_RECONNECT_DELAY_MAX`.",
            example: r#""10s""#,
        },
        Key {
            name: "pool_size",
            kind: "count",
            default: "10",
            doc: "Connections for what waits at the server, at most. `REDIS_POOL_SIZE`, else `RAILS_MAX_THREADS`.",
            example: "20",
        },
        Key {
            name: "pool_timeout",
            kind: "duration",
            default: r#""6s""#,
            doc: "Longest time that a caller waits for its turn. `REDIS_POOL_TIMEOUT`.",
            example: r#""10s""#,
        },
        Key {
            name: "authorities",
            kind: "path",
            default: "none",
            doc: "Authorities (PEM) that a server with TLS is checked against. Without it those of the system. `REDIS_CA_FILE`.",
            example: r#""/etc/forebay/redis.pem""#,
        },
    ],
};

/// `[[jobs.timetable]]`.
pub(crate) const TIMETABLE: Section = Section {
    name: "jobs.timetable",
    header: "[[jobs.timetable]]",
    doc: "A job that comes again and again. Of all processes that know a timetable one pushes its job at each tick; `forebay jobs cron` shows, pauses and fires them.",
    keys: &[
        Key {
            name: "name",
            kind: "text",
            default: "",
            doc: "The name that all processes know it by.",
            example: r#""nightly report""#,
        },
        Key {
            name: "cron",
            kind: "text",
            default: "",
            doc: "`minute hour day month weekday`, with seconds in front if you like, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.",
            example: r#""30 9 * * mon-fri""#,
        },
        Key {
            name: "zone",
            kind: "text",
            default: r#""UTC""#,
            doc: "Time zone, a name of the IANA database.",
            example: r#""Europe/Berlin""#,
        },
        Key {
            name: "class",
            kind: "text",
            default: "",
            doc: "Class of the job.",
            example: r#""Report""#,
        },
        Key {
            name: "args",
            kind: "list",
            default: "[]",
            doc: "Its arguments.",
            example: r#"["all", { format = "pdf" }]"#,
        },
        Key {
            name: "queue",
            kind: "text",
            default: r#""default""#,
            doc: "Its queue.",
            example: r#""low""#,
        },
        Key {
            name: "retry",
            kind: "count or boolean",
            default: "true",
            doc: "How often it is tried again: `true` is 25 times, `false` never, and not kept among the dead either.",
            example: "3",
        },
        Key {
            name: "missed",
            kind: "`latest` or `skip`",
            default: r#""latest""#,
            doc: "What becomes of ticks while no worker ran: the latest is made up for, or they are left out.",
            example: r#""skip""#,
        },
    ],
};
