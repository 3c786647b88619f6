//! A real authority (`pebble`) with a name server of its own, where every name is this machine.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_signals::clock;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// True if the programs are there; otherwise it says that a test was skipped.
pub(crate) fn is_there() -> bool {
    let is_there = |program: &str| {
        let mut run = Command::new(program);
        run.arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let are_there = is_there("pebble") && is_there("pebble-challtestsrv");
    if !are_there {
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        // By hand: what a test prints is shown only if it fails.
        let said = writeln!(
            std::io::stderr(),
            "SKIPPED {name}: pebble is not there: sudo apt-get install pebble"
        );
        said.expect("standard error takes a line");
    }
    are_there
}

/// Where a challenge is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) http: u16,
    pub(crate) tls: u16,
}

/// How it differs from one that gives everybody everything.
#[derive(Clone, Default)]
pub(crate) struct Habits {
    /// Needs an account that is bound to this key, by its name.
    pub(crate) binding: Option<(&'static str, &'static str)>,
    /// For how many seconds its certificates are good.
    pub(crate) life: Option<u32>,
    /// Share of good nonces that are refused, in percent.
    pub(crate) refuses_nonces: u8,
}

/// What does not change when the authority comes and goes: its address and what it is trusted by.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) port: u16,
    /// Of its own certificate.
    pub(crate) root: PathBuf,
    names: u16,
}

/// The authority while it runs.
pub(crate) struct Authority {
    _pebble: Killed,
    _names: Killed,
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("made");
        let issuer = Issuer::new(params, key);
        let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]);
        let key = KeyPair::generate().expect("a key");
        let own = params.expect("names").signed_by(&key, &issuer).expect("made");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("root.pem"), root.pem()).expect("written");
        fs::write(path("own.pem"), own.pem()).expect("written");
        fs::write(path("own.key"), key.serialize_pem()).expect("written");
        let root = path("root.pem");
        Place { folder, port: free_port(), root, names: free_port() }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// A file of its folder: `own.pem`, `own.key`.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(&self, ports: Ports, habits: &Habits) -> Authority {
        let names = Command::new("pebble-challtestsrv")
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-dns01", &format!("127.0.0.1:{}", self.names)])
            .args(["-management", &format!("127.0.0.1:{}", free_port())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let names = Killed(names.expect("it starts"));
        let keys: serde_json::Map<_, _> =
            habits.binding.iter().map(|(id, key)| ((*id).to_owned(), (*key).into())).collect();
        let settings = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", free_port()),
            "certificate": self.path("own.pem"),
            "privateKey": self.path("own.key"),
            "httpPort": ports.http,
            "tlsPort": ports.tls,
            "certificateValidityPeriod": habits.life.unwrap_or(90 * 86_400),
            "externalAccountBindingRequired": habits.binding.is_some(),
            "externalAccountMACKeys": keys,
        }});
        fs::write(self.path("pebble.json"), settings.to_string()).expect("written");
        let log = fs::File::create(self.path("pebble.log")).expect("a file");
        let pebble = Command::new("pebble")
            .args(["-config", &self.path("pebble.json")])
            .args(["-dnsserver", &format!("127.0.0.1:{}", self.names)])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", habits.refuses_nonces.to_string())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn();
        let authority = Authority { _pebble: Killed(pebble.expect("it starts")), _names: names };
        for _ in 0..1_000 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return authority;
            }
            clock::block_for(Duration::from_millis(20));
        }
        panic!("no answer:\n{}", self.log());
    }

    /// What it has said, of which tests count lines.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("pebble.log")).unwrap_or_default()
    }
}

/// A port that nobody has now; another test may take it before it is used, since each asks the kernel, which
/// goes round.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Rights of a file or folder.
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}
