//! Where a server is: one at an address, or whichever the Sentinels name.

use std::fmt;
use std::path::Path;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, RedisError, RedisResult, TlsCertificates, TlsMode,
};

/// Port of a Sentinel.
const SENTINEL_PORT: u16 = 26_379;
/// Most Sentinels that are asked.
const MOST_SENTINELS: usize = 16;

/// Where a server is.
///
/// `redis://[user:password@]host[:port][/database]`, `rediss://…` with TLS, `unix:///path?db=1&user=…&pass=…`
/// or `redis+unix://…`, and `redis+sentinel://[user:password@]host[:port],host[:port]/primary[/database]`, with
/// TLS to the servers and the Sentinels as `rediss+sentinel://…`. The password is for the servers; Sentinels
/// that want one are not supported.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: String,
    shown: String,
}

/// A URL that names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another kind of place.
    #[error(
        "the scheme is none of `redis`, `rediss`, `unix`, `redis+unix`, `redis+sentinel` and `rediss+sentinel`"
    )]
    Scheme,
    /// Not an address. The sentence does not repeat the URL: it may hold a password.
    #[error("{0}")]
    Address(String),
    /// Sentinels and no name.
    #[error(
        "after the Sentinels there is no name of a primary, as in `redis+sentinel://host/primary`"
    )]
    NoPrimary,
    /// A Sentinel without a host, or with a port that is none.
    #[error("a Sentinel is `{0}` and not `host` or `host:port`")]
    Sentinel(String),
    /// None, or too many.
    #[error("there are `{0}` Sentinels, not 1 to 16")]
    Sentinels(usize),
    /// No number.
    #[error("the database is `{0}` and not a number")]
    Database(String),
    /// It asks for trust in everybody.
    #[error("`#insecure` is not followed: a server is who its certificate says")]
    Insecure,
}

/// What a URL says.
enum Way {
    Server(ConnectionInfo),
    Sentinels(Sentinels),
}

struct Sentinels {
    hosts: Vec<(String, u16)>,
    primary: String,
    user: Option<String>,
    password: Option<String>,
    database: i64,
    is_tls: bool,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// It names no server.
    pub fn parse(url: &str) -> Result<Target, UrlError> {
        let shown = match way(url)? {
            Way::Server(info) => info.addr().to_string(),
            Way::Sentinels(it) => {
                let hosts: Vec<String> =
                    it.hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                format!("{} by {}", it.primary, hosts.join(","))
            }
        };
        Ok(Target { url: url.to_owned(), shown })
    }

    /// True if Sentinels say who the primary is.
    pub fn is_by_sentinels(&self) -> bool {
        matches!(way(&self.url), Ok(Way::Sentinels(_)))
    }

    /// Makes a connection.
    pub(super) async fn open(
        &self,
        protocol: ProtocolVersion,
        config: &AsyncConnectionConfig,
        file: Option<&Path>,
    ) -> RedisResult<MultiplexedConnection> {
        match way(&self.url).expect("it was read when it was made") {
            Way::Server(info) => {
                let settings = info.redis_settings().clone().set_protocol(protocol);
                let is_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
                let info = info.set_redis_settings(settings).set_tcp_settings(at_once());
                let client = match file.filter(|_| is_tls) {
                    Some(file) => Client::build_with_tls(info, authorities(file)?)?,
                    None => Client::open(info)?,
                };
                client.get_multiplexed_async_connection_with_config(config).await
            }
            Way::Sentinels(it) => it.open(protocol, config, file).await,
        }
    }
}

impl Sentinels {
    async fn open(
        self,
        protocol: ProtocolVersion,
        config: &AsyncConnectionConfig,
        file: Option<&Path>,
    ) -> RedisResult<MultiplexedConnection> {
        let address = |(host, port)| {
            if self.is_tls {
                ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        };
        let hosts = self.hosts.into_iter().map(address);
        let kind = SentinelServerType::Master;
        let mut builder = SentinelClientBuilder::new(hosts, self.primary, kind)?
            .set_client_to_redis_db(self.database)
            .set_client_to_redis_protocol(protocol)
            .set_client_to_redis_tcp_settings(at_once());
        if self.is_tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
            if let Some(file) = file {
                let authorities = authorities(file)?;
                builder = builder
                    .set_client_to_redis_certificates(authorities.clone())
                    .set_client_to_sentinel_certificates(authorities);
            }
        }
        if let Some(user) = self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        builder.build()?.get_async_connection_with_config(config).await
    }
}

