//! Walks the documents key by key, remembers where each value came from, and gathers what is wrong.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Lines, Problem, Problems, Wrong, list, place, suggest};
use super::reference::{SECTIONS, Section as Doc};
use super::setting::{Setting, written};
use super::{Layer, Machine, SetBy, Source, Value};

/// A layer, parsed.
pub(super) struct Document<'t> {
    source: &'t Source,
    text: &'t str,
    lines: Lines,
    root: DeTable<'t>,
}

/// One table of one document.
#[derive(Clone, Copy)]
pub(super) struct Table<'t> {
    document: &'t Document<'t>,
    keys: &'t DeTable<'t>,
    at: usize,
}

/// A section: the tables that speak about it, the strongest first.
pub struct Section<'t> {
    doc: &'static Doc,
    /// `listen`, `route.NAME`.
    pub path: String,
    tables: Vec<Table<'t>>,
}

/// Reads sections.
pub struct Reader<'t> {
    documents: &'t [Document<'t>],
    pub(super) machine: &'t Machine<'t>,
    /// With layer and byte, so that they can be told in the order of the text.
    problems: Vec<((usize, usize), Problem)>,
    values: Vec<Value>,
}

/// A value as it was written.
#[derive(Clone, Copy)]
pub struct Given<'t> {
    document: &'t Document<'t>,
    /// The value.
    pub value: &'t Spanned<DeValue<'t>>,
}

/// Parses every layer; syntax errors are reported alone, what follows from them would be noise.
pub(super) fn parse(layers: &[Layer]) -> Result<Vec<Document<'_>>, Problems> {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for Layer { source, text } in layers {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            let text_of = error.message().trim().replace('\n', ", ");
            let hint = Some("the file is TOML, see https://toml.io".to_owned());
            let place = place(source, text, at);
            problems.push(Problem { place, text: format!("not valid TOML: {text_of}"), hint });
        }
        documents.push(Document { source, text, lines: Lines::of(text), root: root.into_inner() });
    }
    if problems.is_empty() { Ok(documents) } else { Err(Problems(problems)) }
}

