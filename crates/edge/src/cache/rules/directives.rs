//! Cache directives of requests and answers (RFC 9111 §5.2).
//!
//! Lenient in what is read, safe in what is made of it: a permission that does not parse is no
//! permission, a restriction that does not parse is the full restriction. Where a directive stands
//! twice, the smaller number counts (§4.2.1 wants the first or "stale"; the smaller is never more than
//! the first). A number that is none counts as 0, one that overflows as [`DELTA_MAX`].

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

/// What an overflowing `delta-seconds` stands for (RFC 9111 §1.2.2): 68 years.
pub const DELTA_MAX: u32 = 1 << 31;

/// How far `no-cache` or `private` reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// The directive is not there.
    #[default]
    Absent,
    /// Only these fields.
    Fields(Vec<HeaderName>),
    /// The whole answer.
    Whole,
}

/// Directives of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one directive, there or not")]
pub struct AnswerDirectives {
    /// `max-age`.
    pub max_age: Option<u32>,
    /// `s-maxage`.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate` (RFC 5861 §3).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<u32>,
    /// `no-cache`.
    pub no_cache: Scope,
    /// `private`.
    pub private: Scope,
    /// `no-store`.
    pub no_store: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `no-transform`: nothing is compressed.
    pub no_transform: bool,
}

impl AnswerDirectives {
    /// Reads every `Cache-Control` line.
    pub fn of(fields: &HeaderMap) -> AnswerDirectives {
        let mut read = AnswerDirectives::default();
        for line in fields.get_all(CACHE_CONTROL) {
            read.add_line(line.as_bytes());
        }
        read
    }

    /// Reads one line more.
    pub fn add_line(&mut self, line: &[u8]) {
        for directive in directives(line) {
            self.add(&directive);
        }
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let is = |name: &str| directive.name.eq_ignore_ascii_case(name.as_bytes());
        if is("max-age") {
            lower(&mut self.max_age, directive.delta());
        } else if is("s-maxage") {
            lower(&mut self.s_maxage, directive.delta());
        } else if is("stale-while-revalidate") {
            lower(&mut self.stale_while_revalidate, directive.delta());
        } else if is("stale-if-error") {
            lower(&mut self.stale_if_error, directive.delta());
        } else if is("no-cache") {
            self.no_cache.widen(directive.scope());
        } else if is("private") {
            self.private.widen(directive.scope());
        } else if is("no-store") {
            self.no_store = true;
        } else if is("public") {
            self.public = true;
        } else if is("must-revalidate") {
            self.must_revalidate = true;
        } else if is("proxy-revalidate") {
            self.proxy_revalidate = true;
        } else if is("must-understand") {
            self.must_understand = true;
        } else if is("immutable") {
            self.immutable = true;
        } else if is("no-transform") {
            self.no_transform = true;
        }
    }
}

/// Directives of a request (RFC 9111 §5.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestDirectives {
    /// `max-age`.
    pub max_age: Option<u32>,
    /// `min-fresh`.
    pub min_fresh: Option<u32>,
    /// `max-stale`; without a number it is [`u32::MAX`].
    pub max_stale: Option<u32>,
    /// `no-cache`, or `Pragma: no-cache` where there is no `Cache-Control` (§5.4).
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// Reads `Cache-Control`, or `Pragma` where that is absent.
    pub fn of(fields: &HeaderMap) -> RequestDirectives {
        let mut read = RequestDirectives::default();
        // Most requests have neither: one look at the names costs less than two searches.
        if !fields.keys().any(|name| *name == CACHE_CONTROL || *name == PRAGMA) {
            return read;
        }
        let mut lines = fields.get_all(CACHE_CONTROL).iter().peekable();
        if lines.peek().is_none() {
            read.no_cache = fields
                .get_all(PRAGMA)
                .iter()
                .flat_map(|line| directives(line.as_bytes()))
                .any(|directive| directive.name.eq_ignore_ascii_case(b"no-cache"));
        }
        for directive in lines.flat_map(|line| directives(line.as_bytes())) {
            read.add(&directive);
        }
        read
    }

    fn add(&mut self, directive: &Directive<'_>) {
        let is = |name: &str| directive.name.eq_ignore_ascii_case(name.as_bytes());
        if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        } else if is("max-age") {
            lower(&mut self.max_age, directive.delta());
        } else if is("min-fresh") {
            // The larger is the stricter one here.
            self.min_fresh = self.min_fresh.max(Some(directive.delta()));
        } else if is("max-stale") {
            let any = directive.argument.is_none();
            lower(&mut self.max_stale, if any { u32::MAX } else { directive.delta() });
        }
    }
}

