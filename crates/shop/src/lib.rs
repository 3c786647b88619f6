//! A small real shop: pages, fingerprinted assets, a JSON API, forms, a slow page, private pages.
//!
//! The demo and the tests put it behind the edge. It keeps no state of its own: whatever belongs to
//! a visitor is in that visitor's cookies, so that any number of it can stand side by side. Every
//! page says which origin made it and when, so that an eye can tell a cache hit from a miss.

#![expect(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a page is text made a few times a second: plain to read comes before allocations"
)]

mod answer;
mod assets;
mod catalog;
mod events;
mod form;
mod page;
mod picture;
mod routes;
mod server;
pub mod traffic;
mod visitor;

pub use assets::write_assets;
pub use server::serve;
