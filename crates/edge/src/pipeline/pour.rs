//! From an origin's answer into a fill.

use std::sync::Arc;

use http::HeaderMap;
use http_body_util::BodyExt;

use crate::cache::Head;
use crate::cache::fill::{FillLead, Keep};
use crate::error::Error;
use crate::exchange::Body;

/// Ends a fill whose answer lies in the store.
pub(super) fn hand_over(mut lead: FillLead<Head>, head: Head, keep: Keep) {
    lead.head(Arc::new(head), keep, Some(0));
    if let Err(error) = lead.finish(None, |_| None) {
        tracing::debug!(%error, "fill not finished");
    }
}

/// Moves the body from the origin to the readers. `None` if nobody wants it any more; otherwise its
/// trailers, or why it broke off.
pub(super) async fn pour<H>(
    mut body: Body,
    lead: &mut FillLead<H>,
) -> Option<Result<Option<HeaderMap>, Error>> {
    loop {
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            () = lead.abandoned() => return None,
        };
        let frame = match frame {
            None => return Some(Ok(None)),
            Some(Err(error)) => return Some(Err(error)),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => lead.push(data).await.ok()?,
            Err(frame) => return Some(Ok(frame.into_trailers().ok())),
        }
    }
}