/// One directive as it stands in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directive<'a> {
    /// Name, in the case in which it came.
    pub name: &'a [u8],
    /// What follows `=`, quotes included.
    pub argument: Option<&'a [u8]>,
}

impl Directive<'_> {
    /// The argument as `delta-seconds`, token or quoted (§5.2); 0 if it is none.
    pub fn delta(&self) -> u32 {
        let argument = self.argument.unwrap_or_default();
        delta_seconds(unquoted(argument).unwrap_or(argument)).unwrap_or(0)
    }

    fn scope(&self) -> Scope {
        match self.argument {
            None => Scope::Whole,
            Some(argument) => field_names(unquoted(argument).unwrap_or(argument)),
        }
    }
}

/// Splits one line into its directives. A quote that never closes hides nothing: it is an ordinary
/// character, and the comma behind it separates.
pub fn directives(line: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    members(line).map(|member| {
        let mut halves = member.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        let argument = halves.next();
        // Space around `=` is not allowed: the name still counts, its number does not.
        let argument =
            if name.trim_ascii().len() == name.len() { argument } else { Some(&b" "[..]) };
        Directive { name: name.trim_ascii(), argument }
    })
}

/// Members of a comma-separated list, trimmed, empty ones left out, commas in quotes respected.
pub fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    let mut quotes = Quotes::Close;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let end = member_end(rest, &mut quotes);
            let member = rest.get(..end)?.trim_ascii();
            rest = rest.get(end + 1..).unwrap_or_default();
            if !member.is_empty() {
                return Some(member);
            }
        }
    })
}

/// `1*DIGIT`, capped at [`DELTA_MAX`].
pub fn delta_seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(u64::from(DELTA_MAX))
    });
    u32::try_from(value).ok()
}

/// Field names in the argument of `no-cache` and `private`; anything else in it means all of them.
pub fn field_names(list: &[u8]) -> Scope {
    let mut names = Vec::new();
    for member in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        match HeaderName::from_bytes(member) {
            Ok(name) => names.push(name),
            Err(_) if member.is_empty() => {}
            Err(_) => return Scope::Whole,
        }
    }
    if names.is_empty() { Scope::Whole } else { Scope::Fields(names) }
}

impl Scope {
    /// Joins two occurrences: the wider one holds.
    pub fn widen(&mut self, other: Scope) {
        *self = match (std::mem::take(self), other) {
            (Scope::Absent, scope) | (scope, Scope::Absent) => scope,
            (Scope::Fields(mut names), Scope::Fields(more)) => {
                names.extend(more);
                Scope::Fields(names)
            }
            _ => Scope::Whole,
        };
    }

    /// The fields it is limited to.
    pub fn names(&self) -> &[HeaderName] {
        match self {
            Scope::Fields(names) => names,
            Scope::Absent | Scope::Whole => &[],
        }
    }
}

fn lower(slot: &mut Option<u32>, value: u32) {
    *slot = Some(slot.map_or(value, |old| old.min(value)));
}

fn unquoted(argument: &[u8]) -> Option<&[u8]> {
    argument.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Whether the quotes ahead can still close. One that does not close means that no later one does: every
/// quote behind it is escaped, read from either. To search again at each would take square time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Close,
    StayOpen,
}

fn member_end(rest: &[u8], quotes: &mut Quotes) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        match byte {
            b',' => return at,
            b'"' if *quotes == Quotes::Close => {
                let length = rest.get(at..).and_then(quoted_length);
                if length.is_none() {
                    *quotes = Quotes::StayOpen;
                }
                at += length.unwrap_or(1);
            }
            _ => at += 1,
        }
    }
    rest.len()
}

/// Length of the quoted string at the start, quotes included; `None` if it never closes.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
