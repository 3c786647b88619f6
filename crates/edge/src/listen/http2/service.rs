//! One request: from the engine to the handler and back.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use forebay_signals::clock;
use forebay_signals::drain::Drain;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::activity::{Activity, Ticket};
use super::body::{Download, Upload};
use super::head;
use crate::error::Error;
use crate::exchange::{Answer, Body, Client, Exchange, Stamps};
use crate::listen::settings::Settings;
use crate::listen::{Handler, Reply, refusal};

/// What the requests of one connection share.
pub(super) struct Service<H> {
    pub(super) client: Client,
    pub(super) settings: Arc<Settings>,
    pub(super) activity: Arc<Activity>,
    pub(super) handler: H,
    pub(super) drain: Drain,
}

impl<H: Handler> Service<H> {
    /// Answers one request; it always has an answer.
    pub(super) fn call(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Download>, Infallible>> + Send + use<H> {
        let ticket = Ticket::new(&self.activity, self.drain.guard());
        let is_head = request.method() == Method::HEAD;
        let (parts, content) = request.into_parts();
        let checked = head::check(parts, &self.settings.http1.limits).map(|head| Exchange {
            id: [b'0'; 32],
            client: self.client.clone(),
            head,
            body: Upload::open(content, &self.settings.http1),
            upgrade: None,
            stamps: Stamps::new(clock::now()),
        });
        let reply = match checked {
            Ok(exchange) => self.handler.call(exchange),
            Err(error) => {
                self.refused(&error);
                Reply::Now(refusal(&error))
            }
        };
        async move {
            let answer = match reply {
                Reply::Now(answer) => answer,
                Reply::Later(coming) => coming.await,
            };
            Ok(response(answer, is_head, ticket))
        }
    }

    fn refused(&self, error: &Error) {
        self.activity.counters().protocol_errors.increment();
        tracing::debug!(kind = error.facts().label, error = %error, "request refused");
    }
}

fn response(mut answer: Answer, is_head: bool, ticket: Ticket) -> Response<Download> {
    if answer.status.is_informational() {
        // HTTP/2 has no upgrade; whoever asked for one anyway is a fault of ours.
        answer = Answer::from(&head::too_late());
    }
    let has_no_content = is_head
        || answer.status == StatusCode::NO_CONTENT
        || answer.status == StatusCode::NOT_MODIFIED;
    let keeps_length = has_no_content && answer.status != StatusCode::NO_CONTENT;
    let (mut parts, body) = Response::<Body>::from(answer).into_parts();
    frame(&mut parts.headers, keeps_length);
    let body = if has_no_content { Body::Empty } else { body };
    Response::from_parts(parts, Download::new(body, ticket))
}

/// The engine frames: it writes `content-length` for content whose length is known.
fn frame(fields: &mut HeaderMap, keeps_length: bool) {
    if !keeps_length {
        fields.remove(CONTENT_LENGTH);
    }
    head::remove_hop_by_hop(fields);
}
