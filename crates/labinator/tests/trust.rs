//! The page over TLS as a client meets it: over real sockets, with the built program, and with clocks that the test sets.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop")]

#[path = "trust/house.rs"]
mod house;
#[path = "trust/rights.rs"]
mod rights;
#[path = "lost_writes/stand.rs"]
mod stand;

use std::time::Duration;

use api::{CertificateList, RootCertificate, ServiceState};
use house::{BEGIN, DAY, House, TOKEN};
use labinator::clock::Clock;
use labinator::trust::{How, Trust};
use model::{LabTime, WallTime};

fn clock_at(wall: u64) -> Clock {
    Clock::virtual_from(LabTime(1), WallTime(wall))
}

#[tokio::test]
async fn the_page_is_served_over_tls_to_whoever_knows_the_root_by_file_or_fingerprint() {
    let house = House::open("served", Clock::after(None)).await;
    let root: RootCertificate = house.send("GET", "/v1/certificates/root", "", &[]).await.json();
    let by_fingerprint = ["--ca", &root.certificate.fingerprint];
    let status = house.run(&["cert", "status", "--json"], &by_fingerprint, TOKEN).await;
    let list: CertificateList = serde_json::from_str(&status.out).unwrap();
    assert!(list.clock.believed, "{list:?}");
    assert_eq!(list.services[0].state, ServiceState::Serving);
    assert_eq!(list.root.unwrap().fingerprint, root.certificate.fingerprint);
    let names = &list.services[0].certificate.as_ref().unwrap().names;
    let boss = stand::spec(1).network.boss.to_string();
    assert!(
        ["localhost", "127.0.0.1", "::1", &boss].iter().all(|name| names.iter().any(|n| n == name)),
        "{names:?}"
    );

    let file = house.folder.join("root.pem");
    std::fs::write(&file, &root.pem).unwrap();
    let by_file = ["--ca", file.to_str().unwrap()];
    assert_eq!(house.run(&["status", "--json"], &by_file, TOKEN).await.code, 0);

    let nobody = house.run(&["status"], &[], TOKEN).await;
    assert!(nobody.code == 1 && nobody.err.contains("root is not known here"), "{}", nobody.err);
    let other = format!("sha256:{}", "00".repeat(32));
    let refused = house.run(&["status"], &["--ca", &other], TOKEN).await;
    assert!(refused.code == 1 && refused.err.contains("it is another lab"), "{}", refused.err);
    let wrong = house.run(&["status"], &by_fingerprint, "0".repeat(32).as_str()).await;
    assert_eq!((wrong.code, wrong.out.as_str()), (3, ""), "{}", wrong.err);
}

#[tokio::test]
async fn a_certificate_for_another_server_is_issued_with_a_key_that_never_leaves() {
    let house = House::open("issue", Clock::after(None)).await;
    let root: RootCertificate = house.send("GET", "/v1/certificates/root", "", &[]).await.json();
    let to = house.folder.join("out");
    std::fs::create_dir(&to).unwrap();
    let line = ["cert", "issue", "registry.lab", "10.0.0.5", "--hours", "48", "--out", to.to_str().unwrap()];
    let ca = ["--ca", &root.certificate.fingerprint];
    let issued = house.run(&line, &ca, TOKEN).await;
    assert_eq!(issued.code, 0, "{}", issued.err);
    let chain = std::fs::read_to_string(to.join("registry.lab.pem")).unwrap();
    let key = std::fs::read_to_string(to.join("registry.lab.key")).unwrap();
    assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 2);
    let leaf = pki::x509::Identity::from_pem(&chain, &key).unwrap().certificate;
    assert_eq!(leaf.names(), ["registry.lab"]);
    let hours = (leaf.not_after().0 - leaf.not_before().0) / 3_600_000;
    assert_eq!(hours, 49, "48 and one before now");
    let again = house.run(&line, &ca, TOKEN).await;
    assert!(again.code == 1 && again.err.contains("--force"), "{}", again.err);
    let broken = r#"{"request":"-----BEGIN X-----\nAAAA\n-----END X-----\n","by":"cli"}"#;
    let refused = house
        .send("POST", "/v1/certificates/issue", broken, &[("authorization", format!("Bearer {TOKEN}"))])
        .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[tokio::test]
async fn a_hundred_renewals_close_no_stream_and_each_is_shown_to_the_next_client() {
    let house = House::open("stream", Clock::after(None)).await;
    let mut stream = house.open_stream(TOKEN).await;
    let mut shown = Vec::new();
    for _ in 0..100 {
        house.trust.renew(How::Plain).await.unwrap();
        shown.push(house.shown().await);
    }
    let all = shown.len();
    shown.sort();
    shown.dedup();
    assert_eq!((all, shown.len()), (100, 100));
    house.trust.renew(How::NewRoot).await.unwrap();
    assert!(stream.is_open().await, "the stream that was opened first goes on");
    let old = house.run(&["status"], &["--ca", &house.root], TOKEN).await;
    assert!(old.code == 1 && old.err.contains("has another root now"), "{}", old.err);
}

