//! Which request gets which answer.

use std::time::Duration;

use forebay_signals::{clock, drain::Drain};
use http::header::{ALLOW, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Limited};
use hyper::body::Incoming;
use serde_json::json;

use crate::answer::{
    self, Content, Keep, validated, validator, with_cookie, with_status, with_tags,
};
use crate::assets::ASSETS;
use crate::catalog::{PRODUCTS, Product, stock_count};
use crate::events::Events;
use crate::form;
use crate::page::{Maker, SignUp};
use crate::visitor::{self, Cart};

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
/// Tag of all that shows products.
const CATALOGUE: &str = "catalogue";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Largest form that is read.
const MAX_FORM_BYTES: usize = 8 * 1024;
/// Time that a form may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);
/// The slow page takes from here …
const SLOW_FROM_MS: u64 = 200;
/// … to here.
const SLOW_TO_MS: u64 = 800;

/// Answers one request; it always has an answer.
pub(crate) async fn answer(
    request: Request<Incoming>,
    origin: &str,
    stop: Drain,
) -> Response<Content> {
    let (head, body) = request.into_parts();
    let make = Maker { origin, now: clock::wall() };
    let mut answer = if head.method == Method::POST {
        post(&head.uri, &head.headers, body, make).await
    } else if head.method == Method::GET || head.method == Method::HEAD {
        get(&head.uri, &head.headers, make, stop).await
    } else {
        let page = make.message("Not that way", "This shop knows GET, HEAD and POST.");
        let mut refusal = answer::of(Keep::Private, HTML, page);
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        with_status(refusal, StatusCode::METHOD_NOT_ALLOWED)
    };
    if let Ok(origin) = HeaderValue::from_str(origin) {
        answer.headers_mut().insert("shop-origin", origin);
    }
    answer
}

async fn get(
    uri: &http::Uri,
    asked: &HeaderMap,
    make: Maker<'_>,
    stop: Drain,
) -> Response<Content> {
    let path = uri.path();
    if let Some(asset) = ASSETS.find(path) {
        let answer = answer::of(Keep::Forever, asset.media_type, asset.content.clone());
        return validated(answer, &format!("W/\"{path}\""), asked);
    }
    let place = Place::new(uri, make);
    match path {
        "/" => with_tags(place.page(make.front(), asked), CATALOGUE),
        "/search" => {
            let query = form::value(uri.query().unwrap_or_default(), "q").unwrap_or_default();
            with_tags(place.page(make.search(&query), asked), CATALOGUE)
        }
        "/slow" => {
            let waited_ms = slow_ms(make);
            clock::sleep(Duration::from_millis(waited_ms)).await;
            let make = Maker { now: clock::wall(), ..make };
            place.page(make.slow(waited_ms), asked)
        }
        "/cart" => {
            let cart = Cart::from_fields(asked);
            with_cookie(private(make.cart(&cart)), &cart.to_cookie())
        }
        "/signup" => sign_up_form(make, "", "", None),
        "/account" => match visitor::name(asked) {
            Some(name) => private(make.account(&name)),
            None => answer::see("/signup"),
        },
        "/api/products" => with_tags(place.data(&products(uri, make), asked), CATALOGUE),
        "/events" => {
            let mut answer = answer::of(Keep::Private, "text/event-stream", "");
            *answer.body_mut() = Either::Right(Events::new(make.origin, stop));
            answer
        }
        "/health" => answer::of(Keep::Private, PLAIN, format!("ok {}\n", make.origin)),
        _ => one_product(path, asked, &place).unwrap_or_else(|| not_found(make)),
    }
}

fn one_product(path: &str, asked: &HeaderMap, place: &Place<'_>) -> Option<Response<Content>> {
    if let Some(id) = path.strip_prefix("/api/products/") {
        let product = Product::by_id(id)?;
        let answer = place.data(&product_data(product, place.make), asked);
        return Some(with_tags(answer, &tags_of(product)));
    }
    let product = Product::by_slug(path.strip_prefix("/products/")?)?;
    let answer = place.page(place.make.product(product), asked);
    Some(with_tags(answer, &tags_of(product)))
}

/// A change of one product, or of the whole catalogue, changes its pages.
fn tags_of(product: &Product) -> String {
    format!("{CATALOGUE} product-{}", product.id)
}

