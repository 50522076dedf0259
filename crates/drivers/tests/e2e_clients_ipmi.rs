//! IPMI beside programs that others wrote: `OpenIPMI`'s simulated controller is switched, and `ipmitool` understands ours.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::indexing_slicing, reason = "a test may stop")]
#![expect(dead_code, reason = "the parts of other tests are used as they are")]

mod bench;
mod bmc;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Driven, failed, kept};
use bmc::{Bmc, Manners};
use drivers::power::ipmi::{Ask, Controller, Login, Suite};
use model::{DeviceKind, Outcome, PortSense, PowerOrder};

const USER: &str = "lab";
const PASSWORD: &str = "a-labs-secret";

/// `ipmi_sim`, with a file for the machine's power.
struct Simulator {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(fs::remove_dir_all(&self.folder));
    }
}

impl Simulator {
    async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("drivers-ipmi-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(folder.join("state")).unwrap();
        let program = folder.join("chassis");
        fs::write(&program, chassis(&folder)).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.join("power"), "0\n").unwrap();
        let port = free_port();
        fs::write(folder.join("lan.conf"), lan(port, &program)).unwrap();
        fs::write(
            folder.join("lab.emu"),
            "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\nmc_enable 0x20\n",
        )
        .unwrap();
        let child = start(&folder);
        let mut simulator = Self { folder, port, child };
        // It answers when it is there.
        let end = Instant::now() + Duration::from_secs(20);
        while simulator.controller(PASSWORD, Suite::Three).is_on().await.is_err() {
            let ended = simulator.child.try_wait().unwrap();
            let said = fs::read_to_string(simulator.folder.join("said")).unwrap();
            assert!(ended.is_none(), "ipmi_sim ended: {said}");
            assert!(Instant::now() < end, "ipmi_sim does not answer");
        }
        simulator
    }

    fn controller(&self, password: &str, suite: Suite) -> Controller {
        let login = Login { user: USER.to_owned(), password: password.to_owned(), suite };
        Controller::new(&format!("127.0.0.1:{}", self.port), login)
    }

    fn power(&self) -> String {
        fs::read_to_string(self.folder.join("power")).unwrap()
    }

    fn orders(&self) -> String {
        fs::read_to_string(self.folder.join("orders")).unwrap_or_default()
    }
}

fn start(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("said")).unwrap();
    let file = |name: &str| folder.join(name);
    Command::new("ipmi_sim")
        .args(["-n", "-c"])
        .arg(file("lan.conf"))
        .arg("-f")
        .arg(file("lab.emu"))
        .arg("-s")
        .arg(file("state"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|why| panic!("ipmi_sim of the package openipmi: {why}"))
}

/// A port that nobody had a moment ago.
fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn lan(port: u16, chassis: &Path) -> String {
    let auths = "none md2 md5 straight";
    format!(
        "name \"lab\"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n\
         allowed_auths_callback {auths}\nallowed_auths_user {auths}\nallowed_auths_operator {auths}\n\
         allowed_auths_admin {auths}\nguid a123456789abcdefa123456789abcdef\nendlan\n\
         chassis_control \"{}\"\nuser 1 true \"\" \"test\" user 10 {auths}\n\
         user 2 true \"{USER}\" \"{PASSWORD}\" admin 10 {auths}\n",
        chassis.display()
    )
}

