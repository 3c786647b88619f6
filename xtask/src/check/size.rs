//! Files that outgrew a reader. (Functions: clippy's `too_many_lines`.)

use super::source::Source;
use super::verdict;

/// A file, the tests at its bottom apart.
const WALL: usize = 500;
/// The door of a room.
const DOOR_WALL: usize = 300;
/// A longer file says why in its first line, which begins like this.
const REASON: &str = "// Long: ";

/// Every file within its wall, or with a reason.
pub(super) fn check(files: &[Source]) -> Result<String, String> {
    let problems: Vec<String> = files.iter().filter_map(problem).collect();
    let longest = files.iter().map(lines).max().unwrap_or_default();
    verdict(&problems, format!("{} files, longest {longest} lines", files.len()))
}

fn problem(file: &Source) -> Option<String> {
    let wall = if file.path.ends_with("/mod.rs") { DOOR_WALL } else { WALL };
    let lines = lines(file);
    let is_fine = lines <= wall || file.text.starts_with(REASON);
    (!is_fine).then(|| {
        let path = &file.path;
        format!("{path}: {lines} lines, at most {wall}: split it by meaning, or begin it with `{REASON}why`")
    })
}

fn lines(file: &Source) -> usize {
    let count = file.text.lines().count();
    let mut pairs = file.text.lines().zip(file.text.lines().skip(1)).enumerate();
    let tests = pairs.find(|(_, (first, second))| {
        *first == "#[cfg(test)]" && second.starts_with("mod ") && second.ends_with('{')
    });
    tests.map_or(count, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, first: &str, lines: usize, tests: usize) -> Source {
        let tests = if tests == 0 {
            String::new()
        } else {
            format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(tests))
        };
        let text = format!("{first}\n{}{tests}", "x\n".repeat(lines - 1));
        Source { path: path.into(), text }
    }

    #[test]
    fn long_files_need_a_reason() {
        assert_eq!(problem(&file("a.rs", "x", 500, 0)), None);
        assert!(problem(&file("a.rs", "x", 501, 0)).is_some());
        assert_eq!(problem(&file("a.rs", "// Long: a table", 900, 0)), None);
        assert!(problem(&file("a/mod.rs", "x", 301, 0)).is_some());
    }

    #[test]
    fn tests_at_the_bottom_do_not_count() {
        assert_eq!(problem(&file("a.rs", "x", 450, 200)), None);
        assert!(problem(&file("a.rs", "x", 501, 1)).is_some());
    }
}
