//! Pages: one frame, and what stands in it. All text from outside goes through [`Text`].

use std::fmt::{self, Display, Write};
use std::time::SystemTime;

use crate::answer::machine_time;
use crate::assets::ASSETS;
use crate::catalog::{PRODUCTS, Product, price, stock_count};
use crate::visitor::Cart;

/// Who makes pages, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker<'a> {
    /// Name of the origin.
    pub(crate) origin: &'a str,
    /// Now.
    pub(crate) now: SystemTime,
}

/// Text in HTML: escaped for content and quoted attributes.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            letter => f.write_char(letter),
        })
    }
}

impl Maker<'_> {
    pub(crate) fn front(&self) -> String {
        let goods = self.goods(&PRODUCTS.iter().collect::<Vec<_>>());
        self.frame("/", "Things for people by the water", &format!(
            r#"<h1>Things for people by the water</h1>
<p class="lead">A small shop with a short way to the river. <span id="live" aria-live="off"></span></p>
{goods}"#
        ))
    }

    pub(crate) fn search(&self, query: &str) -> String {
        let found = Product::search(query);
        let (goods, text) = (self.goods(&found), Text(query));
        let count = match found.len() {
            0 => "Nothing in the shop has all of these words.".into(),
            1 => "One thing.".into(),
            many => format!("{many} things."),
        };
        self.frame(
            "/search",
            "Search",
            &format!(
                r#"<h1>Search: “{text}”</h1><p class="lead" role="status">{count}</p>{goods}"#
            ),
        )
    }

    pub(crate) fn product(&self, product: &Product) -> String {
        let Product { id, name, text, .. } = product;
        let (picture, stock) = (ASSETS.picture(product), self.stock(product));
        let price = product.price();
        self.frame("/products", name, &format!(
            r#"<div class="one"><img src="{picture}" alt="Picture of {name}" width="320" height="240">
<div><h1>{name}</h1><p class="lead">{text}</p>
<p class="row"><span class="price">{price}</span>{stock}</p>
<form method="post" action="/cart/add"><input type="hidden" name="id" value="{id}">
<p><button>Put into the cart</button></p></form></div></div>"#
        ))
    }

    pub(crate) fn slow(&self, waited_ms: u64) -> String {
        self.frame("/slow", "A slow page", &format!(
            r#"<h1>A slow page</h1><p class="lead">The shop took {waited_ms} ms to make this page.
Load it again within ten seconds: who waits now?</p>"#
        ))
    }

    pub(crate) fn cart(&self, cart: &Cart) -> String {
        let mut rows = String::new();
        let mut total = 0;
        for (product, pieces) in cart.lines() {
            let sum = u64::from(product.cents) * u64::from(pieces);
            total += sum;
            let (slug, name, sum) = (product.slug, product.name, price(sum));
            rows.push_str(&format!(r#"<tr><td><a href="/products/{slug}">{name}</a></td><td class="number">{pieces}</td><td class="number">{sum}</td></tr>"#
            ));
        }
        let content = if rows.is_empty() {
            r#"<p class="lead">Nothing yet. <a href="/">Look around</a>.</p>"#.into()
        } else {
            let total = price(total);
            format!(
                r#"<table><thead><tr><th scope="col">Thing</th><th scope="col" class="number">Pieces</th><th scope="col" class="number">Sum</th></tr></thead>
<tbody>{rows}</tbody><tfoot><tr><th scope="row">Together</th><td></td><td class="number">{total}</td></tr></tfoot></table>
<form method="post" action="/cart/clear"><p><button class="plain">Empty the cart</button></p></form>"#
            )
        };
        self.frame("/cart", "Your cart", &format!("<h1>Your cart</h1>{content}"))
    }

    pub(crate) fn sign_up(&self, form: &SignUp<'_>) -> String {
        let SignUp { token, name, email, problem } = form;
        let (name, email) = (Text(name), Text(email));
        let problem = match problem {
            Some(problem) => format!(r#"<p class="problem" role="alert">{problem}</p>"#),
            None => String::new(),
        };
        self.frame("/signup", "Sign up", &format!(
            r#"<h1>Sign up</h1><form class="form" method="post" action="/signup">{problem}
<input type="hidden" name="token" value="{token}">
<label>Your name <input name="name" value="{name}" autocomplete="name" required maxlength="60"></label>
<label>Your e-mail address <input name="email" type="email" value="{email}" autocomplete="email" required maxlength="120"></label>
<button>Sign up</button></form>"#
        ))
    }

    pub(crate) fn account(&self, name: &str) -> String {
        let name = Text(name);
        self.frame("/account", "Your account", &format!(
            r#"<h1>Good day, {name}</h1><p class="lead">This page is yours alone: it is made for every
request and no cache keeps it.</p><form method="post" action="/signout"><button class="plain">Sign out</button></form>"#
        ))
    }

    pub(crate) fn message(&self, title: &str, text: &str) -> String {
        let content = format!(
            r#"<h1>{title}</h1><p class="lead">{text}</p><p><a href="/">To the front page</a></p>"#
        );
        self.frame("", title, &content)
    }

    fn goods(&self, products: &[&Product]) -> String {
        let mut list = String::from(r#"<ul class="goods">"#);
        for product in products {
            let Product { slug, name, .. } = product;
            let (picture, stock) = (ASSETS.picture(product), self.stock(product));
            let price = product.price();
            list.push_str(&format!(r#"
<li><img src="{picture}" alt="" width="320" height="240" loading="lazy"><div><h2><a href="/products/{slug}">{name}</a></h2><p class="row"><span class="price">{price}</span>{stock}</p></div></li>"#
            ));
        }
        list.push_str("</ul>");
        list
    }

    fn stock(&self, product: &Product) -> String {
        let stock = product.stock(stock_count(self.now));
        let class = if stock < 5 { "stock low" } else { "stock" };
        format!(r#"<span class="{class}">{stock} left</span>"#)
    }

    fn frame(&self, here: &str, title: &str, content: &str) -> String {
        let (style, script) = (&ASSETS.style, &ASSETS.script);
        let origin = Text(self.origin);
        let machine = machine_time(self.now);
        let clock = machine.get(11..19).unwrap_or_default();
        let links: String = [
            ("/", "Everything"),
            ("/slow", "A slow page"),
            ("/cart", "Cart"),
            ("/signup", "Sign up"),
            ("/account", "Account"),
        ]
        .iter()
        .map(|(place, name)| {
            let current = if *place == here { r#" aria-current="page""# } else { "" };
            format!(r#"<li><a href="{place}"{current}>{name}</a></li>"#)
        })
        .collect();
        format!(
            r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title} · Weir &amp; Sons</title><link rel="stylesheet" href="{style}">
<script src="{script}" defer></script></head>
<body><a class="skip" href="#content">To the content</a>
<header><div class="wide"><a class="brand" href="/">Weir <span>&amp;</span> Sons</a>
<nav aria-label="Shop"><ul>{links}</ul></nav>
<form action="/search" role="search"><input type="search" name="q" aria-label="Search the shop" required maxlength="80"><button>Search</button></form></div></header>
<main id="content" class="wide" tabindex="-1">{content}</main>
<footer><div class="wide"><p id="made">Made by origin <b class="badge">{origin}</b> at <time datetime="{machine}">{clock} UTC</time>, <b id="age">some time ago</b></p>
<p>Cache-Status: <span id="verdict">…</span></p></div></footer></body></html>
"##
        )
    }
}

/// The sign-up form as it stands.
#[derive(Debug)]
pub(crate) struct SignUp<'a> {
    pub(crate) token: &'a str,
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) problem: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        let page = Maker { origin: "a", now: UNIX_EPOCH }.search("<script>\"'&");
        assert!(page.contains("&lt;script&gt;&quot;&#39;&amp;"));
        assert!(!page.contains("<script>\""));
    }
}
