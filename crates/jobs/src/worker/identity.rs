//! What a process is called.

use crate::store::Owner;

/// `host:pid:nonce`, as Sidekiq's identity; a new one each time, so that what is dead stays dead.
pub(super) fn fresh(host: &str) -> Owner {
    let mut nonce = [0; 6];
    fastrand::fill(&mut nonce);
    let nonce = nonce.iter().fold(0_u64, |nonce, byte| nonce << 8 | u64::from(*byte));
    Owner::named(&format!("{host}:{}:{nonce:012x}", std::process::id()))
}

/// The same on this machine.
pub(crate) fn fresh_owner() -> Owner {
    fresh(&host())
}

/// The name of this machine.
pub(super) fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // A colon would end it too early.
    let name = name.replace(':', "-");
    if name.is_empty() { "localhost".to_owned() } else { name }
}

/// Memory of this process that lies in RAM, in KiB; 0 where the system does not say.
pub(super) fn rss_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}