fn authorities(file: &Path) -> RedisResult<TlsCertificates> {
    let failed = |error: std::io::Error| {
        let detail = format!("`{}`: {error}", file.display());
        RedisError::from((ErrorKind::InvalidClientConfig, "the authorities cannot be read", detail))
    };
    let root_cert = Some(std::fs::read(file).map_err(failed)?);
    Ok(TlsCertificates { client_tls: None, root_cert })
}

/// A call goes out while others wait for their answers: with Nagle's algorithm it would wait for the server's
/// system to acknowledge them, which takes 40 ms where the server itself has nothing to say yet.
fn at_once() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

/// Without the password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.shown)
    }
}

fn way(url: &str) -> Result<Way, UrlError> {
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
    match scheme {
        "redis" | "rediss" | "unix" | "redis+unix" => server(url).map(Way::Server),
        "redis+sentinel" => sentinels(rest, false).map(Way::Sentinels),
        "rediss+sentinel" => sentinels(rest, true).map(Way::Sentinels),
        _ => Err(UrlError::Scheme),
    }
}

fn server(url: &str) -> Result<ConnectionInfo, UrlError> {
    if url.ends_with("#insecure") {
        return Err(UrlError::Insecure);
    }
    url.into_connection_info().map_err(|error| UrlError::Address(error.to_string()))
}

fn sentinels(rest: &str, is_tls: bool) -> Result<Sentinels, UrlError> {
    let (who, rest) = match rest.rsplit_once('@') {
        Some((who, rest)) => (Some(who), rest),
        None => (None, rest),
    };
    let mut parts = rest.trim_end_matches('/').split('/');
    let hosts = parts.next().unwrap_or_default().split(',').map(host);
    let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
    if hosts.len() > MOST_SENTINELS {
        return Err(UrlError::Sentinels(hosts.len()));
    }
    let primary = parts.next().filter(|it| !it.is_empty()).ok_or(UrlError::NoPrimary)?;
    let database = match parts.next() {
        None => 0,
        Some(text) => text.parse().map_err(|_| UrlError::Database(text.to_owned()))?,
    };
    let (user, password) = match who.map(|it| it.split_once(':').unwrap_or(("", it))) {
        Some((user, password)) => (Some(user).filter(|it| !it.is_empty()), Some(password)),
        None => (None, None),
    };
    Ok(Sentinels {
        hosts,
        primary: primary.to_owned(),
        user: user.map(str::to_owned),
        password: password.map(str::to_owned),
        database,
        is_tls,
    })
}

fn host(text: &str) -> Result<(String, u16), UrlError> {
    let wrong = || UrlError::Sentinel(text.to_owned());
    // An IPv6 address stands in brackets, and is used without.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (text, SENTINEL_PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() { Err(wrong()) } else { Ok((host.to_owned(), port)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_and_shown_without_its_password() {
        for (url, shown) in [
            ("redis://localhost", "localhost:6379"),
            ("redis://me:secret@10.0.0.1:7000/3", "10.0.0.1:7000"),
            ("rediss://:secret@redis.example/0", "redis.example:6379"),
            ("unix:///run/redis.sock?db=2&pass=secret", "/run/redis.sock"),
            ("redis+unix:///run/redis.sock", "/run/redis.sock"),
            ("redis+sentinel://:secret@a,b:7,[::1]:8/main/2", "main by a:26379,b:7,::1:8"),
            ("rediss+sentinel://me:secret@a/main", "main by a:26379"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.to_string(), shown);
            assert!(!format!("{target:?}").contains("secret"));
            assert_eq!(target.is_by_sentinels(), url.contains("sentinel"));
        }
    }

    #[test]
    fn what_names_no_server_says_why() {
        for (url, error) in [
            ("localhost:6379", UrlError::Scheme),
            ("redis+sentinel://a,b", UrlError::NoPrimary),
            ("redis+sentinel://a,:7/main", UrlError::Sentinel(":7".into())),
            ("redis+sentinel://a:port/main", UrlError::Sentinel("a:port".into())),
            ("redis+sentinel://a/main/x", UrlError::Database("x".into())),
            ("rediss://host#insecure", UrlError::Insecure),
        ] {
            assert_eq!(Target::parse(url).unwrap_err(), error, "{url}");
        }
        let error = Target::parse("redis://:secret@host/x").unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
