//! Our own loader at the counter: nothing without the lab's word, then signed answers to the machine that asks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop")]

mod stand;

use std::net::Ipv4Addr;
use std::sync::Arc;

use model::{
    AgentKey, BootAnswer, BootTable, Digest, LoaderChoice, LoaderStep, MacAddr, ScriptAnswer, Sight,
    Sighting, TableChange,
};
use netboot::{Down, LoaderTrust, Up};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use stand::{BOSS, Core, NODE1, NODE1_IP, NODE2, NODE2_IP, STRANGER, Stand, table};
use wire::dhcp::{Architecture, Message, MessageType, OptionCode};
use wire::loader::{
    ASK_PATH, Answer, Ask, Asked, DELEGATION_PURPOSE, Delegation, FILE_X64, Medium, Nonce, Order, PLACE_SIZE,
    Processor, Refusal, Seed, Trust, WORD_PATH, Word, judge, plant, read_place, signed_text,
};

/// A file with the place in it that the lab's key goes to.
const FILE: usize = 4096;
const PLACE: usize = 1024;

fn lab_key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap()
}

fn public(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

fn check(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok()
}

/// The core's word for a counter's key.
fn word(key: AgentKey) -> Down {
    let delegation = Delegation { lab: "bench".parse().unwrap(), key: key.0, number: 7 }.text();
    let signature = lab_key().sign(&signed_text(DELEGATION_PURPOSE, delegation.as_bytes()));
    let signature = signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Down::TrustLoader(LoaderTrust { lab_key: AgentKey(public(&lab_key())), delegation, signature })
}

/// A counter with our loader; both nodes are to get it.
async fn house() -> (Stand, Core, AgentKey) {
    house_with(&plain()).await
}

/// A loader's file as it is built.
fn plain() -> Vec<u8> {
    let mut file = vec![0x5a; FILE];
    file[PLACE..PLACE + PLACE_SIZE].fill(0);
    let mark = [b"labinator:seed:".as_slice(), b"here:3f9a77c1d6e2"].concat();
    file[PLACE..PLACE + mark.len()].copy_from_slice(&mark);
    file
}

async fn house_with(file: &[u8]) -> (Stand, Core, AgentKey) {
    house_of(&[(FILE_X64, file)]).await
}

async fn house_of(files: &[(&str, &[u8])]) -> (Stand, Core, AgentKey) {
    let folder = stand::Folder::new();
    let loaders = folder.0.join("loaders");
    std::fs::create_dir_all(&loaders).unwrap();
    for (name, file) in files {
        std::fs::write(loaders.join(name), file).unwrap();
    }
    let stand = Stand::start_in(folder, 4);
    let mut core = stand.core().await;
    let key = core.find(|up| if let Up::Hello { loader_key, .. } = up { *loader_key } else { None }).await;
    core.publish(own(table(&stand.shelf(), 1))).await;
    (stand, core, key)
}

fn own(mut table: BootTable) -> BootTable {
    for node in &mut table.nodes {
        Arc::make_mut(node).loader = LoaderChoice::Labinator;
    }
    table
}

fn ask(macs: &[MacAddr], hold: u16) -> Ask {
    Ask {
        nonce: Nonce([9; 16]),
        macs: macs.to_vec(),
        uuid: None,
        serial: None,
        firmware: "test".to_owned(),
        loader: "0".to_owned(),
        medium: Medium::Pxe,
        number: 1,
        hold,
    }
}

async fn answer(stand: &Stand, from: Ipv4Addr, ask: &Ask) -> Result<Answer, Refusal> {
    let answer = stand.post(from, ASK_PATH, &ask.text()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let asked = Asked { nonce: ask.nonce, macs: &ask.macs, elapsed_ms: 0 };
    let trust = Trust { lab_key: Some(public(&lab_key())), least: 0 };
    judge(&answer.body, &asked, trust, check).map(|judged| judged.answer)
}

/// The file that firmware of this architecture is offered.
async fn offered(stand: &Stand, mac: MacAddr, arch: Architecture) -> String {
    let mut discover = Message::request(MessageType::Discover, mac, 1);
    discover.options.set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003000");
    discover.options.set(OptionCode::ARCHITECTURES, arch.0.to_be_bytes());
    let offer = stand.exchange(&discover).await.unwrap();
    String::from_utf8(offer.file).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_labs_word_nothing_is_signed_and_firmware_gets_ipxe() {
    let (stand, mut core, key) = house().await;
    assert_eq!(stand.post(NODE1_IP, ASK_PATH, &ask(&[NODE1], 0).text()).await.status, 503);
    assert_eq!(offered(&stand, NODE1, Architecture::EFI_BC).await, "snponly.efi");
    assert_eq!(stand.get(NODE1_IP, &format!("/{FILE_X64}")).await.status, 404);
    // A word for another key is none.
    core.tell(&word(AgentKey([3; 32]))).await;
    core.tell(&word(key)).await;
    stand::until(|| (stand.counter.table_number() == Some(1)).then_some(())).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    assert!(answer(&stand, NODE1_IP, &ask(&[NODE1], 0)).await.is_ok());
    assert_eq!(offered(&stand, NODE1, Architecture::EFI_BC).await, FILE_X64);
    assert_eq!(offered(&stand, NODE1, Architecture::BIOS).await, "undionly.kpxe");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_processor_gets_its_own_file_with_the_key_in_it_and_ipxe_where_there_is_none() {
    let arm64 = Processor::Arm64.file();
    let (stand, mut core, key) = house_of(&[(arm64, &plain()), ("snponly.efi", b"ipxe")]).await;
    core.tell(&word(key)).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    assert_eq!(offered(&stand, NODE1, Architecture::EFI_ARM64).await, arm64);
    assert_eq!(offered(&stand, NODE1, Architecture::EFI_BC).await, "snponly.efi");
    let file = stand.get(NODE1_IP, &format!("/{arm64}")).await;
    let place = file.body[PLACE..PLACE + PLACE_SIZE].try_into().unwrap();
    assert_eq!(read_place(&place).unwrap().unwrap().lab_key, public(&lab_key()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_machines_that_are_to_have_it_get_it() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    core.publish(table(&stand.shelf(), 2)).await;
    assert_eq!(offered(&stand, NODE1, Architecture::EFI_BC).await, "snponly.efi");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_has_the_labs_key_and_the_counters_address_in_it() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    let file = stand.get(NODE1_IP, &format!("/{FILE_X64}")).await;
    assert_eq!((file.status, file.body.len()), (200, FILE));
    let place = file.body[PLACE..PLACE + PLACE_SIZE].try_into().unwrap();
    let seed = read_place(&place).unwrap().unwrap();
    assert_eq!(seed.lab_key, public(&lab_key()));
    assert_eq!(seed.boss.map(std::net::SocketAddr::V4), Some(stand.http));
    let rest = |bytes: &[u8]| [&bytes[..PLACE], &bytes[PLACE + PLACE_SIZE..]].concat();
    assert!(rest(&file.body).iter().all(|byte| *byte == 0x5a), "nothing else is changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_signed_with_the_labs_key_in_it_stays_as_it_is() {
    let seed = Seed { lab_key: public(&lab_key()), boss: None };
    let file = [plant(&plain(), &seed).unwrap(), b"signature".to_vec()].concat();
    let (stand, mut core, key) = house_with(&file).await;
    core.tell(&word(key)).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    assert_eq!(stand.get(NODE1_IP, &format!("/{FILE_X64}")).await.body, file);
    assert_eq!(offered(&stand, NODE1, Architecture::EFI_BC).await, FILE_X64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_anothers_or_asks_elsewhere_is_not_handed_out() {
    let elsewhere = std::net::SocketAddrV4::new(Ipv4Addr::new(10, 9, 9, 9), 80);
    let wrong =
        [Seed { lab_key: [3; 32], boss: None }, Seed { lab_key: public(&lab_key()), boss: Some(elsewhere) }];
    for seed in wrong {
        let (stand, mut core, key) = house_with(&plant(&plain(), &seed).unwrap()).await;
        core.tell(&word(key)).await;
        core.publish(own(table(&stand.shelf(), 2))).await;
        assert_eq!(offered(&stand, NODE1, Architecture::EFI_BC).await, "snponly.efi", "{seed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_told_what_to_boot_and_finds_it_there() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    // The port in use comes first, and is not always the one on the board.
    let told = answer(&stand, NODE1_IP, &ask(&[STRANGER, NODE1], 0)).await.unwrap();
    assert_eq!((told.mac, told.node.unwrap().as_str()), (NODE1, "node1"));
    let Order::Boot(plan) = told.order else { panic!("{:?}", told.order) };
    let nonce = plan.args.split_once("labinator.nonce=").unwrap().1;
    assert!(plan.args.starts_with("console=ttyS0 quiet labinator.boss=http://127.0.0.1:"), "{}", plan.args);
    let script = stand.get(NODE1_IP, "/boot/02-00-00-00-00-01.ipxe").await.text();
    assert!(script.contains(nonce), "the same boot gets the same nonce, whoever asks for it: {script}");
    for piece in [&plan.kernel, &plan.initrd[0]] {
        let file = stand.get(NODE1_IP, &piece.path).await;
        assert_eq!(file.body.len(), usize::try_from(piece.size).unwrap());
        assert_eq!(Digest(digest(&SHA256, &file.body).as_ref().try_into().unwrap()), piece.digest);
    }
    let told = |up: &Up| match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::ScriptAsked { answer }, .. }) => Some(*answer),
        _ => None,
    };
    assert_eq!(core.find(told).await, ScriptAnswer::Boot);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loader_on_a_stick_is_noticed_without_dhcp_told_what_started_well_and_says_when_it_starts() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    let mut board = table(&stand.shelf(), 2);
    let good = vec![Digest([7; 32]), Digest([8; 32])];
    for node in &mut board.nodes {
        Arc::make_mut(node).good.clone_from(&good);
    }
    core.publish(board).await;
    let local = |number| Ask { medium: Medium::Local, number, ..ask(&[STRANGER, NODE1], 0) };
    // Only the first question of a start tells that it started.
    for number in [2, 1] {
        assert_eq!(answer(&stand, NODE1_IP, &local(number)).await.unwrap().good, good);
    }
    let words = Word::start(NODE1, "starts vmlinuz".to_owned()).body();
    assert_eq!(stand.post(NODE1_IP, WORD_PATH, &words).await.status, 200);
    let step = |up: &Up| match up {
        Up::Sighting(Sighting { mac: NODE1, sight: Sight::LoaderSaid { step, .. }, .. }) => *step,
        _ => None,
    };
    assert_eq!([core.find(step).await, core.find(step).await], [LoaderStep::Asks, LoaderStep::Starts]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_may_wait_is_held_until_there_is_news() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    let now = answer(&stand, NODE2_IP, &ask(&[NODE2], 0)).await.unwrap();
    assert_eq!(now.order, Order::Wait { retry_seconds: 3, off_seconds: None });
    let held = ask(&[NODE2], 20);
    let (told, ()) = tokio::join!(answer(&stand, NODE2_IP, &held), async {
        let mut board = own(table(&stand.shelf(), 3));
        let mut entry = board.nodes.remove(1);
        Arc::make_mut(&mut entry).answer = BootAnswer::Disk { how: model::DiskBoot::Auto };
        core.amend(TableChange { after: 2, number: 3, nodes: vec![entry] }).await;
    });
    assert_eq!(told.unwrap().order, Order::Disk);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parked_machine_is_told_how_long_it_may_wait_and_at_once_when_it_is_to_go_off() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    let mut parked = own(table(&stand.shelf(), 2));
    Arc::make_mut(&mut parked.nodes[1]).off_at = Some(netboot::boottime_ms() + 600_000);
    core.publish(parked.clone()).await;
    let left = |order: &Order| match order {
        Order::Wait { off_seconds, .. } => *off_seconds,
        Order::Boot(_) | Order::Disk => None,
    };
    let first = answer(&stand, NODE2_IP, &ask(&[NODE2], 0)).await.unwrap();
    assert!(left(&first.order).is_some_and(|s| (500..=600).contains(&s)), "{:?}", first.order);
    let held = ask(&[NODE2], 20);
    let asked = std::time::Instant::now();
    let (told, ()) = tokio::join!(answer(&stand, NODE2_IP, &held), async {
        let mut entry = parked.nodes.remove(1);
        Arc::make_mut(&mut entry).order = model::AgentOrder::PowerOff;
        core.amend(TableChange { after: 2, number: 3, nodes: vec![entry] }).await;
    });
    assert_eq!(left(&told.unwrap().order), Some(0));
    assert!(asked.elapsed() < std::time::Duration::from_secs(20), "it is not held back");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_asks_or_speaks_for_another_machine() {
    let (stand, mut core, key) = house().await;
    core.tell(&word(key)).await;
    core.publish(own(table(&stand.shelf(), 2))).await;
    assert_eq!(stand.post(NODE2_IP, ASK_PATH, &ask(&[NODE1], 0).text()).await.status, 403);
    let stranger = answer(&stand, BOSS, &ask(&[STRANGER], 0)).await.unwrap();
    assert_eq!((stranger.node, stranger.mac), (None, STRANGER));
    assert!(matches!(stranger.order, Order::Wait { .. }));
    assert_eq!(stand.post(NODE1_IP, ASK_PATH, "labinator ask 1\n").await.status, 400);
    assert_eq!(stand.get(NODE1_IP, ASK_PATH).await.status, 405);

    let refusal = Word::refusal(NODE1, &Refusal::Tampered);
    assert_eq!(stand.post(NODE2_IP, WORD_PATH, &refusal.body()).await.status, 403);
    let of_stranger = Word::step(STRANGER, "x".to_owned());
    assert_eq!(stand.post(BOSS, WORD_PATH, &of_stranger.body()).await.status, 403);
    assert_eq!(stand.post(NODE1_IP, WORD_PATH, &refusal.body()).await.status, 200);
    let said = |up: &Up| match up {
        Up::Sighting(Sighting { mac, sight: Sight::LoaderSaid { error, .. }, .. }) => {
            Some((*mac, error.clone()))
        }
        _ => None,
    };
    let (mac, error) = core.find(said).await;
    assert_eq!(mac, NODE1);
    assert!(error.unwrap().starts_with("answer-tampered: "));
    // The board knows it by a port that has no cable; but not everybody whose machine has that address is heard.
    let by_another = Word::refusal(STRANGER, &Refusal::Unsigned).of(&[STRANGER, NODE1]).body();
    assert_eq!(stand.post(NODE2_IP, WORD_PATH, &by_another).await.status, 403);
    assert_eq!(stand.post(BOSS, WORD_PATH, &by_another).await.status, 200);
    let (mac, error) = core.find(said).await;
    assert_eq!((mac, error.unwrap().starts_with("answer-unsigned: ")), (NODE1, true));
}
