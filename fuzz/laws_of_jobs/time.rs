//! Times: what a field holds, and when a timetable fires.

use forebay_jobs::time::{Form, Moment};
use forebay_jobs::timer::Cron;

/// What is read of a field is written in both forms and read again, to the millisecond at least.
pub(crate) fn moment(bytes: &[u8]) {
    let Ok(value) = serde_json::from_slice(bytes) else { return };
    let Some(moment) = Moment::read(&value) else { return };
    // Milliseconds of before 1973 look like seconds; of far ahead a float does not tell one from the next.
    if !(100_000_000_000_000..9_000_000_000_000_000).contains(&moment.as_micros()) {
        return;
    }
    for (form, most) in [(Form::FloatSeconds, 2), (Form::IntegerMilliseconds, 1_000)] {
        let json = moment.to_json(form);
        let written = serde_json::from_str(&json).expect("it is JSON");
        let again = Moment::read(&written).expect("what we write we read");
        assert!((again.as_micros() - moment.as_micros()).abs() <= most, "{json}");
    }
}

/// The first line is a zone, the rest an expression. What fires does so later than it is asked for, at a tick
/// that is found again from before it, and soon known.
pub(crate) fn cron(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((zone, expression)) = text.split_once('\n') else { return };
    let Ok(cron) = Cron::parse(expression, zone) else { return };
    let mut moment = Moment::from_micros(1_795_436_293_752_779);
    for _ in 0..5 {
        let Some(next) = cron.after(moment) else { return };
        assert!(next > moment);
        assert_eq!(cron.latest(moment, next), Some(next));
        moment = next;
    }
}
