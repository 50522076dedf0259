//! `labinator demo` as a person starts it, and what it leaves behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::LIMIT;
use crate::e2e::controller::picture;
use crate::e2e::ground::{Folder, given, limited, said, until};
use crate::e2e::machines::{in_folder, machines_below, swept};
use crate::e2e::processes::{lives, signal, skip, told};

/// Ports of this computer, which the demo must not touch.
fn links() -> Vec<String> {
    let text =
        told(Command::new("ip").args(["-oneline", "link"]).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin"));
    text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}

#[test]
#[ignore = "stage e2e-qemu"]
fn the_demo_gets_three_nodes_ready_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let before = links();
    let mut demo = in_folder(limited(600, given("LABINATOR_BIN")), &folder.0);
    demo.args(["demo", "--nodes", "3", "--until-ready", "--headless", "--json", "--images"]);
    let output = demo.arg(given("LABINATOR_IMAGES")).output().unwrap();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert!(last.to_string().contains("\"ready\""), "{text}");
    swept(&folder.0, LIMIT);
    assert_eq!(links(), before);
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_demo_that_is_killed_leaves_nothing_behind() {
    let folder = Folder::new();
    let mut demo = in_folder(Command::new(given("LABINATOR_BIN")), &folder.0);
    demo.args(["demo", "--nodes", "1", "--headless", "--quiet", "--images"]).arg(given("LABINATOR_IMAGES"));
    let mut outer = demo.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let machine = until(LIMIT, "its machine runs", || machines_below(&folder.0).first().map(|(pid, _)| *pid));
    assert!(picture(&folder.0.join("api.sock")).is_some(), "the command line of the host finds it");
    signal(outer.id(), Signal::KILL);
    outer.wait().unwrap();
    until(LIMIT, "its machine ends", || (!lives(machine)).then_some(()));
    swept(&folder.0, LIMIT);
}

/// Containers keep `/dev/net/tun` for root; distributions give it to everybody. Here everybody has it, in a
/// mount namespace of its own.
const AS_NOBODY: &str = "mknod -m 666 \"$1\" c 10 200 && mount --bind \"$1\" /dev/net/tun; shift; \
    exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\"";

#[test]
#[ignore = "stage e2e-qemu"]
fn a_plain_user_can_run_the_demo() {
    let folder = Folder::new();
    let home = folder.0.join("home");
    let images = folder.0.join("images");
    fs::create_dir(&home).unwrap();
    fs::create_dir_all(images.join("node")).unwrap();
    let binary = folder.0.join("labinator");
    fs::copy(given("LABINATOR_BIN"), &binary).unwrap();
    for entry in fs::read_dir(given("LABINATOR_IMAGES").join("node")).unwrap().flatten() {
        fs::copy(entry.path(), images.join("node").join(entry.file_name())).unwrap();
    }
    // Copied images are believed where the key that signed them came along.
    let keys = images.join(".keys");
    fs::create_dir(&keys).unwrap();
    fs::copy(given("LABINATOR_IMAGES").join(".keys/own.pub"), keys.join("own.pub")).unwrap();
    for path in [&folder.0, &images, &images.join("node"), &keys, &binary] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Nobody's number on Debian; who runs this without root is a plain user already.
    let root = rustix::process::geteuid().is_root();
    let mut demo = if root {
        chown(&home, Some(65534), Some(65534)).unwrap();
        let mut demo = limited(600, "unshare");
        demo.args(["--mount", "sh", "-c", AS_NOBODY, "sh"]).arg(folder.0.join("tun")).arg(&binary);
        in_folder(demo, &home)
    } else {
        in_folder(limited(600, &binary), &home)
    };
    demo.args(["demo", "--nodes", "1", "--until-ready", "--headless", "--json", "--images"]).arg(&images);
    let output = demo.output().unwrap();
    let text = said(&output);
    if text.contains("allows no network of one's own") || text.contains("/dev/net/tun cannot be opened") {
        skip(&format!("the demo as a plain user: {}", text.trim()));
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{text}");
    swept(&home, LIMIT);
}
