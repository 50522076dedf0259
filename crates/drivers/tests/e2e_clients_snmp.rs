//! SNMP against net-snmp's agent, `snmpd`: numbers that it lets be set stand for outlets.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod bench;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Driven, failed, kept};
use model::{
    DeviceKind, DeviceSight, Outcome, PortReading, PortSense, PowerOrder, SnmpDevice, SnmpOutlets,
    SnmpVersion,
};

/// Names below a number that is for examples (RFC 5612).
const OUTLETS: &str = "1.3.6.1.4.1.32473.1";

/// The agent on a port of its own.
struct Agent {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Agent {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("drivers-snmp-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("kept")).unwrap();
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut settings = format!(
            "agentaddress udp:127.0.0.1:{port}\nrwcommunity private 127.0.0.1\nrocommunity public 127.0.0.1\n\
             sysDescr strip of the tests\n"
        );
        for outlet in 1..=3 {
            settings += &format!("override -rw {OUTLETS}.{outlet}.7 integer 2\n");
        }
        fs::write(folder.join("snmpd.conf"), settings).unwrap();
        let log = fs::File::create(folder.join("said")).unwrap();
        let child = Command::new("/usr/sbin/snmpd")
            .args(["-f", "-Lo", "-C", "-c"])
            .arg(folder.join("snmpd.conf"))
            .env("SNMP_PERSISTENT_DIR", folder.join("kept"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|why| panic!("snmpd of the package snmpd: {why}"));
        let mut agent = Self { folder, port, child };
        let end = Instant::now() + Duration::from_secs(20);
        while agent.get("1") != "2" {
            let said = fs::read_to_string(agent.folder.join("said")).unwrap();
            assert!(agent.child.try_wait().unwrap().is_none(), "snmpd ended: {said}");
            assert!(Instant::now() < end, "snmpd does not answer: {said}");
        }
        agent
    }

    /// What net-snmp's own client reads of an outlet.
    fn get(&self, outlet: &str) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        let name = format!(".{OUTLETS}.{outlet}.7");
        let arguments = ["-v2c", "-c", "public", "-Oqv", "-r", "0", "-t", "1", &address, &name];
        let output = Command::new("snmpget").args(arguments).output();
        let output = output.unwrap_or_else(|why| panic!("snmpget of the package snmp: {why}"));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn drive(&self, version: SnmpVersion, ports: &[&str], community: &str) -> Driven {
        let name = format!("{OUTLETS}.{{port}}.7");
        let device = SnmpDevice {
            host: format!("127.0.0.1:{}", self.port),
            credentials: kept("pdu"),
            version,
            outlets: SnmpOutlets::Own { set: name.clone(), state: name, on: 1, off: 2, is_on: 1, is_off: 2 },
        };
        Driven::new(DeviceKind::Snmp(Box::new(device)), ports, &[("pdu", community)])
    }
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn outlets_of_net_snmps_agent_are_switched_and_read() {
    let agent = Agent::new("switched");
    for version in [SnmpVersion::One, SnmpVersion::TwoC] {
        let mut driven = agent.drive(version, &["1", "2", "3"], "private");
        match driven.sight().await {
            DeviceSight::Answers { about } => {
                assert!(about.starts_with("strip of the tests, by SNMP"), "{about}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(driven.reading().await, PortReading { sense: PortSense::Supply(false), milliwatts: None });
        assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
        assert_eq!(driven.order("3", PowerOrder::On).await, Outcome::Done);
        assert_eq!((agent.get("1"), agent.get("2"), agent.get("3")), ("1".into(), "2".into(), "1".into()));
        assert_eq!(driven.order("1", PowerOrder::Off).await, Outcome::Done);
        assert_eq!(driven.order("3", PowerOrder::Off).await, Outcome::Done);
        assert_eq!((agent.get("1"), agent.get("3")), ("2".into(), "2".into()));
    }
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn net_snmps_agent_refuses_and_we_say_what() {
    let agent = Agent::new("refused");
    for (version, community, port, wanted) in [
        (SnmpVersion::TwoC, "public", "1", ("snmp-status", "may this community write?")),
        (SnmpVersion::One, "public", "1", ("no-such-port", "may this community see and switch it?")),
        (SnmpVersion::TwoC, "private", "9", ("snmp-status", "may this community write?")),
    ] {
        let mut driven = agent.drive(version, &[port], community);
        let (code, why) = failed(driven.order(port, PowerOrder::On).await);
        assert!(code == wanted.0 && why.contains(wanted.1), "{version:?} {community} {port}: {code}: {why}");
    }
    let mut driven = agent.drive(SnmpVersion::TwoC, &["1"], "nobody");
    let (code, why) = driven.lost().await;
    assert!(code == "silent" && why.contains("does it take the community"), "{code}: {why}");
    assert_eq!(agent.get("1"), "2");
}
