//! Ground for benches of files: a namespace with the boss at one end of a cable and a client at the other, no machines.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::segment::lab_file;
use crate::workspace::{Outcome, Workspace, printed, quietly};

/// The boss's address, as in the lab file.
pub(super) const BOSS: &str = super::segment::BOSS;
/// The client's, which is node `n1`'s.
pub(super) const CLIENT: &str = "10.77.0.11";

/// What the inner half works with.
pub(super) struct Ground {
    labinator: PathBuf,
    pub(super) folder: PathBuf,
}

/// The outer half: builds the binary, runs this program again inside, and reads what it found.
///
/// # Errors
/// The binary does not build, namespaces cannot be had (the bench needs root), or the inner half failed.
pub(super) fn enter(workspace: &Workspace, name: &str, rest: &[String]) -> Outcome<Value> {
    let labinator = super::labinator(workspace)?;
    let folder = workspace.target.join("bench").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut command = workspace.command("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"]);
    command.arg(std::env::current_exe()?).args(["bench", name, "inside"]);
    let said = printed(command.args([&labinator, &folder]).args(rest))?;
    let line = said.lines().find(|line| line.starts_with('{')).ok_or("the bench said nothing")?;
    Ok(serde_json::from_str(line)?)
}

/// Reads `--rounds N`.
///
/// # Errors
/// Anything else was said.
pub(super) fn rounds(arguments: &[String], otherwise: usize) -> Outcome<usize> {
    match arguments {
        [] => Ok(otherwise),
        [word, n] if word == "--rounds" => {
            n.parse().map_err(|_| format!("--rounds needs a number, not `{n}`").into())
        }
        _ => Err("this bench takes --rounds N".into()),
    }
}

/// Numbers at a place of what was found.
///
/// # Errors
/// There are none.
pub(super) fn samples(found: &Value, place: &str) -> Outcome<Vec<f64>> {
    let list =
        found.pointer(place).and_then(Value::as_array).ok_or_else(|| format!("no samples at {place}"))?;
    Ok(list.iter().filter_map(Value::as_f64).collect())
}

/// Adds a number to a list by its name.
pub(super) fn push(lists: &mut Value, name: &str, number: f64) {
    if let Some(list) = lists.get_mut(name).and_then(Value::as_array_mut) {
        list.push(number.into());
    }
}

/// Bytes that do not repeat where a block size could hide it.
pub(super) fn bytes(count: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

impl Ground {
    /// Reads what [`enter`] wrote, when this is the inner half; lays the cable.
    pub(super) fn of(arguments: &[String]) -> Option<Outcome<(Self, &[String])>> {
        let [inside, labinator, folder, rest @ ..] = arguments else { return None };
        (inside == "inside").then(|| {
            lay()?;
            Ok((Self { labinator: labinator.into(), folder: folder.into() }, rest))
        })
    }

    /// A controller with these loaders and a scenario of this image; it is ended when dropped.
    pub(super) fn controller(&self, loaders: &Path, image: &str) -> Outcome<Controller> {
        let state = self.folder.join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        let lab = self.folder.join("lab.yaml");
        fs::write(&lab, lab_file("manual").replace("image: node", image))?;
        let log = fs::File::create(self.folder.join("controller.log"))?;
        let child = Command::new(&self.labinator)
            .args(["serve", "--listen", "127.0.0.1:8080", "--lab"])
            .arg(lab)
            .arg("--state")
            .arg(&state)
            .arg("--images")
            .arg(&self.folder)
            .arg("--loaders")
            .arg(loaders)
            .env("LABINATOR_SOCKET", self.folder.join("api.sock"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Controller { child, state })
    }

    /// A program at the client's end.
    pub(super) fn at_client(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", "client", program]).current_dir(&self.folder);
        command
    }
}

/// A running controller.
pub(super) struct Controller {
    child: Child,
    /// Its state folder, with the shelf in it.
    pub(super) state: PathBuf,
}

impl Drop for Controller {
    fn drop(&mut self) {
        if quietly(Command::new("kill").arg(self.child.id().to_string())) {
            drop(self.child.wait());
        }
    }
}

/// The boss has a bridge as in the lab file, the client a cable to it.
fn lay() -> Outcome<()> {
    printed(Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]))?;
    let lines = [
        "link set lo up".to_owned(),
        "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0".to_owned(),
        format!("address add {BOSS}/24 dev br0"),
        "link set br0 up".to_owned(),
        "netns add client".to_owned(),
        format!(
            "link add to-client type veth peer name eth0 address {} netns client",
            super::segment::mac(1)
        ),
        "link set to-client master br0 up".to_owned(),
        "-n client link set lo up".to_owned(),
        format!("-n client address add {CLIENT}/24 dev eth0"),
        "-n client link set eth0 up".to_owned(),
    ];
    for line in lines {
        printed(Command::new("ip").args(line.split(' ')))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_read_and_nothing_else() {
        assert_eq!(rounds(&[], 5).unwrap(), 5);
        assert_eq!(rounds(&["--rounds".to_owned(), "2".to_owned()], 5).unwrap(), 2);
        assert!(rounds(&["--pairs".to_owned(), "2".to_owned()], 5).is_err());
    }
}