async fn post(
    uri: &http::Uri,
    asked: &HeaderMap,
    body: Incoming,
    make: Maker<'_>,
) -> Response<Content> {
    if visitor::is_cross_site(&Method::POST, asked) {
        return refused(make, "Another site sent this form.");
    }
    let Some(sent) = read_form(body).await else {
        let page = make.message("Too much", "A form of this shop has at most 8 KB.");
        return with_status(private(page), StatusCode::PAYLOAD_TOO_LARGE);
    };
    let value = |name| form::value(&sent, name).unwrap_or_default();
    match uri.path() {
        "/signup" => sign_up(asked, make, &value("token"), &value("name"), &value("email")),
        "/cart/add" => {
            let mut cart = Cart::from_fields(asked);
            cart.add(&value("id"), 1);
            with_cookie(answer::see("/cart"), &cart.to_cookie())
        }
        "/cart/clear" => with_cookie(answer::see("/cart"), &Cart::default().to_cookie()),
        "/signout" => with_cookie(answer::see("/"), &visitor::name_cookie("")),
        _ => not_found(make),
    }
}

async fn read_form(body: Incoming) -> Option<String> {
    let whole = Limited::new(body, MAX_FORM_BYTES).collect();
    let bytes = clock::timeout(FORM_TIMEOUT, whole).await.ok()?.ok()?.to_bytes();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn sign_up(
    asked: &HeaderMap,
    make: Maker<'_>,
    token: &str,
    name: &str,
    email: &str,
) -> Response<Content> {
    if !visitor::holds_token(asked, token) {
        return refused(make, "The form has expired. Go back, load it again, and send it anew.");
    }
    let name = name.trim();
    if name.is_empty() || name.len() > 60 {
        return sign_up_form(make, name, email, Some("Tell us your name, in at most 60 letters."));
    }
    let is_address = email
        .split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && email.len() <= 120);
    if !is_address {
        return sign_up_form(make, name, email, Some("This is not an e-mail address."));
    }
    with_cookie(answer::see("/account"), &visitor::name_cookie(name))
}

fn sign_up_form(
    make: Maker<'_>,
    name: &str,
    email: &str,
    problem: Option<&'static str>,
) -> Response<Content> {
    let Ok(token) = visitor::fresh_token() else {
        let page = make.message("Not now", "The shop cannot make forms at the moment.");
        return with_status(private(page), StatusCode::SERVICE_UNAVAILABLE);
    };
    let page = make.sign_up(&SignUp { token: &token, name, email, problem });
    let answer = with_cookie(private(page), &visitor::token_cookie(&token));
    match problem {
        Some(_) => with_status(answer, StatusCode::UNPROCESSABLE_ENTITY),
        None => answer,
    }
}

fn private(page: String) -> Response<Content> {
    answer::of(Keep::Private, HTML, page)
}

fn refused(make: Maker<'_>, text: &str) -> Response<Content> {
    with_status(private(make.message("Not accepted", text)), StatusCode::FORBIDDEN)
}

fn not_found(make: Maker<'_>) -> Response<Content> {
    let page = make.message("Nothing here", "This shop has no such page.");
    with_status(answer::of(Keep::Data, HTML, page), StatusCode::NOT_FOUND)
}

fn products(uri: &http::Uri, make: Maker<'_>) -> serde_json::Value {
    let query = form::value(uri.query().unwrap_or_default(), "q").unwrap_or_default();
    let found = Product::search(&query);
    let found: Vec<_> = found.into_iter().map(|product| product_data(product, make)).collect();
    json!({ "products": found, "of": PRODUCTS.len() })
}

fn product_data(product: &Product, make: Maker<'_>) -> serde_json::Value {
    json!({
        "id": product.id,
        "slug": product.slug,
        "name": product.name,
        "text": product.text,
        "cents": product.cents,
        "stock": product.stock(stock_count(make.now)),
        "picture": ASSETS.picture(product),
        "origin": make.origin,
    })
}

/// Different for each origin and moment, the same within a millisecond: random enough for waiting.
fn slow_ms(make: Maker<'_>) -> u64 {
    let since = make.now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    SLOW_FROM_MS + u64::from(since.subsec_micros()) % (SLOW_TO_MS - SLOW_FROM_MS)
}

/// A place that is the same for everybody until the stock changes.
struct Place<'a> {
    make: Maker<'a>,
    validator: String,
}

impl<'a> Place<'a> {
    fn new(uri: &http::Uri, make: Maker<'a>) -> Place<'a> {
        let count = stock_count(make.now).to_string();
        let validator = validator(&[uri.path(), uri.query().unwrap_or_default(), &count]);
        Place { make, validator }
    }

    fn page(&self, page: String, asked: &HeaderMap) -> Response<Content> {
        validated(answer::of(Keep::Page, HTML, page), &self.validator, asked)
    }

    fn data(&self, data: &serde_json::Value, asked: &HeaderMap) -> Response<Content> {
        validated(answer::of(Keep::Data, JSON, format!("{data}\n")), &self.validator, asked)
    }
}
