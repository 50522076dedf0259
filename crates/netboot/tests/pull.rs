//! A config that its machine fetches: for one boot, from one address, for some minutes, and never on the disk.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;
use std::sync::Arc;

use model::{Sight, Sighting};
use netboot::{ConfigOffer, Down, Sealed, Up};
use stand::{NODE1, NODE1_IP, NODE2_IP, Stand, table};
use wire::tftp::FetchSettings;
use zeroize::Zeroizing;

const SCRIPT: &str = "/boot/02-00-00-00-00-01.ipxe";
const CONFIG: &str = "machine:\n  token: abcdef.0123456789abcdef\n";

/// A board whose first node fetches its config in this boot.
fn publish(stand: &Stand, number: u64, boot: u32) {
    let mut table = table(&stand.shelf(), number);
    let node = Arc::make_mut(&mut table.nodes[0]);
    (node.pulls, node.boot) = (true, boot);
    stand.counter.publish(table).unwrap();
}

fn offer(boot: u32, seconds: u32) -> ConfigOffer {
    let config = Sealed::new(Zeroizing::new(CONFIG.to_owned()));
    ConfigOffer { node: "node1".parse().unwrap(), run: 1, boot, seconds, config }
}

/// Where this boot's kernel line says that its config is.
async fn place(stand: &Stand) -> String {
    let script = stand.get(NODE1_IP, SCRIPT).await.text();
    let url = script.split_whitespace().find_map(|word| word.strip_prefix("talos.config=")).unwrap();
    let path = &url[url.find("/c/").unwrap()..];
    assert_eq!(path.len(), "/c/".len() + 32, "{url}");
    path.to_owned()
}

fn asked(up: &Up) -> Option<Option<u64>> {
    match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::ConfigAsked { bytes }, .. }) => Some(*bytes),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_is_for_one_boot_one_address_and_some_minutes() {
    let stand = Stand::start(4);
    publish(&stand, 1, 1);
    let mut core = stand.core().await;
    let first = place(&stand).await;
    assert_eq!(place(&stand).await, first, "one boot has one word");
    // Before it is there, its own boot is told of, and nobody is given anything.
    let status = async |from: Ipv4Addr, path: &str| stand.get(from, path).await.status;
    assert_eq!(status(NODE1_IP, &first).await, 404);
    assert_eq!(core.find(asked).await, None);
    stand.counter.offer(offer(1, 600));
    for (from, path) in [
        (NODE2_IP, first.as_str()),
        (Ipv4Addr::new(127, 0, 0, 77), &first),
        (NODE1_IP, "/c/00000000000000000000000000000000"),
        (NODE1_IP, "/c/"),
        (NODE1_IP, "/c/node1"),
    ] {
        let refused = stand.get(from, path).await;
        assert_eq!((refused.status, refused.text().as_str()), (404, "no such file\n"), "{from} {path}");
    }
    for _ in 0..2 {
        let served = stand.get(NODE1_IP, &first).await;
        assert_eq!((served.status, served.text().as_str()), (200, CONFIG));
        assert_eq!(core.find(asked).await, Some(u64::try_from(CONFIG.len()).unwrap()));
    }
    // The next boot has another word, and what was laid ready for the one before is gone.
    publish(&stand, 2, 2);
    let second = place(&stand).await;
    assert_ne!(first, second);
    for path in [&first, &second] {
        assert_eq!(status(NODE1_IP, path).await, 404);
    }
    stand.counter.offer(offer(1, 600));
    assert_eq!(status(NODE1_IP, &second).await, 404, "laid ready for another boot");
    stand.counter.offer(offer(2, 0));
    assert_eq!(status(NODE1_IP, &second).await, 404, "its minutes are over");
    stand.counter.offer(offer(2, 600));
    assert_eq!(status(NODE1_IP, &first).await, 404, "the word of another boot");
    assert_eq!(status(NODE1_IP, &second).await, 200);
    stand.counter.withdraw(&"node1".parse().unwrap());
    assert_eq!(status(NODE1_IP, &second).await, 404, "it was withdrawn");
    // Whatever reads its kernel line from us is told the same word: PXELINUX over HTTP as over TFTP.
    let over_http = stand.get(NODE1_IP, "/pxelinux.cfg/01-02-00-00-00-00-01").await.text();
    let asked = FetchSettings::edk2("pxelinux.cfg/01-02-00-00-00-00-01", false);
    let (_, over_tftp, _) = stand.fetch(NODE1_IP, asked).await;
    for text in [over_http, String::from_utf8(over_tftp).unwrap()] {
        let told = format!("talos.config={}{second}", stand.base());
        assert!(text.contains("APPEND ") && text.contains(&told), "{told} is not in {text}");
    }
    // A machine that does not fetch its config has no word.
    let script = stand.get(NODE2_IP, "/boot/02-00-00-00-00-02.ipxe").await.text();
    assert!(!script.contains("talos.config"), "{script}");
    for file in std::fs::read_dir(&stand.folder.0).unwrap().map(|file| file.unwrap().path()) {
        let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(6).any(|part| part == b"abcdef"), "{} has the config", file.display());
    }
}

#[test]
fn a_config_is_shown_to_nobody_on_its_way() {
    let down = Down::OfferConfig(offer(1, 600));
    assert!(!format!("{down:?}").contains("token"), "{down:?}");
    let line = serde_json::to_string(&down).unwrap();
    assert_eq!(serde_json::from_str::<Down>(&line).unwrap(), down);
}