impl<'t> Reader<'t> {
    pub(super) fn new(documents: &'t [Document<'t>], machine: &'t Machine<'t>) -> Reader<'t> {
        Reader { documents, machine, problems: Vec::new(), values: Vec::new() }
    }

    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Value>) {
        self.problems.sort_by_key(|(at, _)| *at);
        (self.problems.into_iter().map(|(_, problem)| problem).collect(), self.values)
    }

    /// True while nothing is wrong: what only follows from another problem would be noise.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// Complains about sections that are none: neither ours nor among those `beside` ours.
    pub(super) fn check_sections(&mut self, beside: &[&'static Doc]) {
        let all = SECTIONS.iter().chain(beside);
        let names = all.map(|s| s.name).filter(|name| !name.contains('.'));
        for document in self.documents {
            for (key, _) in &document.root {
                if !names.clone().any(|name| name == key.get_ref().as_ref()) {
                    let wrong = Wrong::new(format!("unknown section `{}`", key.get_ref()))
                        .hint(suggest(key.get_ref(), names.clone()));
                    self.complain(document, key.span().start, wrong);
                }
            }
        }
    }

    /// True if somebody wrote this section, whatever is in it.
    pub fn has(&self, doc: &'static Doc) -> bool {
        self.documents.iter().any(|document| document.root.contains_key(doc.name))
    }

    /// True if a file has this section: flags and variables alone do not ask for what it is about.
    pub fn is_in_a_file(&self, doc: &'static Doc) -> bool {
        let is_file = |document: &&Document<'_>| matches!(document.source, Source::File(_));
        self.documents.iter().filter(is_file).any(|it| it.root.contains_key(doc.name))
    }

    /// A section that stands once: `[listen]`.
    pub fn section(&mut self, doc: &'static Doc) -> Section<'t> {
        let mut tables = Vec::new();
        for document in self.documents {
            let Some(value) = document.root.get(doc.name) else { continue };
            tables.extend(self.table(document, value, doc));
        }
        Section { doc, path: doc.name.to_owned(), tables }
    }

    /// Sections that stand any number of times: `[[route]]`; the documents in order of strength.
    pub(super) fn list(&mut self, doc: &'static Doc) -> Vec<Table<'t>> {
        let mut tables = Vec::new();
        for document in self.documents {
            let Some(value) = document.root.get(doc.name) else { continue };
            let Some(items) = value.get_ref().as_array() else {
                let wrong = Wrong::new(format!("`{}` is a list of tables", doc.name))
                    .hint(format!("write `[[{}]]` with two brackets", doc.name));
                self.complain(document, value.span().start, wrong);
                continue;
            };
            for item in items {
                tables.extend(self.table(document, item, doc));
            }
        }
        tables
    }

    /// Sections that have a name each: `[policy.NAME]`.
    pub(super) fn named(&mut self, doc: &'static Doc) -> Vec<(&'t str, Section<'t>)> {
        let mut sections = Vec::new();
        for document in self.documents {
            let Some(value) = document.root.get(doc.name) else { continue };
            let Some(names) = value.get_ref().as_table() else {
                let wrong = Wrong::new(format!("`{}` is not a table", doc.name))
                    .hint(format!("write `[{}.NAME]`", doc.name));
                self.complain(document, value.span().start, wrong);
                continue;
            };
            for (name, value) in names {
                let path = format!("{}.{}", doc.name, name.get_ref());
                let tables = self.table(document, value, doc).into_iter().collect();
                sections.push((name.get_ref().as_ref(), Section { doc, path, tables }));
            }
        }
        sections
    }

    /// A table as value of a key: `probe = { … }`.
    pub fn inner(&mut self, doc: &'static Doc, given: Given<'t>, path: &str) -> Section<'t> {
        let tables = self.table(given.document, given.value, doc).into_iter().collect();
        Section { doc, path: path.to_owned(), tables }
    }

    /// A table within a section that stands once, `[jobs.http]`: what all layers say of it.
    pub fn within(
        &mut self,
        section: &Section<'t>,
        key: &'static str,
        doc: &'static Doc,
    ) -> Section<'t> {
        let path = format!("{}.{key}", section.path);
        let mut tables = Vec::new();
        for table in &section.tables {
            let Some(value) = table.keys.get(key) else { continue };
            tables.extend(self.table(table.document, value, doc));
        }
        Section { doc, path, tables }
    }

    fn table(
        &mut self,
        document: &'t Document<'t>,
        value: &'t Spanned<DeValue<'t>>,
        doc: &'static Doc,
    ) -> Option<Table<'t>> {
        let Some(keys) = value.get_ref().as_table() else {
            let wrong = Wrong::new(format!("`{}` is not a table", doc.name))
                .hint(format!("it has the keys {}", list(doc.keys.iter().map(|k| k.name))));
            self.complain(document, value.span().start, wrong);
            return None;
        };
        for (key, _) in keys {
            let name = key.get_ref().as_ref();
            if !doc.keys.iter().any(|known| known.name == name) {
                let wrong = Wrong::new(format!("unknown key `{name}` in `{}`", doc.name))
                    .hint(suggest(name, doc.keys.iter().map(|known| known.name)));
                self.complain(document, key.span().start, wrong);
            }
        }
        Some(Table { document, keys, at: value.span().start })
    }

    /// A value, checked, or its default.
    pub fn get<T: Setting>(&mut self, section: &Section<'t>, key: &'static str, default: T) -> T {
        self.get_where(section, key, default, |_| Ok(()))
    }

    /// A value with a check of its own.
    pub fn get_where<T: Setting>(
        &mut self,
        section: &Section<'t>,
        key: &'static str,
        default: T,
        check: impl Fn(&T) -> Result<(), Wrong>,
    ) -> T {
        self.get_or(section, key, default, SetBy::Default, check)
    }

    /// A value whose default comes from somewhere else than the program.
    pub fn get_or<T: Setting>(
        &mut self,
        section: &Section<'t>,
        key: &'static str,
        default: T,
        set_by: SetBy,
        check: impl Fn(&T) -> Result<(), Wrong>,
    ) -> T {
        let Some(given) = section.given(key) else {
            self.note(format!("{}.{key}", section.path), default.show(), set_by);
            return default;
        };
        let read = T::read(given.value).and_then(|value| check(&value).map(|()| value));
        match read {
            Ok(value) => {
                self.note_given(section, key, given);
                value
            }
            Err(wrong) => {
                self.refuse(section, key, given, wrong);
                default
            }
        }
    }

    /// A table whose keys are names of the operator's own: the value, and its entries. Without one, `None`.
    pub fn entries(
        &mut self,
        section: &Section<'t>,
        key: &'static str,
        hint: &str,
    ) -> Option<(Given<'t>, Vec<Entry<'t>>)> {
        let Some(given) = section.given(key) else {
            self.note(format!("{}.{key}", section.path), "{}".into(), SetBy::Default);
            return None;
        };
        self.note_given(section, key, given);
        let entries = given.entries();
        if entries.is_none() {
            let got = written(given.value.get_ref());
            let wrong = Wrong::new(format!("is not a table: `{got}`")).hint(hint);
            self.refuse(section, key, given, wrong);
        }
        entries.map(|entries| (given, entries))
    }

    /// Remembers a value and its origin.
    pub fn note(&mut self, key: String, text: String, set_by: SetBy) {
        self.values.push(Value { key, text, set_by });
    }

    /// Remembers a value as it was written.
    pub fn note_given(&mut self, section: &Section<'t>, key: &str, given: Given<'t>) {
        let written = given.document.text.get(given.value.span()).unwrap_or("");
        let text = written.split_whitespace().collect::<Vec<_>>().join(" ");
        self.note(format!("{}.{key}", section.path), text, given.set_by());
    }

    /// Complains about a value: ``PLACE: `section.key` is not …``.
    pub fn refuse(&mut self, section: &Section<'t>, key: &str, given: Given<'t>, wrong: Wrong) {
        let Wrong { text, hint, at, more } = wrong;
        let text = format!("`{}.{key}` {text}", section.path);
        let start = at.unwrap_or(given.value.span().start);
        self.complain(given.document, start, Wrong { hint, ..Wrong::new(text) });
        for wrong in more {
            self.refuse(section, key, given, wrong);
        }
    }

    /// Complains about a section as a whole; without a table nobody wrote it and there is no place.
    pub fn refuse_section(&mut self, section: &Section<'t>, wrong: Wrong) {
        match section.tables.first() {
            Some(table) => self.complain(table.document, table.at, wrong),
            None => self.refuse_all(wrong),
        }
    }

    /// Complains about the settings as a whole.
    pub fn refuse_all(&mut self, wrong: Wrong) {
        let problem = Problem { place: String::new(), text: wrong.text, hint: wrong.hint };
        self.problems.push(((usize::MAX, 0), problem));
    }

    fn complain(&mut self, document: &Document<'_>, at: usize, wrong: Wrong) {
        let place = place(document.source, document.text, at);
        let layer = self.documents.iter().position(|known| std::ptr::eq(known, document));
        let problem = Problem { place, text: wrong.text, hint: wrong.hint };
        self.problems.push(((layer.unwrap_or(usize::MAX), at), problem));
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// The machine does not give it.
    pub fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        (self.machine.read)(path)
    }

    /// A path of the file starts at the file's folder; one of a flag where the program was started.
    pub fn path(&self, given: Given<'t>, path: &Path) -> PathBuf {
        match given.document.source {
            Source::File(_) => self.machine.folder.join(path),
            Source::Flag(_) | Source::Variable(_) => path.to_owned(),
        }
    }
}

