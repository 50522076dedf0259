//! libvirt by its own test driver, inside a `libvirtd` that nobody else uses; and the programs for hubs and pins, where there
//! is neither hub nor pin.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod bench;

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Driven, failed};
use model::{DeviceKind, DeviceSight, Outcome, PortReading, PortSense, PowerOrder};

/// The user that owns nothing: for it, libvirt keeps everything below folders that it is told.
const NOBODY: u32 = 65_534;

/// A libvirt with one machine, `test`, which runs. It is there as long as somebody is connected.
struct Libvirt {
    folder: PathBuf,
    daemon: Child,
    holds: Option<Child>,
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        for child in self.holds.iter_mut().chain([&mut self.daemon]) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Libvirt {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("drivers-libvirt-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let settings = folder.join("settings");
        fs::write(&settings, "auth_unix_rw = \"none\"\n").unwrap();
        chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        let log = fs::File::create(folder.join("said")).unwrap();
        let daemon = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "/usr/sbin/libvirtd", "-f"])
            .arg(&settings)
            .arg("-p")
            .arg(folder.join("pid"))
            .env("HOME", &folder)
            .env("XDG_RUNTIME_DIR", &folder)
            .env("XDG_CACHE_HOME", folder.join("cache"))
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|why| panic!("setpriv of the package util-linux: {why}"));
        let mut libvirt = Self { folder, daemon, holds: None };
        let end = Instant::now() + Duration::from_secs(30);
        while !libvirt.virsh(&["list"]).contains("Id") {
            let said = fs::read_to_string(libvirt.folder.join("said")).unwrap();
            assert!(libvirt.daemon.try_wait().unwrap().is_none(), "libvirtd ended: {said}");
            assert!(Instant::now() < end, "libvirtd does not answer: {said}");
        }
        let mut holds = Command::new("virsh");
        let holds = holds.args(["-c", &libvirt.uri(), "event", "--all", "--loop"]);
        libvirt.holds = Some(holds.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        libvirt
    }

    fn uri(&self) -> String {
        format!("test+unix:///default?socket={}", self.folder.join("libvirt/libvirt-sock").display())
    }

    fn virsh(&self, words: &[&str]) -> String {
        let output = Command::new("virsh").args(["-c", &self.uri()]).args(words).output();
        let output = output.unwrap_or_else(|why| panic!("virsh of the package libvirt-clients: {why}"));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What libvirt's own client says, once that is this.
    fn is(&self, wanted: &str) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.virsh(&["domstate", "test"]).trim() != wanted {
            assert!(Instant::now() < end, "{}", self.virsh(&["domstate", "test"]));
        }
    }
}

const fn machine(on: bool) -> PortReading {
    PortReading { sense: PortSense::Machine(on), milliwatts: None }
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn a_machine_of_libvirt_is_started_stopped_and_read() {
    let libvirt = Libvirt::new("switched");
    let mut driven = Driven::new(DeviceKind::Libvirt { uri: libvirt.uri() }, &["test"], &[]);
    match driven.sight().await {
        DeviceSight::Answers { about } => {
            assert!(about.starts_with("libvirt at test+unix:"), "{about}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(driven.reading().await, machine(true));
    for (order, state) in [
        (PowerOrder::Off, "shut off"),
        // What is so already stays so.
        (PowerOrder::Off, "shut off"),
        (PowerOrder::On, "running"),
        (PowerOrder::On, "running"),
        (PowerOrder::Soft, "shut off"),
    ] {
        assert_eq!(driven.order("test", order).await, Outcome::Done, "{order}");
        libvirt.is(state);
    }
    // What somebody else does is seen.
    assert_eq!(driven.order("test", PowerOrder::On).await, Outcome::Done);
    libvirt.virsh(&["destroy", "test"]);
    loop {
        if driven.reading().await == machine(false) {
            break;
        }
    }
    assert_eq!(failed(driven.order("test", PowerOrder::Press).await).0, "not-supported");
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn what_libvirt_does_not_have_is_named() {
    let uri = "test:///default".to_owned();
    let mut driven = Driven::new(DeviceKind::Libvirt { uri }, &["node7"], &[]);
    let (code, why) = driven.lost().await;
    assert!(code == "no-such-port" && why.contains("no machine `node7`; it has test"), "{code}: {why}");
    let (code, why) = failed(driven.order("node7", PowerOrder::On).await);
    assert!(code == "no-such-port" && why.contains("failed to get domain"), "{code}: {why}");
    let uri = "test+unix:///default?socket=/nonexistent".to_owned();
    let mut driven = Driven::new(DeviceKind::Libvirt { uri }, &["test"], &[]);
    let (code, why) = driven.lost().await;
    assert!(code == "unreached" && why.contains("/nonexistent"), "{code}: {why}");
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn programs_for_hubs_and_pins_understand_us_and_find_neither() {
    let mut driven = Driven::new(DeviceKind::Uhubctl, &["7-7.7:7"], &[]);
    let (code, why) = driven.lost().await;
    assert!(matches!(code.as_str(), "no-hub" | "permission"), "{code}: {why}");
    for active_low in [false, true] {
        let kind = DeviceKind::Gpio { chip: "gpiochip777".to_owned(), active_low };
        let mut driven = Driven::new(kind, &["17:27"], &[]);
        let (code, why) = driven.lost().await;
        let understood =
            |why: &str| !why.contains("option") && !why.contains("usage") && why.contains("No such file");
        assert!(code == "program-failed" && understood(&why), "{code}: {why}");
        let (code, why) = failed(driven.order("17:27", PowerOrder::On).await);
        assert!(code == "program-failed" && understood(&why), "{code}: {why}");
    }
}
