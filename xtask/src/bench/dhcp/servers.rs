//! The two servers of the bench, with the same subnets and pools.

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{BOSS, Cable};
use crate::bench::segment::wait;
use crate::workspace::{Outcome, quietly};

/// Who serves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    Kea,
    Labinator,
}

/// A running server; it is ended when dropped.
pub(super) struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        if quietly(Command::new("kill").arg(self.0.id().to_string())) {
            drop(self.0.wait());
        }
    }
}

impl Server {
    /// Starts one without any lease, and waits until it listens.
    pub(super) fn start(cable: &Cable, side: Side) -> Outcome<Self> {
        let child = match side {
            Side::Kea => kea(cable)?,
            Side::Labinator => labinator(cable)?,
        };
        let server = Self(child);
        wait(Duration::from_secs(30), &format!("port 67 of {side:?}"), || {
            // Both bind it to the interface; a bind of our own on the address then fails.
            match side {
                Side::Kea => UdpSocket::bind((BOSS, 67)).is_err().then_some(()),
                Side::Labinator => fs::exists(cable.folder.join("state/boot-table")).ok()?.then_some(()),
            }
        })?;
        Ok(server)
    }
}

fn labinator(cable: &Cable) -> Outcome<Child> {
    let state = cable.folder.join("state");
    drop(fs::remove_dir_all(&state));
    let images = cable.folder.join("images");
    fs::create_dir_all(&images)?;
    let file = cable.folder.join("lab.yaml");
    fs::write(
        &file,
        format!(
            "lab: bench\nnetwork:\n  {{ interface: srv0, subnet: 10.16.0.0/12, boss: {BOSS}, dhcp: authoritative, \
             pool: 10.17.0.0-10.31.255.250,\n    relays: [{{ subnet: 10.32.0.0/12, gateway: 10.32.0.2, pool: \
             10.33.0.0-10.47.255.250 }}] }}\npower: {{ p: {{ driver: manual }} }}\nboard:\n  columns: 1\n  nodes:\n    \
             n1: {{ at: [1, 1], mac: '52:54:00:77:00:01', ip: 10.16.0.11, power: p/1 }}\nscenarios: {{}}\n"
        ),
    )?;
    let log = fs::File::create(cable.folder.join("labinator.log"))?;
    let child = Command::new(&cable.labinator)
        .args(["serve", "--listen", "127.0.0.1:8080", "--lab"])
        .arg(file)
        .arg("--state")
        .arg(state)
        .arg("--images")
        .arg(images)
        .env("LABINATOR_SOCKET", cable.folder.join("api.sock"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child)
}

fn kea(cable: &Cable) -> Outcome<Child> {
    let folder = cable.folder.join("kea");
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder)?;
    // A copy: Debian's AppArmor profile holds the installed one to its own folders.
    let program = folder.join("kea-dhcp4");
    fs::copy("/usr/sbin/kea-dhcp4", &program)?;
    let leases = folder.join("leases.csv");
    let subnet = |id: u8, base: u8| {
        serde_json::json!({
            "id": id, "subnet": format!("10.{base}.0.0/12"),
            "pools": [{ "pool": format!("10.{}.0.0-10.{}.255.250", base + 1, base + 15) }],
            "option-data": [{ "name": "domain-name-servers", "data": BOSS }],
        })
    };
    let config = serde_json::json!({ "Dhcp4": {
        "interfaces-config": { "interfaces": ["srv0"] },
        "lease-database": { "type": "memfile", "persist": true, "name": leases.to_string_lossy() },
        "valid-lifetime": 3600,
        "subnet4": [subnet(1, 16), subnet(2, 32)],
        "loggers": [{ "name": "kea-dhcp4", "severity": "ERROR", "output_options": [{ "output": "stderr" }] }],
    } });
    let file = folder.join("kea.json");
    fs::write(&file, serde_json::to_vec_pretty(&config)?)?;
    let log = fs::File::create(folder.join("kea.log"))?;
    let child = Command::new(program)
        .arg("-c")
        .arg(file)
        .env("KEA_PIDFILE_DIR", &folder)
        .env("KEA_LOCKFILE_DIR", "none")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok(child)
}
