//! Certificates by ACME, asked for by certbot on a machine of the lab.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use e2e::client::Client;
use e2e::controller::Controller;
use e2e::ground::{given, said, until};
use e2e::house::House;
use e2e::lab::{self, BOSS};

/// The address that the lab file gives node1.
const NODE: &str = "10.79.0.11";
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

struct Stand {
    certbot: PathBuf,
    controller: Controller,
    house: House,
    root: PathBuf,
}

fn stand() -> Stand {
    let certbot = given("LABINATOR_SUITES").join("pypi/certbot/bin/certbot");
    assert!(certbot.is_file(), "{} is missing: run `cargo xtask test --only e2e-clients`", certbot.display());
    let house = House::new();
    let text = format!(
        "lab: bench\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: {BOSS}, dhcp: authoritative, domain: bench.example }}\n\
         power: {{ rack: {{ driver: manual }} }}\n\
         board:\n  columns: 1\n  nodes:\n\
         \x20   node1: {{ at: [1, 1], mac: {}, ip: {NODE}, power: rack/1 }}\n",
        lab::mac(1)
    );
    let file = house.write("lab.yaml", text);
    let controller = Controller::start_at(&house, &file, &format!("{BOSS}:8080"));
    let pem = until(LIMIT, "the lab has a root", || {
        let output = controller.verb("cert root").output().unwrap();
        output.status.success().then_some(output.stdout)
    });
    let root = house.write("root.pem", pem);
    Stand { certbot, controller, house, root }
}

impl Stand {
    fn machine(&self) -> Client<'_> {
        Client::with_address(&self.house, "node1", "02:4c:41:00:03:01", NODE)
    }

    /// certbot on a machine, which trusts the lab's root and nothing else.
    fn certbot(&self, machine: &Client<'_>, words: &str) -> Output {
        let folder = self.house.path("certbot");
        let mut command = machine.command(180, &self.certbot);
        command.args(words.split_whitespace()).args(["--non-interactive", "--server"]);
        command.arg(format!("https://{BOSS}:8080/acme/directory"));
        for (word, name) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            command.arg(word).arg(folder.join(name));
        }
        command.env("REQUESTS_CA_BUNDLE", &self.root).output().unwrap()
    }

    fn live(&self, name: &str) -> PathBuf {
        self.house.path("certbot/config/live").join(name)
    }

    /// What openssl says of a chain below the lab's root.
    fn verified(&self, folder: &Path) {
        let (root, folder) = (self.root.display(), folder.display());
        self.house.shell(&format!(
            "openssl verify -purpose sslserver -CAfile {root} -untrusted {folder}/chain.pem {folder}/cert.pem"
        ));
    }
}

const ASK: &str =
    "certonly --standalone --agree-tos --register-unsafely-without-email --preferred-challenges http";

#[test]
#[ignore = "stage e2e-clients"]
fn certbot_gets_renews_and_revokes_a_certificate() {
    let stand = stand();
    let machine = stand.machine();
    let names = "--cert-name web -d node1 -d node1.bench.example";
    let output = stand.certbot(&machine, &format!("{ASK} {names}"));
    assert!(output.status.success(), "{}", said(&output));
    let live = stand.live("web");
    stand.verified(&live);
    let text = stand
        .house
        .shell(&format!("openssl x509 -in {}/cert.pem -noout -ext subjectAltName", live.display()));
    assert!(text.contains("DNS:node1,") && text.contains("DNS:node1.bench.example"), "{text}");
    let first = fs::read(live.join("cert.pem")).unwrap();

    // The account and the certificate are known after the core died, too.
    let _ = stand.controller.replace("core");
    until(LIMIT, "the page is served again", || {
        let output = stand.controller.verb("cert status").output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("serving").then_some(())
    });
    let idle = stand.certbot(&machine, "renew --no-random-sleep-on-renew");
    assert!(idle.status.success() && said(&idle).contains("not due"), "{}", said(&idle));
    let output = stand.certbot(&machine, "renew --no-random-sleep-on-renew --force-renewal");
    assert!(output.status.success(), "{}", said(&output));
    stand.verified(&live);
    assert_ne!(fs::read(live.join("cert.pem")).unwrap(), first);

    let output =
        stand.certbot(&machine, "revoke --cert-name web --no-delete-after-revoke --reason superseded");
    assert!(output.status.success(), "{}", said(&output));
    let again = stand.certbot(&machine, "revoke --cert-name web --no-delete-after-revoke");
    assert!(said(&again).contains("already"), "{}", said(&again));
}

#[test]
#[ignore = "stage e2e-clients"]
fn nobody_gets_a_certificate_for_what_is_not_theirs() {
    let stand = stand();
    let machine = stand.machine();
    let output = stand.certbot(&machine, &format!("{ASK} -d www.example.org"));
    assert!(
        !output.status.success() && said(&output).contains("no name or address of this lab"),
        "{}",
        said(&output)
    );
    // Another machine that says it was node1: the boss asks node1 itself, and there is nobody.
    let other = Client::with_address(&stand.house, "other", "02:4c:41:00:03:02", "10.79.0.60");
    stand.house.shell("ip -n node1 addr del 10.79.0.11/20 dev eth0");
    let output = stand.certbot(&other, &format!("{ASK} -d node1"));
    assert!(!output.status.success() && said(&output).contains(NODE), "{}", said(&output));
    assert!(!stand.live("node1").exists());
}
