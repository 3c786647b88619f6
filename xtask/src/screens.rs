//! `cargo xtask screens`: the pictures of the documents, taken from the running demo. Not for CI: a picture
//! holds times and counts, so it never comes out twice the same.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forebay_signals::clock;
use serde_json::Value;

use crate::cargo::{cargo, metadata, root};
use crate::steps::{self, Steps};
use crate::{Outcome, check};

/// Where the pictures lie, from the root.
const IMAGES: &str = "docs/images";
/// Largest picture: they are in the repository for ever.
const MOST_BYTES: u64 = 150 * 1024;
/// The second origin of the demo goes away after twenty seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// By the names of Debian, Ubuntu and others.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Starts the demo and takes every picture.
pub(crate) fn run() -> Outcome {
    let browser = browser()?;
    steps::run(&mut cargo(&["build", "--package", "forebay"]))?;
    let target = metadata()?.target;
    let demo = Demo::start(&target.join("debug").join("forebay"))?;
    let images = root().join(IMAGES);
    fs::create_dir_all(&images).map_err(|error| error.to_string())?;
    let mut steps = Steps::begin("screens");
    steps.step("shop", || take(browser, &demo.address, "1000,760", &images.join("shop.png")));
    steps.step("status", || {
        let text = demo.status_while_one_is_away()?;
        let html = target.join("status.html");
        fs::write(&html, terminal(&text)).map_err(|error| error.to_string())?;
        let lines = text.lines().count();
        let size = format!("{},{}", width(&text) * 8 + 48, lines * 18 + 48);
        take(browser, &format!("file://{}", html.display()), &size, &images.join("status.png"))
    });
    steps.end()
}

fn browser() -> Result<&'static str, String> {
    let is_there = |name: &&&str| steps::output(Command::new(name).arg("--version")).is_ok();
    let found = BROWSERS.iter().find(is_there).copied();
    found.ok_or_else(|| format!("no browser: install one of {}", BROWSERS.join(", ")))
}

/// Takes one picture and looks at its size.
fn take(browser: &str, url: &str, size: &str, picture: &Path) -> Result<String, String> {
    steps::output(
        Command::new(browser)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
            .args(["--force-device-scale-factor=1", "--timeout=3000"])
            .arg(format!("--window-size={size}"))
            .arg(format!("--screenshot={}", picture.display()))
            .arg(url),
    )?;
    let bytes = fs::metadata(picture).map_err(|error| format!("no picture: {error}"))?.len();
    let problem = (bytes > MOST_BYTES).then(|| format!("{bytes} bytes, at most {MOST_BYTES}"));
    check::verdict(problem.as_slice(), format!("{} KiB", bytes / 1024))
}

/// A running demo; ended when it is dropped.
struct Demo {
    process: Child,
    program: PathBuf,
    address: String,
    admin: String,
}

impl Demo {
    fn start(program: &Path) -> Result<Demo, String> {
        let mut process = Command::new(program)
            .args(["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run `{}`: {error}", program.display()))?;
        let said = process.stderr.take().ok_or("the demo says nothing")?;
        let mut demo =
            Demo { process, program: program.into(), address: String::new(), admin: String::new() };
        let mut lines = BufReader::new(said).lines();
        while let Some(Ok(line)) = lines.next() {
            let line = line.trim();
            if line.starts_with("http://") && demo.address.is_empty() {
                line.clone_into(&mut demo.address);
            }
            if let Some((_, admin)) = line.split_once("status --admin ") {
                admin.clone_into(&mut demo.admin);
            }
            if line.starts_with("Ctrl-C") {
                // Whatever it says later must not fill the pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(demo);
            }
        }
        Err("the demo ended before it served".into())
    }

    /// The screen once an origin is sick, and traffic has gone by.
    fn status_while_one_is_away(&self) -> Result<String, String> {
        let deadline = clock::now() + PATIENCE;
        while clock::now() < deadline {
            let status: Value =
                serde_json::from_str(&self.ask("--json")?).map_err(|error| error.to_string())?;
            let servers = status["origins"][0]["servers"].as_array().cloned().unwrap_or_default();
            if servers.iter().any(|server| server["is_healthy"] == false) {
                return self.ask("--once");
            }
            clock::block_for(Duration::from_millis(200));
        }
        Err("no origin of the demo went away".into())
    }

    fn ask(&self, how: &str) -> Result<String, String> {
        steps::output(Command::new(&self.program).args(["status", how, "--admin", &self.admin]))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The text as a terminal shows it.
fn terminal(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html><meta charset=utf-8><style>body {{ margin: 0; padding: 24px; background: #16181d; \
         color: #e6e6e6 }} pre {{ margin: 0; font: 13.3px/18px 'DejaVu Sans Mono', monospace }}</style>\
         <pre>$ forebay status --once\n{text}</pre>"
    )
}

fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(80)
}
