//! `[geo]`: where clients are.

use std::path::PathBuf;

use crate::exchange::Country;

/// `[geo]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Geo {
    /// Databases in the format of `MaxMind`; the first that knows an address decides.
    pub databases: Vec<PathBuf>,
    /// Hosts that are made for one country each.
    pub domains: Vec<(Country, String)>,
}

impl Geo {
    /// The host for `country`, if `host` is one for another.
    pub fn better_domain(
        &self,
        host: &str,
        country: impl FnOnce() -> Option<Country>,
    ) -> Option<&str> {
        if !self.domains.iter().any(|(_, known)| known == host) {
            return None;
        }
        let country = country()?;
        // One host may serve several countries.
        if self.domains.iter().any(|(of, known)| *of == country && known == host) {
            return None;
        }
        let better = self.domains.iter().find(|(of, _)| *of == country);
        better.map(|(_, domain)| domain.as_str())
    }
}
