//! Redfish against the emulator (`sushy-tools` of `PyPI`), with its machines in memory, over http and https.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what was not tested")]

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Driven, failed, kept};
use model::{DeviceKind, DeviceSight, Outcome, PortSense, PowerOrder, WebDevice, WebDialect};

const SYSTEM: &str = "11111111-1111-1111-1111-111111111111";

/// The emulator on a port of its own.
struct Emulator {
    folder: PathBuf,
    port: u16,
    child: Child,
    https: bool,
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Where the stage put the emulator; none where it could not have it.
fn program() -> Option<PathBuf> {
    let suites = std::env::var_os("LABINATOR_SUITES").unwrap_or_default();
    let program = Path::new(&suites).join("pypi/sushy-tools/bin/sushy-emulator");
    if !program.is_file() {
        println!("SKIPPED sushy-tools of PyPI is not installed at {}", program.display());
        return None;
    }
    Some(program)
}

impl Emulator {
    fn new(name: &str, https: bool) -> Option<Self> {
        let program = program()?;
        let folder = std::env::temp_dir().join(format!("drivers-redfish-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // What it wants is bcrypt of `pass`.
        let users = "admin:$2b$04$vw7Xd5j4pQezmvah7ryzGeGyvEHnB6Ndc3x2UnOfs//Oeyuku3B9O\n";
        fs::write(folder.join("users"), users).unwrap();
        fs::write(
            folder.join("settings"),
            format!(
                "SUSHY_EMULATOR_FAKE_DRIVER = True\nSUSHY_EMULATOR_AUTH_FILE = '{}'\n\
                 SUSHY_EMULATOR_STATE_DIR = '{}'\nSUSHY_EMULATOR_FAKE_SYSTEMS = [{{'uuid': '{SYSTEM}', \
                 'name': 'node1', 'power_state': 'Off', 'external_notifier': False, 'nics': []}}]\n",
                folder.join("users").display(),
                folder.display()
            ),
        )
        .unwrap();
        let log = fs::File::create(folder.join("said")).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(folder.join("settings"));
        command.args(["--fake", "-i", "127.0.0.1", "-p", &port.to_string()]);
        if https {
            certificate(&folder);
            command.arg("--ssl-certificate").arg(folder.join("cert.pem"));
            command.arg("--ssl-key").arg(folder.join("key.pem"));
        }
        let said = (log.try_clone().unwrap(), log);
        let child = command.stdin(Stdio::null()).stdout(said.0).stderr(said.1).spawn().unwrap();
        let mut emulator = Self { folder, port, child, https };
        emulator.answers();
        Some(emulator)
    }

    fn answers(&mut self) {
        let end = Instant::now() + Duration::from_secs(60);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let said = fs::read_to_string(self.folder.join("said")).unwrap();
            assert!(self.child.try_wait().unwrap().is_none() && Instant::now() < end, "{said}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    fn drive(&self, port: &str, password: &str, certificate: Option<String>) -> Driven {
        let scheme = if self.https { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}", self.port);
        let device = WebDevice { url, credentials: Some(kept("bmc")), certificate, watts: None };
        let secret = format!("admin:{password}");
        Driven::new(DeviceKind::Web { dialect: WebDialect::Redfish, device }, &[port], &[("bmc", &secret)])
    }
}

/// A certificate that nobody signed, as controllers have them.
fn certificate(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=bmc", "-keyout", "key.pem", "-out", "cert.pem"]);
    let output = openssl.current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn the_emulators_system_is_switched_and_read_by_its_id_and_as_the_only_one() {
    // The emulator takes up to 11 seconds for each deed, as controllers do.
    let both = [("1", [(PowerOrder::On, true), (PowerOrder::Soft, false)])];
    for (port, orders) in
        both.into_iter().chain([(SYSTEM, [(PowerOrder::On, true), (PowerOrder::Off, false)])])
    {
        let Some(emulator) = Emulator::new("switched", false) else { return };
        let mut driven = emulator.drive(port, "pass", None);
        match driven.sight().await {
            DeviceSight::Answers { about } => assert!(about.starts_with("Redfish 1."), "{about}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(driven.reading().await.sense, PortSense::Machine(false));
        for (order, on) in orders {
            assert_eq!(driven.order(port, order).await, Outcome::Done, "{order}");
            let wanted = PortSense::Machine(on);
            let seen = format!("{wanted:?}");
            // A machine that is asked to stop stops when it has: then it is read so.
            if !driven.passed.iter().any(|report| format!("{report:?}").contains(&seen)) {
                assert_eq!(driven.reading().await.sense, wanted, "{order}");
            }
            driven.passed.clear();
        }
        let (code, why) = failed(driven.order(port, PowerOrder::Press).await);
        assert!(code == "not-supported" && why.contains("GracefulShutdown"), "{code}: {why}");
    }
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn a_wrong_password_and_a_system_that_is_not_there_are_named() {
    let Some(emulator) = Emulator::new("refused", false) else { return };
    let (code, why) = emulator.drive("1", "wrong", None).lost().await;
    assert!(code == "credentials" && why.contains("password of `admin`"), "{code}: {why}");
    let (code, why) = emulator.drive("blade-7", "pass", None).lost().await;
    assert!(code == "no-such-port" && why.contains(SYSTEM), "{code}: {why}");
    let said = fs::read_to_string(emulator.folder.join("said")).unwrap();
    // The root is asked without a password, and with the wrong one once.
    assert_eq!(said.matches("\" 401 ").count(), 3, "{said}");
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn a_controller_that_nobody_signed_is_known_by_its_certificate_alone() {
    let Some(emulator) = Emulator::new("https", true) else { return };
    let (code, why) = emulator.drive("1", "pass", None).lost().await;
    assert!(code == "certificate" && why.contains("is not known yet"), "{code}: {why}");
    let at = why.find("sha256:").unwrap();
    let print = why[at..at + 71].to_owned();
    let mut driven = emulator.drive("1", "pass", Some(print.clone()));
    assert_eq!(driven.order("1", PowerOrder::On).await, Outcome::Done);
    // One digit is another; not by search, which may find the same digits in the name of the hash.
    let digit = if print.as_bytes().get(7) == Some(&b'0') { '1' } else { '0' };
    let other = format!("sha256:{digit}{}", &print[8..]);
    let (code, why) = emulator.drive("1", "pass", Some(other)).lost().await;
    assert!(code == "certificate" && why.contains("if it is still the same device"), "{code}: {why}");
    let said = fs::read_to_string(emulator.folder.join("said")).unwrap();
    assert!(!said.contains("\" 401 401"), "{said}");
}
