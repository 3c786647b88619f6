//! What the connections read: one immutable set, swapped on reload.

use std::sync::Arc;
use std::time::Duration;

use super::http1;
use super::http1::head::HeadLimits;
use crate::config::admit::{Admit, Proxy};
use crate::config::listen::Listen;

/// Deadlines and limits. A connection keeps those it began with.
#[derive(Debug)]
pub(super) struct Settings {
    /// HTTP/1, and what HTTP/2 has in common with it.
    pub(super) http1: Arc<http1::Settings>,
    pub(super) http2_first_request_timeout: Duration,
    pub(super) upgraded_idle_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) admit: Admit,
    pub(super) proxy_protocol: Vec<Proxy>,
}

impl Settings {
    pub(super) fn new(listen: &Listen, admit: &Admit) -> Settings {
        let limits = HeadLimits {
            head_bytes: admit.max_head_bytes,
            target_bytes: admit.max_uri_bytes,
            fields: admit.max_fields,
        };
        let http1 = http1::Settings {
            limits,
            head_timeout: listen.head_timeout,
            idle_timeout: listen.idle_timeout,
            min_content_rate: listen.min_content_rate,
            content_grace: listen.content_grace,
            blocked_write_timeout: listen.blocked_write_timeout,
            max_content_bytes: admit.max_content_bytes,
            ..http1::Settings::default()
        };
        Settings {
            http1: Arc::new(http1),
            http2_first_request_timeout: listen.http2_first_request_timeout,
            upgraded_idle_timeout: listen.upgraded_idle_timeout,
            drain_timeout: listen.drain_timeout,
            admit: admit.clone(),
            proxy_protocol: listen.proxy_protocol.clone(),
        }
    }
}