impl<'t> Section<'t> {
    /// Puts tables together; a stronger one adds to a weaker one and overrides it.
    pub(super) fn of(doc: &'static Doc, path: impl Into<String>, tables: Vec<Table<'t>>) -> Self {
        Section { doc, path: path.into(), tables }
    }

    /// The value of a key as it was written.
    pub fn given(&self, key: &'static str) -> Option<Given<'t>> {
        debug_assert!(
            self.doc.keys.iter().any(|known| known.name == key),
            "`{}.{key}` is missing in the reference",
            self.doc.name
        );
        self.tables.iter().find_map(|table| {
            let value = table.keys.get(key)?;
            Some(Given { document: table.document, value })
        })
    }

    /// Place of the section for other complaints: `forebay.toml:12`.
    pub(super) fn line(&self) -> Option<String> {
        let table = self.tables.first()?;
        let line = table.document.lines.line(table.at);
        match table.document.source {
            Source::File(file) => Some(format!("{file}:{line}")),
            Source::Flag(name) | Source::Variable(name) => Some((*name).to_owned()),
        }
    }

    /// True if somebody wrote it.
    pub fn is_written(&self) -> bool {
        !self.tables.is_empty()
    }
}

impl<'t> Table<'t> {
    /// Its `name`, if it has one that is a text.
    pub(super) fn name(&self) -> Option<&'t str> {
        self.keys.get("name")?.get_ref().as_str()
    }

    /// True if both stand in the same layer.
    pub(super) fn is_beside(&self, other: &Table<'t>) -> bool {
        std::ptr::eq(self.document, other.document)
    }
}

/// A key of a table, where it stands, and its value.
pub type Entry<'t> = (&'t str, usize, Given<'t>);

impl<'t> Given<'t> {
    /// Who wrote it.
    pub fn set_by(self) -> SetBy {
        match self.document.source {
            Source::Flag(flag) => SetBy::Flag(flag),
            Source::Variable(name) => SetBy::Variable(name),
            Source::File(file) => {
                SetBy::File(file.clone(), self.document.lines.line(self.value.span().start))
            }
        }
    }

    /// The items of a list; one value alone is a list of one.
    pub fn items(self) -> Vec<Given<'t>> {
        match self.value.get_ref().as_array() {
            Some(items) => items.iter().map(|value| Given { value, ..self }).collect(),
            None => vec![self],
        }
    }

    /// Keys and values of a table.
    pub fn entries(self) -> Option<Vec<Entry<'t>>> {
        let table = self.value.get_ref().as_table()?;
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<DeValue<'t>>)| {
            let name: &'t std::borrow::Cow<'t, str> = key.get_ref();
            (name.as_ref(), key.span().start, Given { value, ..self })
        };
        Some(table.iter().map(entry).collect())
    }
}
