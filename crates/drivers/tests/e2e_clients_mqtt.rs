//! MQTT against Mosquitto: with a password, over TLS, with kept states, and with the last will of a device that is killed.
#![expect(clippy::unwrap_used, reason = "a test may stop")]
#![expect(clippy::expect_used, reason = "a test may stop")]
#![expect(clippy::panic, reason = "a test may stop")]

mod bench;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Driven, failed, kept};
use model::{DeviceKind, DeviceSight, MqttDevice, MqttTopics, Outcome, PortReading, PortSense, PowerOrder};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Mosquitto on ports of its own, with a user `lab` who may all, and TLS on the second.
struct Broker {
    folder: PathBuf,
    plain: u16,
    tls: u16,
    child: Child,
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn run(program: &str, package: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|why| panic!("{program} of the package {package}: {why}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

impl Broker {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("drivers-mqtt-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        run("mosquitto_passwd", "mosquitto", &["-c", "-b", &path("users"), "lab", "pass"]);
        let subject = ["-subj", "/CN=hub", "-days", "2", "-nodes"];
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
        let files = ["-keyout", &path("key"), "-out", &path("certificate")];
        run("openssl", "openssl", &[&["req", "-x509"][..], &key, &subject, &files].concat());
        let (plain, tls) = (free_port(), free_port());
        let settings = format!(
            "allow_anonymous false\npassword_file {}\nuser root\nlistener {plain} 127.0.0.1\n\
             listener {tls} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            path("users"),
            path("certificate"),
            path("key")
        );
        fs::write(folder.join("settings"), settings).unwrap();
        let log = fs::File::create(folder.join("said")).unwrap();
        let child = Command::new("/usr/sbin/mosquitto")
            .args(["-c", &path("settings")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|why| panic!("mosquitto of the package mosquitto: {why}"));
        let mut broker = Self { folder, plain, tls, child };
        let end = Instant::now() + Duration::from_secs(20);
        for port in [plain, tls] {
            while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
                let said = fs::read_to_string(broker.folder.join("said")).unwrap();
                assert!(broker.child.try_wait().unwrap().is_none(), "mosquitto ended: {said}");
                assert!(Instant::now() < end, "mosquitto does not listen: {said}");
            }
        }
        broker
    }

    /// What Mosquitto's own clients are told.
    fn client<'a>(&'a self, port: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["-h", "127.0.0.1", "-p", port, "-u", "lab", "-P", "pass"], more].concat()
    }

    fn say(&self, topic: &str, payload: &str) {
        let port = self.plain.to_string();
        let arguments = self.client(&port, &["-r", "-q", "1", "-t", topic, "-m", payload]);
        run("mosquitto_pub", "mosquitto-clients", &arguments);
    }

    fn drive(&self, url: String, certificate: Option<String>, secret: &str) -> Driven {
        let topics = MqttTopics::Own {
            set: "cmnd/{port}/POWER".to_owned(),
            state: "stat/{port}/POWER".to_owned(),
            availability: Some("tele/{port}/LWT".to_owned()),
            on: "ON".to_owned(),
            off: "OFF".to_owned(),
            key: None,
            watts: None,
        };
        let device = MqttDevice { url, credentials: Some(kept("hub")), certificate, topics };
        Driven::new(DeviceKind::Mqtt(Box::new(device)), &["desk"], &[("hub", secret)])
    }
}

/// A device with a last will, which is `mosquitto_sub`; killed, it says no goodbye.
struct Device(Child, mpsc::UnboundedReceiver<String>);

impl Drop for Device {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Device {
    async fn new(broker: &Broker) -> Self {
        let port = broker.plain.to_string();
        let will = ["--will-topic", "tele/desk/LWT", "--will-payload", "Offline", "--will-retain"];
        let wants = ["-t", "cmnd/desk/POWER", "-t", "hello"];
        let mut child = Command::new("mosquitto_sub")
            .args(broker.client(&port, &[&will[..], &wants].concat()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|why| panic!("mosquitto_sub of the package mosquitto-clients: {why}"));
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, hears) = mpsc::unbounded_channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut device = Self(child, hears);
        // It listens when it hears what was kept.
        broker.say("hello", "you");
        assert_eq!(device.hears().await, "you");
        broker.say("tele/desk/LWT", "Online");
        device
    }

    async fn hears(&mut self) -> String {
        let line = timeout(Duration::from_secs(20), self.1.recv()).await;
        line.expect("it hears something").expect("mosquitto_sub runs")
    }
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn a_switch_behind_mosquitto_is_told_and_heard_and_its_last_will_makes_it_unknown() {
    let broker = Broker::new("told");
    let mut device = Device::new(&broker).await;
    broker.say("stat/desk/POWER", "OFF");
    let mut driven = broker.drive(format!("mqtt://127.0.0.1:{}", broker.plain), None, "lab:pass");
    match driven.sight().await {
        DeviceSight::Answers { about } => {
            assert!(about.starts_with("switches behind mqtt://"), "{about}");
        }
        other => panic!("{other:?}"),
    }
    let supply = |on| PortReading { sense: PortSense::Supply(on), milliwatts: None };
    assert_eq!(driven.reading().await, supply(false));
    let order = driven.begin("desk", PowerOrder::On);
    assert_eq!(device.hears().await, "ON");
    broker.say("stat/desk/POWER", "ON");
    assert_eq!(driven.end(order).await, Outcome::Done);
    drop(device);
    loop {
        // What was read when the order was done may still be on its way.
        if driven.reading().await == PortReading::default() {
            break;
        }
    }
    // Kept, too: who comes later hears both, and believes the will.
    let mut later = broker.drive(format!("mqtt://127.0.0.1:{}", broker.plain), None, "lab:pass");
    assert_eq!(later.reading().await, PortReading::default());
}

#[tokio::test]
#[ignore = "stage e2e-clients"]
async fn mosquitto_is_known_by_its_certificate_and_a_wrong_password_is_shown_once() {
    let broker = Broker::new("known");
    broker.say("stat/desk/POWER", "ON");
    let url = format!("mqtts://127.0.0.1:{}", broker.tls);
    let mut stranger = broker.drive(url.clone(), None, "lab:pass");
    let (code, why) = stranger.lost().await;
    assert_eq!(code, "certificate", "{why}");
    let shown = why.split("if it is ").nth(1).unwrap().split(',').next().unwrap();
    let mut driven = broker.drive(url.clone(), Some(shown.to_owned()), "lab:pass");
    assert_eq!(driven.reading().await.sense, PortSense::Supply(true));
    let other = format!("sha256:{}", "12".repeat(32));
    let (code, why) = broker.drive(url.clone(), Some(other.clone()), "lab:pass").lost().await;
    assert!(code == "certificate" && why.contains(shown) && why.contains(&other), "{code}: {why}");

    let mut wrong = broker.drive(url, Some(shown.to_owned()), "lab:other");
    let (code, why) = wrong.lost().await;
    assert!(code == "credentials" && why.contains("is the password of `lab` right?"), "{code}: {why}");
    for _ in 0..3 {
        assert_eq!(failed(wrong.order("desk", PowerOrder::On).await).0, "credentials");
    }
    let said = fs::read_to_string(broker.folder.join("said")).unwrap();
    assert_eq!(said.matches("not authorised").count(), 1, "{said}");
}
