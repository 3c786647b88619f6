//! `[[jobs.timetable]]`.

use forebay_edge::config::file::{Given, Reader, Section, SetBy, Setting, Wrong, word, written};
use forebay_jobs::job::{DEFAULT_RETRIES, Retry};
use forebay_jobs::timer::{Missed, Timetable};
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use super::reference::TIMETABLE;

/// A timetable, with what was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// What fires.
    pub(crate) timetable: Timetable,
    /// When.
    pub(crate) cron: String,
    /// Where the clock hangs that it goes by.
    pub(crate) zone: String,
}

/// All of them.
pub(super) fn read<'t>(reader: &mut Reader<'t>, section: &Section<'t>) -> Vec<Listed> {
    let Some(given) = section.given("timetable") else {
        reader.note("jobs.timetable".into(), "none".into(), SetBy::Default);
        return Vec::new();
    };
    let mut all: Vec<Listed> = Vec::new();
    for (at, item) in given.items().into_iter().enumerate() {
        let table = &reader.inner(&TIMETABLE, item, &format!("jobs.timetable[{at}]"));
        if !table.is_written() {
            continue;
        }
        let Some(listed) = one(reader, table) else { continue };
        let name = listed.timetable.name();
        if all.iter().any(|it| it.timetable.name() == name) {
            let wrong = Wrong::new(format!("is the name of two: `{name}`"))
                .hint("give each a name of its own: all processes know it by that");
            if let Some(given) = table.given("name") {
                reader.refuse(table, "name", given, wrong);
            }
            continue;
        }
        all.push(listed);
    }
    all
}

fn one<'t>(reader: &mut Reader<'t>, table: &Section<'t>) -> Option<Listed> {
    let mut needed = |key: &'static str, example: &str| {
        let hint = format!("write `{key} = \"{example}\"`");
        if table.given(key).is_none() {
            let wrong = Wrong::new(format!("`{}` has no `{key}`", table.path));
            reader.refuse_section(table, wrong.hint(hint));
            return None;
        }
        let text = reader.get_where(table, key, String::new(), |text: &String| {
            if text.is_empty() { Err(Wrong::new("is empty").hint(hint.as_str())) } else { Ok(()) }
        });
        Some(text).filter(|text| !text.is_empty())
    };
    let name = needed("name", "nightly report");
    let cron = needed("cron", "0 3 * * *");
    let class = needed("class", "Report");
    let zone = reader.get(table, "zone", "UTC".to_owned());
    let args = reader.get(table, "args", Args(Vec::new()));
    let queue = reader.get_where(table, "queue", "default".to_owned(), |queue: &String| {
        if queue.is_empty() { Err(Wrong::new("is empty").hint("name a queue")) } else { Ok(()) }
    });
    let retry = reader.get(table, "retry", Tries(Retry::Times(DEFAULT_RETRIES))).0;
    let missed = reader.get(table, "missed", Late(Missed::default())).0;
    let (name, cron, class) = (name?, cron?, class?);
    match Timetable::new(&name, &cron, &zone) {
        Ok(timetable) => {
            let timetable = timetable.raw(&class, &args.0).queue(&queue).retry(retry);
            Some(Listed { timetable: timetable.missed(missed), cron, zone })
        }
        Err(error) => {
            let is_zone = matches!(error, forebay_jobs::timer::CronError::Zone(_));
            let key = if is_zone { "zone" } else { "cron" };
            let wrong = Wrong::new(format!("cannot be followed: {error}"));
            if let Some(given) = table.given(key) {
                refuse(reader, table, key, given, wrong, is_zone);
            }
            None
        }
    }
}

fn refuse<'t>(
    reader: &mut Reader<'t>,
    table: &Section<'t>,
    key: &'static str,
    given: Given<'t>,
    wrong: Wrong,
    is_zone: bool,
) {
    let hint = if is_zone {
        "write `Europe/Berlin`, `UTC` or another name of the IANA database"
    } else {
        "write `minute hour day month weekday`, such as `30 9 * * mon-fri`"
    };
    reader.refuse(table, key, given, wrong.hint(hint));
}

/// A list of what can be written as JSON.
struct Args(Vec<Json>);

impl Setting for Args {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Args, Wrong> {
        let hint = "write a list, `[7, \"text\"]`: a job's arguments are one";
        let got = written(value.get_ref());
        let list = value.get_ref().as_array();
        let list = list.ok_or_else(|| Wrong::new(format!("is no list: `{got}`")).hint(hint))?;
        list.iter().map(|it| json(it.get_ref())).collect::<Result<_, _>>().map(Args)
    }

    fn show(&self) -> String {
        Json::from(self.0.clone()).to_string()
    }
}

fn json(value: &DeValue<'_>) -> Result<Json, Wrong> {
    let no_number = || {
        Wrong::new(format!("has a number that JSON cannot have: `{}`", written(value)))
            .hint("write it as a text")
    };
    Ok(match value {
        DeValue::String(text) => Json::from(&**text),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Json::from(number.map_err(|_| no_number())?)
        }
        DeValue::Float(number) => {
            let number: f64 = number.as_str().parse().map_err(|_| no_number())?;
            Json::Number(serde_json::Number::from_f64(number).ok_or_else(no_number)?)
        }
        DeValue::Boolean(truth) => Json::from(*truth),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(items) => {
            Json::Array(items.iter().map(|it| json(it.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let entry =
                |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
                    json(value.get_ref()).map(|value| (key.get_ref().to_string(), value))
                };
            Json::Object(table.iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}

/// A number of times, or whether at all.
struct Tries(Retry);

impl Setting for Tries {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Tries, Wrong> {
        if let Some(is_tried) = value.get_ref().as_bool() {
            let times = if is_tried { Retry::Times(DEFAULT_RETRIES) } else { Retry::Never };
            return Ok(Tries(times));
        }
        u32::read(value).map(|times| Tries(Retry::Times(times))).map_err(|_| {
            Wrong::new(format!("is no number of times: `{}`", written(value.get_ref())))
                .hint("write a number, `true` for 25 times, or `false` for never")
        })
    }

    fn show(&self) -> String {
        match self.0 {
            Retry::Times(DEFAULT_RETRIES) | Retry::AsClass => "true".into(),
            Retry::Times(times) => times.to_string(),
            Retry::Never => "false".into(),
        }
    }
}

/// What becomes of ticks while no worker ran.
struct Late(Missed);

const MISSED: [(&str, Missed); 2] = [("latest", Missed::Latest), ("skip", Missed::Skip)];

impl Setting for Late {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Late, Wrong> {
        word(value, &MISSED).map(Late)
    }

    fn show(&self) -> String {
        let name = MISSED.iter().find(|(_, missed)| *missed == self.0);
        name.map_or("latest", |(name, _)| name).to_owned().show()
    }
}
