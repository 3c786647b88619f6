//! A route with what belongs to it, ready for use.

use std::borrow::Cow;
use std::sync::Arc;

use http::HeaderMap;

use crate::admit::{Checks, Meter, Rates, Users};
use crate::cache::key::{KeySource, primary_key, write_arm, write_country, write_route};
use crate::cache::safety;
use crate::config::policy::Policy;
use crate::config::route::{Action, Files, Route};
use crate::doorman::{Doorman, Doormen};
use crate::edge::Snapshot;
use crate::exchange::{Country, Head, Scheme};
use crate::files::Folder;
use crate::geo::ShownPlace;
use crate::mirror::Mirror;
use crate::origin::{Origins, Upstream};
use crate::route::Draw;
use crate::split::Arms;
use crate::traffic::{RouteTraffic, Traffic};

/// A route ready for use.
#[derive(Debug)]
pub struct Site {
    /// The route.
    pub route: Route,
    /// Its application, if it forwards.
    pub upstream: Option<Arc<Upstream>>,
    /// Its folder, if it serves files.
    pub folder: Option<Arc<Folder>>,
    /// Folders whose files its application may name, by prefix.
    pub sendfile: Vec<(String, Folder)>,
    /// How often clients may ask.
    pub meters: Vec<Arc<Meter>>,
    /// Its counters.
    pub traffic: Arc<RouteTraffic>,
    /// Who may use it.
    pub users: Option<Users>,
    /// Who says whether a request may come in.
    pub doorman: Option<Arc<Doorman>>,
    /// What its origin is shown of a client is not all in its keys: nothing of it is stored.
    pub is_personal: bool,
    /// Who gets copies of what its origin is asked.
    pub mirror: Option<Arc<Mirror>>,
    /// Its arms, if it is split.
    pub arms: Option<Box<Arms>>,
    /// The origin, if this is an arm that must not share the route's stored answers.
    pub keyed_arm: Option<String>,
}

impl Site {
    /// The route's policy, if it names one.
    pub fn policy(&self) -> Option<&Policy> {
        self.route.policy.as_deref()
    }

    /// What the key of a request is made of. A file is the same whatever the query says.
    pub fn key_source<'a>(&self, scheme: Scheme, head: &'a Head) -> KeySource<'a> {
        let query = head.uri.query().filter(|_| self.folder.is_none());
        let (path, authority) = (head.uri.path(), head.authority.as_str());
        KeySource { scheme, authority, path, query, fields: &head.fields }
    }

    /// Writes the primary key, with what two sites must not share of one URL. Returns what of the query the
    /// origin is shown, and what of the client's place.
    pub fn write_key<'a>(
        &self,
        source: KeySource<'a>,
        country: impl Fn() -> Option<Country>,
        key: &mut Vec<u8>,
    ) -> (Option<Cow<'a, str>>, ShownPlace) {
        let query = primary_key(source, self.policy(), key);
        if let Some(name) = self.route.keyed_name() {
            write_route(name, key);
        }
        if let Some(origin) = &self.keyed_arm {
            write_arm(origin, key);
        }
        if !self.policy().is_some_and(|policy| policy.key.by_country) {
            return (query, ShownPlace::Nothing);
        }
        let country = country();
        write_country(country, key);
        (query, ShownPlace::Country(country))
    }

    /// Fields of a request that its origin is shown when the answer may be stored; a folder is shown none.
    pub fn shown(&self, fields: &HeaderMap) -> HeaderMap {
        match &self.folder {
            Some(_) => HeaderMap::new(),
            None => safety::forwarded_fields(fields, self.policy()),
        }
    }

    /// A route ready for use.
    pub(crate) fn new(route: &Route, shared: &Shared<'_>) -> Arc<Site> {
        let Shared { origins, rates, doormen, traffic, checks, before } = *shared;
        let doorman = route.forward_auth.as_ref().and_then(|auth| doormen.find(&auth.name));
        let known = before.and_then(|before| before.site(&route.name));
        let mirror = Mirror::of(route, origins, known.and_then(|site| site.mirror.as_deref()));
        let meters = route.rates.iter().filter_map(|rate| rates.find(&rate.name).cloned());
        let meters: Vec<Arc<Meter>> = meters.collect();
        let own = match &route.action {
            Action::Forward(name) => name.as_str(),
            Action::Files(_) | Action::Redirect(..) | Action::Fixed(..) => "",
        };
        let folder = match &route.action {
            Action::Files(files) => Some(Arc::new(Folder::new(files.clone()))),
            Action::Forward(_) | Action::Redirect(..) | Action::Fixed(..) => None,
        };
        let sendfile = || {
            let folders = route.sendfile.iter().map(|(prefix, folder)| {
                let files = Files { index: None, ..Files::below(folder) };
                (prefix.clone(), Folder::new(files))
            });
            folders.collect()
        };
        let arm = |origin: &str| {
            Arc::new(Site {
                route: route.clone(),
                upstream: origins.find(origin),
                folder: None,
                sendfile: sendfile(),
                meters: Vec::new(),
                traffic: traffic.of_arm(&route.name, origin),
                users: None,
                doorman: doorman.cloned(),
                is_personal: is_personal(route),
                mirror: mirror.clone(),
                arms: None,
                // What is stored for the route's own origin stays good when a split begins and ends.
                keyed_arm: (origin != own).then(|| origin.to_owned()),
            })
        };
        let arms = route.split.as_ref().map(|split| {
            let others = split.shares.iter().map(|(origin, _)| origin.as_str());
            let sites = std::iter::once(own).chain(others).map(arm).collect();
            Box::new(Arms { draw: Draw::new(own, split), sticky: split.sticky.clone(), sites })
        });
        Arc::new(Site {
            route: route.clone(),
            upstream: origins.find(own),
            folder,
            sendfile: sendfile(),
            meters,
            traffic: traffic.of(&route.name),
            users: route.basic_auth.as_ref().map(|settings| Users::new(settings, checks)),
            doorman: doorman.cloned(),
            is_personal: is_personal(route),
            arms,
            mirror,
            keyed_arm: None,
        })
    }
}

/// What sites of one snapshot share.
pub(crate) struct Shared<'s> {
    pub(crate) origins: &'s Origins,
    pub(crate) rates: &'s Rates,
    pub(crate) doormen: &'s Doormen,
    pub(crate) traffic: &'s Traffic,
    pub(crate) checks: &'s Arc<Checks>,
    pub(crate) before: Option<&'s Snapshot>,
}

/// The application is shown whose request it is, and no policy has that in its key. Without a policy it is
/// shown every field that `forward_auth` looks at, too. A folder is shown nothing.
fn is_personal(route: &Route) -> bool {
    let (Some(auth), Action::Forward(_)) = (&route.forward_auth, &route.action) else {
        return false;
    };
    let is_keyed = |policy: &Policy| auth.take.iter().all(|name| policy.key.fields.contains(name));
    !route.policy.as_deref().is_some_and(is_keyed)
}