/// Real restarts: each time everything is read from the disk anew.
#[tokio::test]
async fn after_3_30_and_400_days_off_it_serves_at_the_first_look_and_clients_keep_their_root() {
    let folder = house::Folder::new("days");
    let spec = stand::spec(1);
    let mut wall = BEGIN;
    let mut root = None;
    for days in [0, 3, 30, 400, 400, 400] {
        wall += days * DAY;
        let trust = Trust::new(clock_at(wall), &spec, &folder.0, ([127, 0, 0, 1], 8080).into());
        assert!(trust.waiting().is_some());
        trust.look().await;
        assert_eq!(trust.waiting(), None, "{days}");
        let own = trust.root().unwrap().fingerprint();
        assert_eq!(*root.get_or_insert(own), own, "{days}");
        let list = trust.list();
        let leaf = list.services[0].certificate.as_ref().unwrap();
        assert!(leaf.not_before.0 < wall && wall < leaf.not_after.0);
    }
}

/// One process that sleeps: nothing but the wall clock tells it.
#[tokio::test(start_paused = true)]
async fn a_leaf_that_ended_while_the_boss_slept_is_not_shown_and_replaced_at_the_next_look() {
    let folder = house::Folder::new("slept");
    let clock = clock_at(BEGIN);
    let trust = Trust::new(clock, &stand::spec(1), &folder.0, ([127, 0, 0, 1], 8080).into());
    trust.look().await;
    for days in [3, 30, 400] {
        tokio::time::advance(Duration::from_millis(days * DAY)).await;
        assert!(trust.slot().shown().is_none() && trust.waiting().is_some(), "{days}");
        trust.look().await;
        assert_eq!(trust.waiting(), None, "{days}");
        let why = trust.list().services[0].renewed_because.clone();
        assert!(why.starts_with("it had ended"), "{why}");
    }
}

#[tokio::test]
async fn a_clock_that_begins_anew_is_named_and_a_person_may_say_that_it_is_right() {
    let folder = house::Folder::new("clock");
    let spec = stand::spec(1);
    let open = |wall| Trust::new(clock_at(wall), &spec, &folder.0, ([127, 0, 0, 1], 8080).into());
    let at_first = open(BEGIN);
    at_first.look().await;
    for (wall, code) in
        [(0, "clock_before_program"), (BEGIN - 90 * DAY, "clock_behind"), (BEGIN * 2, "clock_ahead")]
    {
        let trust = open(wall);
        trust.look().await;
        assert_eq!(trust.waiting().map(|waiting| waiting.code()), Some(code));
        let list = trust.list();
        assert_eq!((list.clock.believed, list.clock.code.as_str()), (false, code));
        assert_eq!(list.services[0].state, ServiceState::Waiting);
    }
    let trust = open(0);
    trust.look().await;
    assert!(trust.renew(How::BelieveClock).await.is_err(), "nobody wrote this program in 1970");
    let trust = open(BEGIN - 90 * DAY);
    trust.renew(How::BelieveClock).await.unwrap();
    let waiting = trust.waiting();
    // The root was made later than that, so another is needed, and that is said, too.
    assert_eq!(waiting.map(|waiting| waiting.code()), Some("authority_away"));
    assert!(trust.list().services[0].why.contains("the root is not valid at this date"));
    trust.renew(How::NewRoot).await.unwrap();
    assert_eq!(trust.waiting(), None);
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_named_and_begins_by_itself_when_it_can() {
    let folder = house::Folder::new("store");
    let secrets = folder.0.join("secrets");
    std::fs::write(&secrets, b"not a folder").unwrap();
    let clock = clock_at(BEGIN);
    let trust = Trust::new(clock, &stand::spec(1), &folder.0, ([127, 0, 0, 1], 8080).into());
    let (mut running, told) = (tokio::task::JoinSet::new(), trust.clone());
    running.spawn(trust.clone().run());
    let waits = |code: Option<&'static str>| {
        let told = told.clone();
        async move {
            while told.waiting().map(|waiting| waiting.code()) != code {
                tokio::task::yield_now().await;
            }
        }
    };
    house::soon(waits(Some("authority_away"))).await;
    assert!(trust.list().services[0].failed.as_ref().unwrap().contains("secrets"));
    std::fs::remove_file(&secrets).unwrap();
    // At the latest one pause after; here a person does not wait for it.
    trust.renew(How::Plain).await.unwrap();
    house::soon(waits(None)).await;
}

/// A promise is as good as the test that holds it.
#[test]
fn every_promise_of_the_threat_model_names_a_test_that_is_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let named: Vec<(&str, &str)> =
        page.split('`').skip(1).step_by(2).filter_map(|word| word.split_once("::")).collect();
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains("::")).count();
    assert!(rows >= 15 && named.len() >= rows, "{rows} promises, {} tests", named.len());
    for (file, test) in named {
        let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}(")), "{file} has no test {test}");
    }
}
