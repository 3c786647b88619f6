use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::*;

fn of(values: &[&str], audience: Audience) -> String {
    let mut fields = HeaderMap::new();
    for value in values {
        fields.append(LINK, HeaderValue::from_str(value).expect("a field value"));
    }
    String::from_utf8(hinted(&fields, audience)).expect("text")
}

#[test]
fn what_a_browser_loads_early_is_hinted_at() {
    for (value, expected) in [
        ("</a.css>; rel=preload; as=style", "</a.css>; rel=preload; as=style"),
        ("</a.css>;rel=\"preload\" ;as = style", "</a.css>; rel=\"preload\"; as=style"),
        ("<https://cdn.example>; rel=preconnect", "<https://cdn.example>; rel=preconnect"),
        ("</m.js>; rel=modulepreload", "</m.js>; rel=modulepreload"),
        (
            "</a>; REL=\"Next Preload\"; as=fetch; crossorigin",
            "</a>; REL=\"Next Preload\"; as=fetch; crossorigin",
        ),
        (
            "</a,b;c>; rel=preload; title=\"x, \\\"<y>; z\"",
            "</a,b;c>; rel=preload; title=\"x, \\\"<y>; z\"",
        ),
        ("</a>; rel=preload; nonce=\"abc\"; as=script", "</a>; rel=preload; as=script"),
        (",, </a>; rel=preload;;, </b>; rel=preload,", "</a>; rel=preload, </b>; rel=preload"),
    ] {
        assert_eq!(of(&[value], Audience::Everybody), expected, "{value}");
    }
    let both = of(&["</a>; rel=preload", "</n>; rel=next, </b>; rel=preload"], Audience::Everybody);
    assert_eq!(both, "</a>; rel=preload, </b>; rel=preload");
}

#[test]
fn nothing_else_is() {
    for value in [
        "",
        "</a>",
        "</a>; rel=next",
        "</a>; rel=preloaded",
        "</a>; rel=next; rel=preload",
        "</a>; rel=preload; anchor=\"/other\"",
        "</a; rel=preload",
        "/a; rel=preload",
        "</a> rel=preload",
        "</a>; rel=\"preload",
        "</a>; rel=",
    ] {
        assert_eq!(of(&[value], Audience::Everybody), "", "{value}");
    }
}

#[test]
fn of_a_page_that_may_be_for_one_only_what_belongs_to_the_application_is() {
    for value in [
        "</assets/app-5f3a9c0b1d2e.css>; rel=preload; as=style",
        "<https://cdn.example/app-5f3a9c0b1d2e.js>; rel=preload; as=script",
        "</assets/index-DiwrgT3a.js>; rel=modulepreload",
    ] {
        assert_eq!(of(&[value], Audience::MaybeOne), value);
    }
    for value in [
        "</app.css>; rel=preload; as=style",
        "</users/42/style>; rel=preload; as=style",
        "</me-5f3a9c0b1d2e.png>; rel=preload; as=image",
        "</data-5f3a9c0b1d2e.json>; rel=preload; as=fetch",
        "</app-5f3a9c0b1d2e.css?user=42>; rel=preload; as=style",
        "</app.css?app-5f3a9c0b1d2e.css>; rel=preload; as=style",
        "</app-5f3a9c0b1d2e.css>; rel=preload",
        "<https://user-42.example>; rel=preconnect",
    ] {
        assert_eq!(of(&[value], Audience::MaybeOne), "", "{value}");
    }
}

#[test]
fn number_and_bytes_are_bounded() {
    let many = "</a>; rel=preload, ".repeat(10 * MOST_LINKS);
    assert_eq!(of(&[&many], Audience::Everybody).matches("</a>").count(), MOST_LINKS);
    let long = format!("</{}>; rel=preload", "x".repeat(MOST_LINK_BYTES));
    assert_eq!(of(&[&long, "</b>; rel=preload"], Audience::Everybody), "</b>; rel=preload");
}

proptest! {
    /// Whatever an origin writes: no panic, within the bound, and what is written reads the same again.
    #[test]
    fn foreign_values_do_no_harm(value in "[ -~]{0,200}|(<[a-z/.,;]{0,9}>[ ;,a-z=\"\\\\]{0,40}){1,5}") {
        let once = of(&[&value], Audience::Everybody);
        prop_assert!(once.len() <= MOST_LINK_BYTES);
        prop_assert_eq!(of(&[&once], Audience::Everybody), once);
    }
}
