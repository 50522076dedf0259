//! A real browser on the page of a real lab: the demo with two machines, and the page's own tests.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what the page's tests said")]

mod e2e;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use e2e::ground::{Folder, given, limited, said, until};

/// Two cold machines take ten seconds on an idle machine with two processors.
const LIMIT: Duration = Duration::from_secs(600);

/// A demo with its page, and a folder for all it writes.
struct Demo {
    outer: Child,
    link: String,
    folder: Folder,
}

impl Demo {
    fn start() -> Self {
        let folder = Folder::new();
        let mut command = Command::new(given("LABINATOR_BIN"));
        command.args(["demo", "--nodes", "2", "--images"]).arg(given("LABINATOR_IMAGES"));
        command.env("TMPDIR", &folder.0).env("LABINATOR_SOCKET", folder.0.join("api.sock"));
        let mut outer = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let (tell, lines) = std::sync::mpsc::channel();
        let out = BufReader::new(outer.stdout.take().unwrap());
        // Read to its end, so that the demo never waits for us.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                println!("{line}");
                drop(tell.send(line));
            }
        });
        let mut demo = Self { outer, link: String::new(), folder };
        demo.link = until(LIMIT, "the demo says where its page is", || {
            let words = lines.try_iter().collect::<Vec<_>>().join(" ");
            words.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
        });
        until(LIMIT, "the lab is ready", || {
            let mut status = limited(60, given("LABINATOR_BIN"));
            let output =
                status.args(["status", "--json"]).env("LABINATOR_SOCKET", demo.folder.0.join("api.sock"));
            let picture: model::Snapshot = serde_json::from_slice(&output.output().unwrap().stdout).ok()?;
            (picture.lab.phase == model::Phase::Ready).then_some(())
        });
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Ok(None) = self.outer.try_wait() {
            drop(self.outer.kill());
            drop(self.outer.wait());
        }
    }
}

#[test]
#[ignore = "stage e2e-browser"]
fn the_page_of_a_ready_lab_shows_its_machines_to_a_browser() {
    let demo = Demo::start();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui");
    let mut tests = limited(300, "npm");
    tests.args(["run", "real"]).current_dir(page).env("LABINATOR_URL", &demo.link).env("CI", "1");
    let output = tests.output().unwrap();
    let text = said(&output);
    println!("{text}");
    assert!(output.status.success(), "npm run real failed");
    // A test that skips itself has shown nothing.
    assert!(text.contains(" passed") && !text.contains(" skipped"), "no test of the page ran");
}