/// What the simulator calls to see and switch its machine.
fn chassis(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "#!/bin/sh\nif [ $1 = get ]; then echo \"$2:$(cat {folder}/power)\"; exit; fi\n\
         echo \"$2 $3\" >>{folder}/orders\ncase $2 in\npower) echo $3 >{folder}/power;;\n\
         shutdown) echo 0 >{folder}/power;;\nesac\n"
    )
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn the_controller_that_openipmi_simulates_is_switched_and_read() {
    let simulator = Simulator::new("switched").await;
    let mut controller = simulator.controller(PASSWORD, Suite::Three);
    assert!(!controller.is_on().await.unwrap());
    controller.order(Ask::On).await.unwrap();
    assert_eq!((controller.is_on().await.unwrap(), simulator.power().trim()), (true, "1"));
    controller.order(Ask::Soft).await.unwrap();
    assert_eq!((controller.is_on().await.unwrap(), simulator.power().trim()), (false, "0"));
    controller.order(Ask::On).await.unwrap();
    controller.order(Ask::Off).await.unwrap();
    assert!(!controller.is_on().await.unwrap());
    assert_eq!(simulator.orders(), "power 1\nshutdown 1\npower 1\npower 0\n");
    // What somebody else does is seen.
    fs::write(simulator.folder.join("power"), "1\n").unwrap();
    assert!(controller.is_on().await.unwrap());
    // It has room for ten sessions of this user: those that are closed are free again.
    controller.close().await;
    for round in 0..30 {
        let mut controller = simulator.controller(PASSWORD, Suite::Three);
        assert!(controller.is_on().await.unwrap_or_else(|why| panic!("{round}: {why}")));
        controller.close().await;
    }
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn what_the_simulated_controller_refuses_is_named_and_not_tried_again() {
    let simulator = Simulator::new("refused").await;
    for (password, suite, code) in
        [("wrong", Suite::Three, "ipmi-password"), (PASSWORD, Suite::Seventeen, "ipmi-suite")]
    {
        let mut controller = simulator.controller(password, suite);
        for _ in 0..3 {
            let why = controller.order(Ask::On).await.unwrap_err();
            assert_eq!((why.code(), why.passes()), (code, false), "{why}");
        }
    }
    assert_eq!((simulator.power().trim(), simulator.orders().as_str()), ("0", ""));
    let mut controller = simulator.controller(PASSWORD, Suite::Three);
    controller.order(Ask::On).await.unwrap();
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn a_lab_switches_the_simulated_controllers_machine_and_sees_it() {
    let simulator = Simulator::new("lab").await;
    let drive = |password: &str| {
        let kind = DeviceKind::Ipmi {
            host: format!("127.0.0.1:{}", simulator.port),
            credentials: kept("bmc"),
            suite: 3,
        };
        Driven::new(kind, &["1"], &[("bmc", &format!("{USER}:{password}"))])
    };
    let mut driven = drive(PASSWORD);
    assert_eq!(driven.reading().await.sense, PortSense::Machine(false));
    for (order, power) in
        [(PowerOrder::On, "1"), (PowerOrder::Soft, "0"), (PowerOrder::On, "1"), (PowerOrder::Off, "0")]
    {
        assert_eq!(driven.order("1", order).await, Outcome::Done, "{order}");
        assert_eq!(simulator.power().trim(), power, "{order}");
    }
    let mut driven = drive("wrong");
    let (code, why) = driven.lost().await;
    assert!(code == "ipmi-password" && why.contains("another password of `lab`"), "{code}: {why}");
    assert_eq!(failed(driven.order("1", PowerOrder::On).await).0, "credentials");
    assert_eq!(simulator.power().trim(), "0");
}

/// Whether ipmitool succeeded, and what it said.
async fn ipmitool(bmc: &Bmc, (suite, password): (Suite, &str), words: &str) -> (bool, String) {
    let mut command = tokio::process::Command::new("ipmitool");
    command
        .args(["-I", "lanplus", "-N", "5", "-R", "2", "-H", "127.0.0.1", "-U", USER, "-L", "OPERATOR"])
        .args(["-P", password, "-p", &bmc.address.port().to_string(), "-C", &suite.number().to_string()])
        .args(words.split(' '));
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn ipmitool_makes_the_same_keys_of_both_suites() {
    for suite in [Suite::Three, Suite::Seventeen] {
        let bmc = Bmc::new(Manners { password: PASSWORD, ..Manners::default() }).await;
        let (well, said) = ipmitool(&bmc, (suite, PASSWORD), "chassis power on").await;
        assert!(well && bmc.seen.lock().unwrap().on, "{suite:?}: {said}");
        let (well, said) = ipmitool(&bmc, (suite, PASSWORD), "chassis power status").await;
        assert!(well && said.contains("Chassis Power is on"), "{suite:?}: {said}");
        let (well, said) = ipmitool(&bmc, (suite, "wrong"), "chassis power off").await;
        assert!(!well && bmc.seen.lock().unwrap().on, "{suite:?}: {said}");
    }
}
