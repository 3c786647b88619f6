//! Server-sent events: one stock figure a second, for a minute; then the browser comes back.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use forebay_signals::{clock, drain::Drain};
use http_body::{Body, Frame};

use crate::catalog::{PRODUCTS, stock_count};

/// Time between two events.
const PACE: Duration = Duration::from_secs(1);
/// Events of one stream: a stream without an end would hold its connection for ever.
const EVENTS: usize = 60;

/// The stream as a body. It makes an event only when somebody takes one.
pub(crate) struct Events {
    origin: String,
    sent: usize,
    stop: Drain,
    next: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Events {
    pub(crate) fn new(origin: &str, stop: Drain) -> Events {
        Events { origin: origin.into(), sent: 0, stop, next: Box::pin(std::future::ready(())) }
    }

    fn event(&self) -> Bytes {
        let count = stock_count(clock::wall());
        let Some(product) = PRODUCTS.get(self.sent % PRODUCTS.len()) else { return Bytes::new() };
        let data = serde_json::json!({
            "name": product.name,
            "stock": product.stock(count),
            "origin": self.origin,
        });
        format!("event: stock\nid: {}\ndata: {data}\n\n", self.sent).into()
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.next.as_mut().poll(context));
        if self.sent == EVENTS || self.stop.has_begun() {
            return Poll::Ready(None);
        }
        let event = self.event();
        let stop = self.stop.clone();
        self.next = Box::pin(async move {
            // A stop wakes the stream at once; either way the next poll decides.
            drop(clock::timeout(PACE, stop.begun()).await);
        });
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}
