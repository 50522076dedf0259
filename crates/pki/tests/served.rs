//! What a client of a running TLS server is shown: by the real library at both ends, over a wire in memory, with a clock
//! that the test sets.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::{Span, WallTime};
use pki::ca::{Issued, LabCa};
use pki::renewal::{LIFETIME, Validity};
use pki::slot::Slot;
use pki::vault::Vault;
use pki::x509::{OsRandom, Request, Seeded};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
};

const DAY: u64 = 86_400_000;
const BEGIN: u64 = 20_783 * DAY;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("labinator-served-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The date, for both ends.
#[derive(Debug, Clone)]
struct Date(Arc<AtomicU64>);

impl Date {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(BEGIN)))
    }

    fn now(&self) -> WallTime {
        WallTime(self.0.load(Ordering::SeqCst))
    }

    fn pass(&self, span: u64) {
        self.0.fetch_add(span, Ordering::SeqCst);
    }
}

impl TimeProvider for Date {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.now().0)))
    }
}

fn slot(date: &Date) -> Arc<Slot> {
    let date = date.clone();
    Arc::new(Slot::new(Arc::new(move || Some(date.now()))))
}

fn client(root: &[u8], date: &Date) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(root.to_vec())).unwrap();
    let config =
        ClientConfig::builder_with_details(Arc::new(ring::default_provider()), Arc::new(date.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    Arc::new(config)
}

/// Two ends, shaken hands.
struct Line(ClientConnection, ServerConnection);

impl Line {
    fn open(
        server: &Arc<ServerConfig>,
        client: &Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, rustls::Error> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut line = Self(
            ClientConnection::new(Arc::clone(client), name).unwrap(),
            ServerConnection::new(Arc::clone(server)).unwrap(),
        );
        while line.0.is_handshaking() || line.1.is_handshaking() {
            line.turn()?;
        }
        Ok(line)
    }

    fn turn(&mut self) -> Result<(), rustls::Error> {
        let mut wire = Vec::new();
        self.0.write_tls(&mut wire).unwrap();
        self.1.read_tls(&mut wire.as_slice()).unwrap();
        let served = self.1.process_new_packets();
        let mut wire = Vec::new();
        self.1.write_tls(&mut wire).unwrap();
        self.0.read_tls(&mut wire.as_slice()).unwrap();
        served?;
        self.0.process_new_packets().map(|_| ())
    }

    /// A line of a stream, from server to client.
    fn say(&mut self, text: &str) -> String {
        use std::io::{Read as _, Write as _};
        self.1.writer().write_all(text.as_bytes()).unwrap();
        self.turn().unwrap();
        let mut got = vec![0; text.len()];
        self.0.reader().read_exact(&mut got).unwrap();
        String::from_utf8(got).unwrap()
    }
}

fn renewed(folder: &Folder, slot: &Slot, now: WallTime) -> (LabCa, Issued) {
    let vault = Vault::open(&folder.0).unwrap();
    let mut random = OsRandom::new();
    let ca = LabCa::open(&vault, "lab", now, &mut random).unwrap();
    let names = ["boss.lab".parse().unwrap(), "10.0.0.1".parse().unwrap()];
    let issued = ca.issue(&names, LIFETIME, now, &mut random).unwrap();
    let end = issued.identity.certificate.not_after();
    slot.put(&issued, Validity::issued(now, LIFETIME, end, 0)).unwrap();
    (ca, issued)
}

#[test]
fn over_days_off_the_same_root_is_served_a_valid_chain_and_nothing_that_ended() {
    let folder = Folder::new("days");
    let date = Date::new();
    let slot = slot(&date);
    let server = Arc::new(slot.config().unwrap());
    let (ca, _) = renewed(&folder, &slot, date.now());
    let client = client(ca.root().der(), &date);
    assert!(Line::open(&server, &client, "boss.lab").is_ok());
    assert!(Line::open(&server, &client, "10.0.0.1").is_ok());
    for days in [3, 30, 400, 700, 800] {
        date.pass(days * DAY);
        assert!(slot.shown().is_none(), "{days}: what ended is not shown, whether or not somebody looked");
        assert!(Line::open(&server, &client, "boss.lab").is_err());
        let (again, _) = renewed(&folder, &slot, date.now());
        assert_eq!(again.root().der(), ca.root().der(), "clients know this root");
        assert!(Line::open(&server, &client, "boss.lab").is_ok(), "{days}");
    }
    // 400 and 700 days are longer than an authority of a lab is kept, and the root stood through it.
    date.pass(3_652 * DAY);
    let vault = Vault::open(&folder.0).unwrap();
    let ended = LabCa::open(&vault, "lab", date.now(), &mut OsRandom::new()).unwrap_err();
    assert_eq!(ended.code(), "root_invalid");
    LabCa::forget(&vault).unwrap();
    let (new, _) = renewed(&folder, &slot, date.now());
    assert_ne!(new.root().der(), ca.root().der());
    assert!(Line::open(&server, &client, "boss.lab").is_err(), "a client is not led to a new root by itself");
}

#[test]
fn a_hundred_renewals_close_no_connection_and_lose_no_line() {
    let folder = Folder::new("stream");
    let date = Date::new();
    let slot = slot(&date);
    let server = Arc::new(slot.config().unwrap());
    let (ca, _) = renewed(&folder, &slot, date.now());
    let client = client(ca.root().der(), &date);
    let mut old = Line::open(&server, &client, "boss.lab").unwrap();
    let mut shown = Vec::new();
    for count in 0..100 {
        renewed(&folder, &slot, date.now());
        date.pass(DAY / 2);
        assert_eq!(old.say(&format!("line {count}\n")), format!("line {count}\n"));
        let mut line = Line::open(&server, &client, "boss.lab").unwrap();
        assert_eq!(line.say("x"), "x");
        shown.push(line.0.peer_certificates().unwrap()[0].clone());
    }
    shown.dedup();
    assert_eq!(shown.len(), 100, "each is another certificate");
}

#[test]
fn another_lab_throws_the_authority_away_and_keeps_the_root() {
    let folder = Folder::new("labs");
    let vault = Vault::open(&folder.0).unwrap();
    let mut random = Seeded::new([1; 32]);
    let now = WallTime(BEGIN);
    let one = LabCa::open(&vault, "one", now, &mut random).unwrap();
    let same = LabCa::open(&vault, "one", WallTime(BEGIN + 100 * DAY), &mut random).unwrap();
    assert_eq!(one.lab().der(), same.lab().der());
    let two = LabCa::open(&vault, "two", now, &mut random).unwrap();
    assert_eq!(one.root().der(), two.root().der());
    assert_eq!(two.lab().organizations(), ["two"]);
    let again = LabCa::open(&vault, "one", now, &mut random).unwrap();
    assert_ne!(one.lab().der(), again.lab().der());
    // No key lies about in the clear.
    let text: Vec<u8> = ["ca-root.sealed", "ca-lab.sealed"]
        .iter()
        .flat_map(|file| std::fs::read(folder.0.join(file)).unwrap())
        .collect();
    assert!(!text.windows(7).any(|part| part == b"PRIVATE"));
}

#[test]
fn a_granted_certificate_ends_with_its_authority_at_the_latest_and_is_taken_by_a_client() {
    let folder = Folder::new("grant");
    let vault = Vault::open(&folder.0).unwrap();
    let date = Date::new();
    let mut random = OsRandom::new();
    let ca = LabCa::open(&vault, "lab", date.now(), &mut random).unwrap();
    let key = pki::x509::PrivateKey::mint(pki::x509::KeyKind::P256, &mut random).unwrap();
    let request = Request::read(&Request::write(&key, &["registry.lab".parse().unwrap()]).unwrap()).unwrap();
    let granted = ca.grant(&request, Span::secs(100_000 * 86_400), date.now(), &mut random).unwrap();
    assert_eq!(granted.not_after(), ca.lab().not_after());
    let slot = slot(&date);
    let chain = ca.chain(&granted);
    let validity = Validity::issued(date.now(), LIFETIME, granted.not_after(), 0);
    slot.put(&Issued { identity: pki::x509::Identity { certificate: granted, key }, chain }, validity)
        .unwrap();
    let server = Arc::new(slot.config().unwrap());
    let client = client(ca.root().der(), &date);
    assert!(Line::open(&server, &client, "registry.lab").is_ok());
    let refused = Line::open(&server, &client, "other.lab").err().unwrap();
    assert!(matches!(refused, rustls::Error::InvalidCertificate(_)), "{refused}");
}

#[test]
fn a_clock_that_is_not_believed_shows_nothing() {
    let folder = Folder::new("clock");
    let date = Date::new();
    let believed = Arc::new(Mutex::new(true));
    let asked = (date.clone(), Arc::clone(&believed));
    let slot = Arc::new(Slot::new(Arc::new(move || asked.1.lock().unwrap().then(|| asked.0.now()))));
    renewed(&folder, &slot, date.now());
    assert!(slot.shown().is_some());
    *believed.lock().unwrap() = false;
    assert!(slot.shown().is_none());
}
