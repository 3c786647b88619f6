//! What belongs to one visitor. All of it is in cookies: the shop itself remembers nobody.

use std::fs::File;
use std::io::{self, Read};

use http::{HeaderMap, Method, header};

use crate::catalog::Product;
use crate::form;

/// Lines of a cart at most: a cookie has to stay small.
const MAX_LINES: usize = 20;
/// Pieces of one product at most.
const MAX_PIECES: u32 = 99;

/// A cart: products and how many of each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Cart {
    lines: Vec<(u16, u32)>,
}

impl Cart {
    /// Reads `1.2-7.1`; what does not parse is left out.
    pub(crate) fn from_fields(fields: &HeaderMap) -> Cart {
        let text = cookie(fields, "cart").unwrap_or_default();
        let mut cart = Cart::default();
        for line in text.split('-') {
            let Some((id, pieces)) = line.split_once('.') else { continue };
            let Ok(pieces) = pieces.parse() else { continue };
            cart.add(id, pieces);
        }
        cart
    }

    /// Puts pieces of a product in, within the limits.
    pub(crate) fn add(&mut self, id: &str, pieces: u32) {
        let Some(product) = Product::by_id(id) else { return };
        if let Some((_, have)) = self.lines.iter_mut().find(|(id, _)| *id == product.id) {
            *have = have.saturating_add(pieces).min(MAX_PIECES);
        } else if self.lines.len() < MAX_LINES && pieces > 0 {
            self.lines.push((product.id, pieces.min(MAX_PIECES)));
        }
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static Product, u32)> {
        let product = |id: u16| Product::by_id(&id.to_string());
        self.lines.iter().filter_map(move |(id, pieces)| Some((product(*id)?, *pieces)))
    }

    /// The `Set-Cookie` value that keeps it for a week.
    pub(crate) fn to_cookie(&self) -> String {
        let lines: Vec<String> =
            self.lines.iter().map(|(id, pieces)| format!("{id}.{pieces}")).collect();
        format!("cart={}; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax", lines.join("-"))
    }
}

/// The name under which somebody signed up on this device.
pub(crate) fn name(fields: &HeaderMap) -> Option<String> {
    cookie(fields, "name").map(form::decode).filter(|name| !name.is_empty())
}

/// The `Set-Cookie` value that remembers a name; an empty one forgets it.
pub(crate) fn name_cookie(name: &str) -> String {
    let seconds = if name.is_empty() { 0 } else { 604_800 };
    format!("name={}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax", form::encode(name))
}

/// A fresh token against forged forms.
///
/// It is sent twice, as a cookie and in the form: another site can make a browser send the first,
/// but cannot read it to write the second.
pub(crate) fn fresh_token() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The `Set-Cookie` value for a token.
pub(crate) fn token_cookie(token: &str) -> String {
    format!("csrf={token}; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict")
}

/// The form holds the token that the cookie holds.
pub(crate) fn holds_token(fields: &HeaderMap, sent: &str) -> bool {
    let Some(kept) = cookie(fields, "csrf") else { return false };
    // Compared to the end, so that time tells nothing about where they differ.
    let differs = kept.bytes().zip(sent.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
    kept.len() == 32 && sent.len() == 32 && differs == 0
}

/// A request that another site's page made the browser send (Fetch Metadata).
pub(crate) fn is_cross_site(method: &Method, fields: &HeaderMap) -> bool {
    let site = fields.get("sec-fetch-site").map(header::HeaderValue::as_bytes);
    *method == Method::POST && site.is_some_and(|site| site != b"same-origin" && site != b"none")
}

fn cookie<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    fields.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).find_map(|line| {
        line.split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn fields(cookie: &str) -> HeaderMap {
        let value = HeaderValue::from_str(cookie).expect("a field value");
        HeaderMap::from_iter([(header::COOKIE, value)])
    }

    #[test]
    fn a_cart_survives_its_cookie_and_keeps_its_limits() {
        let mut cart = Cart::from_fields(&fields("a=b; cart=1.2-x-99999.1-3.500"));
        cart.add("1", 1);
        cart.add("nothing", 1);
        assert!(cart.to_cookie().starts_with("cart=1.3-3.99;"));
    }

    #[test]
    fn a_token_counts_only_if_cookie_and_form_agree() {
        let token = fresh_token().expect("random bytes");
        let kept = fields(&format!("csrf={token}"));
        assert!(holds_token(&kept, &token));
        assert!(!holds_token(&kept, &fresh_token().expect("random bytes")));
        assert!(!holds_token(&kept, ""));
        assert!(!holds_token(&fields("csrf="), ""));
        assert!(!holds_token(&HeaderMap::new(), &token));
    }

    #[test]
    fn names_are_escaped_in_their_cookie() {
        let cookie = name_cookie("Ada; Path=/x\r\n");
        let value = cookie.split(';').next().expect("a pair");
        assert_eq!(name(&fields(value)).as_deref(), Some("Ada; Path=/x\r\n"));
        assert!(cookie.is_ascii() && !cookie.contains('\n'));
    }
}
