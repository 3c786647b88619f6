//! Which request goes where.
//!
//! For: choosing one route by scheme, host, path, method, fields, cookies and country, and doing what the route
//! itself does: redirect, fixed answer, new path, edited fields. In: a request's head and the scheme that
//! `admit` has settled. Out: [`Matched`], which route it is and what the route makes of this head. Never:
//! deciding by anything but these, decoding the path (a route for `/admin` sees what the client sent,
//! `%61dmin` is another path), allocating while it looks, or filling a template so that the client
//! chooses the host.
//!
//! The order of the file is the law: the first route that matches decides, whatever its kind.

mod act;
mod draw;
mod expand;
mod index;
mod table;

#[cfg(test)]
mod table_tests;

use http::HeaderName;

pub use act::{edit, edit_answer};
pub use draw::Draw;
pub use table::Table;

use crate::config::route::Route;
use crate::config::template::Template;

/// The route that takes a request.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'t> {
    /// Its position in the settings.
    pub index: usize,
    ready: &'t Ready,
}

/// A route made ready at reload: names parsed, templates compiled.
#[derive(Debug)]
struct Ready {
    route: Route,
    /// The index does not say all that it asks of a request.
    asks_more: bool,
    /// Fields that the request must have.
    fields: Vec<(HeaderName, Option<String>)>,
    rewrite: Option<Template>,
    redirect: Option<Template>,
}

impl<'t> Matched<'t> {
    /// The route.
    pub fn route(&self) -> &'t Route {
        &self.ready.route
    }
}
