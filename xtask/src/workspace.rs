//! Where the tree and the build cache are, and how a child process is started in them.

use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// What every verb gives back; an error is one sentence for a person.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The checked-out tree and the directory that all clones share for built dependencies.
pub(crate) struct Workspace {
    /// The directory that holds the root `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// What children see as `CARGO_TARGET_DIR`.
    pub(crate) target: PathBuf,
    /// The cache of everything downloaded or built that is not cargo's: `~/.cache/labinator`.
    pub(crate) cache: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Finds the tree this tool was started for.
    ///
    /// # Errors
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set, so there is no place for the cache.
    pub(crate) fn find() -> Outcome<Self> {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().map(Path::to_path_buf).ok_or("xtask must live inside the workspace")?;
        let cache = cache_home(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))
            .ok_or("set HOME or XDG_CACHE_HOME: the build cache needs a place")?
            .join("labinator");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| cache.join("target"), |dir| root.join(dir));
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let workspace = Self { root, target, cache, cargo };
        workspace.claim_target()?;
        Ok(workspace)
    }

    /// Cargo gives the crates of two clones the same names in a shared target folder and tells old from new
    /// by time alone: after another clone was built, ours would pass for fresh although its text differs.
    /// So whoever comes after another clone makes all its own sources new; dependencies stay built.
    fn claim_target(&self) -> Outcome<()> {
        let mark = self.target.join("clone.txt");
        let own = self.root.to_string_lossy();
        if std::fs::read_to_string(&mark).is_ok_and(|last| last == own) {
            return Ok(());
        }
        let now = std::time::SystemTime::now();
        for folder in ["crates", "xtask", "ui/dist"] {
            make_new(&self.root.join(folder), now)?;
        }
        std::fs::create_dir_all(&self.target)?;
        std::fs::write(&mark, own.as_bytes())?;
        Ok(())
    }

    /// A child in the root of the tree, without the variables that `cargo run` set for us.
    ///
    /// `LD_LIBRARY_PATH` points into one toolchain and would mislead another one.
    pub(crate) fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target).env_remove("LD_LIBRARY_PATH");
        for (key, _) in std::env::vars_os() {
            let name = key.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&key);
            }
        }
        command
    }

    /// The cargo that started us, with these arguments.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.cargo);
        command.args(arguments);
        command
    }

    /// Builds one binary and returns where it lies.
    ///
    /// # Errors
    /// The build failed; cargo has already said why on the terminal.
    pub(crate) fn build_labinator(&self, release: bool) -> Outcome<PathBuf> {
        let mut arguments = vec!["build", "--package", "labinator"];
        if release {
            arguments.push("--release");
        }
        if !succeeds(&mut self.cargo(&arguments))? {
            return Err("labinator does not build".into());
        }
        Ok(self.target.join(if release { "release" } else { "debug" }).join("labinator"))
    }
}

/// Sets the time of every file below a folder.
fn make_new(folder: &Path, now: std::time::SystemTime) -> Outcome<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_new(&entry.path(), now)?;
        } else {
            std::fs::File::options().append(true).open(entry.path())?.set_modified(now)?;
        }
    }
    Ok(())
}

/// `XDG_CACHE_HOME` where it is an absolute path (the XDG base directory rule), else `~/.cache`.
fn cache_home(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    xdg.map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home.filter(|home| !home.is_empty()).map(|home| PathBuf::from(home).join(".cache")))
}

/// Runs a child on our terminal and says whether it liked it.
///
/// # Errors
/// The program could not be started; the error names it.
pub(crate) fn succeeds(command: &mut Command) -> Outcome<bool> {
    let status = command.status().map_err(|trouble| cannot_start(command, &trouble))?;
    Ok(status.success())
}

/// Runs a child and returns what it printed, with its complaints left on our terminal.
///
/// # Errors
/// The program could not be started, failed, or printed something that is not UTF-8.
pub(crate) fn printed(command: &mut Command) -> Outcome<String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|trouble| cannot_start(command, &trouble))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", spelled(command), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a child quietly and says whether it succeeded; one that cannot start did not.
pub(crate) fn quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a child, shows each line it prints as it comes, and hands the line to `read` too.
///
/// # Errors
/// The program could not be started, or its pipe broke.
pub(crate) fn watched(command: &mut Command, mut read: impl FnMut(&str)) -> Outcome<bool> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|trouble| cannot_start(command, &trouble))?;
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).split(b'\n') {
            let line = line?;
            let text = String::from_utf8_lossy(&line);
            println!("{text}");
            read(&text);
        }
    }
    Ok(child.wait()?.success())
}

/// Zero for yes, one for no.
pub(crate) fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn cannot_start(command: &Command, trouble: &std::io::Error) -> String {
    format!("cannot start `{}`: {trouble}", spelled(command))
}

fn spelled(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_xdg_then_home() {
        let home = || Some(OsString::from("/home/ada"));
        assert_eq!(cache_home(Some("/var/c".into()), home()), Some(PathBuf::from("/var/c")));
        assert_eq!(cache_home(Some("relative".into()), home()), Some(PathBuf::from("/home/ada/.cache")));
        assert_eq!(cache_home(None, home()), Some(PathBuf::from("/home/ada/.cache")));
        assert_eq!(cache_home(None, None), None);
    }

    #[test]
    fn a_watched_child_hands_over_every_line_and_its_verdict() {
        let mut lines = Vec::new();
        let good = watched(Command::new("sh").args(["-c", "echo one; echo two; exit 3"]), |line| {
            lines.push(line.to_owned());
        })
        .unwrap();
        assert!(!good);
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_named_in_the_error() {
        let trouble = succeeds(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(trouble.to_string().contains("no-such-program-here"));
    }
}
