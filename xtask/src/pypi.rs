//! Programs of `PyPI` as peers for the tests, each in an environment of its own below the folder of the suites.

use std::path::Path;
use std::process::Command;

use crate::workspace::{Outcome, succeeds};

/// What stands before the slash in the name of such a program.
pub(crate) const SUITE: &str = "pypi";
/// Written last: what lies beside it is whole.
const WHOLE: &str = ".whole";

/// Installs a program, at the release that the tests were written against.
///
/// # Errors
/// One line that says what is missing.
pub(crate) fn install(suites: &Path, package: &str) -> Outcome<()> {
    let home = suites.join(SUITE).join(package);
    let wanted = release(package);
    if std::fs::read_to_string(home.join(WHOLE)).is_ok_and(|whole| whole == wanted) {
        return Ok(());
    }
    println!("installing {wanted} of PyPI into {}", home.display());
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    if !succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home))? {
        return Err("python3 makes no environment: install python3-venv".into());
    }
    let mut pip = Command::new(home.join("bin/pip"));
    if !succeeds(pip.args(["install", "--quiet", "--disable-pip-version-check", &wanted]))? {
        return Err("pip could not install it".into());
    }
    std::fs::write(home.join(WHOLE), wanted)?;
    Ok(())
}

/// The release of a package that is taken.
fn release(package: &str) -> String {
    let version = match package {
        "sushy-tools" => "2.2.0",
        "snmpsim" => "1.2.2",
        "labgrid" => "26.0.1",
        "certbot" => "5.8.0",
        _ => return package.to_owned(),
    };
    format!("{package}=={version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_stays_at_the_release_that_the_tests_know() {
        assert_eq!(release("sushy-tools"), "sushy-tools==2.2.0");
        assert_eq!(release("other"), "other");
    }
}
