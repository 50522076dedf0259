//! Debian packages: which are missing, and how they get installed.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::workspace::{Outcome, printed, quietly, succeeds};

/// Installed on a line of its own before everything else.
///
/// In one line with others, apt may choose another package that offers the same thing.
const FIRST: &str = "qemu-system-x86";

/// The package lists are fetched at most once in a run.
static LISTS_FRESH: AtomicBool = AtomicBool::new(false);

/// Installs those of the packages that are missing.
///
/// # Errors
/// One line that names what is missing and the command that would install it.
pub(crate) fn ensure(packages: &[&str]) -> Outcome<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let wanted = missing.join(" ");
    if !on_path("apt-get") {
        return Err(format!("this machine has no apt-get; install what Debian calls: {wanted}").into());
    }
    let advice = format!(
        "missing: {wanted}; run: apt-get update && apt-get install -y --no-install-recommends {wanted}"
    );
    let Some(prefix) = root_prefix() else { return Err(advice.into()) };
    println!("installing {wanted}");
    refresh_lists(prefix)?;
    let (first, rest): (Vec<&str>, Vec<&str>) = missing.into_iter().partition(|name| *name == FIRST);
    for group in [first, rest].iter().filter(|group| !group.is_empty()) {
        let mut install = apt(prefix, &["install", "--yes", "--quiet", "--no-install-recommends"]);
        install.args(group);
        if !succeeds(&mut install)? {
            return Err(advice.into());
        }
    }
    Ok(())
}

/// Fetches the package lists when they do not know a package that is to be downloaded later.
///
/// # Errors
/// One line with the command that would fetch them.
pub(crate) fn ensure_listed(package: &str) -> Outcome<()> {
    let listed = || quietly(Command::new("apt-cache").args(["show", package]));
    if !on_path("apt-cache") || listed() {
        return Ok(());
    }
    if let Some(prefix) = root_prefix() {
        refresh_lists(prefix)?;
    }
    if listed() {
        return Ok(());
    }
    Err(format!("the package lists do not know {package}; run: apt-get update").into())
}

fn refresh_lists(prefix: &[&str]) -> Outcome<()> {
    if !LISTS_FRESH.swap(true, Ordering::Relaxed) && !succeeds(&mut apt(prefix, &["update", "--quiet"]))? {
        println!("the package lists could not be refreshed; trying with the ones at hand");
    }
    Ok(())
}

/// The packages that are not fully installed here; all of them where there is no dpkg.
pub(crate) fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().copied().filter(|name| !installed(name)).collect()
}

/// Whether a program of this name is found in `PATH`.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|dir| dir.join(program).is_file()))
}

fn installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query
        .args(["--show", "--showformat", "${db:Status-Status}\n", package])
        .stderr(std::process::Stdio::null());
    query.output().is_ok_and(|output| says_installed(&String::from_utf8_lossy(&output.stdout)))
}

/// One line per architecture; a package that was removed but left its settings says `config-files`.
fn says_installed(status: &str) -> bool {
    status.lines().any(|line| line == "installed")
}

/// What stands before `apt-get`: nothing for root, `sudo` where it works, `None` where we may not.
fn root_prefix() -> Option<&'static [&'static str]> {
    let id = printed(Command::new("id").arg("-u")).ok()?;
    if id.trim() == "0" {
        return Some(&[]);
    }
    if !on_path("sudo") {
        return None;
    }
    if quietly(Command::new("sudo").args(["-n", "true"])) {
        return Some(&["sudo", "-n"]);
    }
    // A person can type the password; a build machine cannot and must not hang.
    (std::io::stdin().is_terminal() && Path::new("/dev/tty").exists()).then_some(&["sudo"] as &[&str])
}

fn apt(prefix: &[&str], arguments: &[&str]) -> Command {
    let mut words: Vec<&str> = prefix.to_vec();
    words.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]);
    words.extend(arguments);
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or("apt-get"));
    command.args(words);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_with_settings_left_is_not_installed() {
        assert!(says_installed("installed\n"));
        assert!(says_installed("not-installed\ninstalled\n"));
        assert!(!says_installed("config-files\n"));
        assert!(!says_installed(""));
    }

    #[test]
    fn a_package_that_does_not_exist_is_missing() {
        assert_eq!(missing(&["labinator-no-such-package"]), ["labinator-no-such-package"]);
    }

    #[test]
    fn apt_asks_no_questions_and_waits_for_the_lock() {
        let command = apt(&["sudo", "-n"], &["update"]);
        let words: Vec<String> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(command.get_program(), "sudo");
        assert_eq!(
            words,
            [
                "-n",
                "env",
                "DEBIAN_FRONTEND=noninteractive",
                "apt-get",
                "-o",
                "DPkg::Lock::Timeout=300",
                "update"
            ]
        );
    }
}
