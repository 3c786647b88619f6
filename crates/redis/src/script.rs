//! Scripts: one step for the server, whatever stands in them.

use redis::{Cmd, Value};

use crate::connect::{Again, Error, Redis};

/// A script in Lua. It is sent by its digest, and whole to a server that does not know it: one that was
/// started anew, or a replica that became the primary.
#[derive(Debug, Clone)]
pub struct Script {
    code: &'static str,
    digest: String,
}

impl Script {
    /// The script with this text.
    pub fn new(code: &'static str) -> Script {
        Script { code, digest: redis::Script::new(code).get_hash().to_owned() }
    }

    /// Runs it with what `fill` adds: `keys` keys, and arguments. A server that does not know the script did
    /// nothing: to ask again is safe.
    ///
    /// # Errors
    /// As [`Redis::ask`].
    pub async fn run(
        &self,
        redis: &Redis,
        keys: usize,
        again: Again,
        fill: impl Fn(&mut Cmd),
    ) -> Result<Value, Error> {
        let call = |verb: &str, what: &str| {
            let mut call = redis::cmd(verb);
            call.arg(what).arg(keys);
            fill(&mut call);
            call
        };
        match redis.ask(&call("EVALSHA", &self.digest), again).await {
            Err(error) if error.is_unknown_script() => {
                redis.ask(&call("EVAL", self.code), again).await
            }
            answer => answer,
        }
    }
}
