//! A test in a network that nothing else is in: it starts itself again there.

use std::process::Command;

/// Set where the test runs in a network of its own.
const INSIDE: &str = "LABINATOR_TEST_ALONE";

/// Whether this is the network of its own. Where it is not, the test of this name was run in one, to its end.
pub(crate) fn alone(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let status = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env(INSIDE, "1")
        .status()
        .unwrap_or_else(|why| panic!("unshare of the package util-linux: {why}"));
    assert!(status.success());
    false
}

/// Runs a program by its words, and gives what it wrote.
pub(crate) fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.unwrap_or_else(|why| panic!("{line}: {why}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
