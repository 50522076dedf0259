//! Somebody else's operating system: what belongs to one machine, installed once, and the views of PXELINUX,
//! U-Boot and the Raspberry Pi.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop")]

mod stand;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{BootAnswer, DiskBoot, FileRole, Image, InstallTicket, Sight, Sighting};
use netboot::Up;
use stand::{NODE1, NODE1_IP, NODE2_IP, Stand, put, table};
use wire::dhcp::{Message, OptionCode, Options};
use wire::tftp::{FetchEnd, FetchSettings, Packet, Request};

const SCRIPT: &str = "/boot/02-00-00-00-00-01.ipxe";

fn sight(up: &Up) -> Option<Sight> {
    match up {
        Up::Sighting(Sighting { mac: NODE1, sight, .. }) => Some(sight.clone()),
        _ => None,
    }
}

/// A board whose first node has seeds, and installs where `install` says so.
fn publish(stand: &Stand, install: Option<u32>, image: impl FnOnce(&mut Image)) {
    let shelf = stand.shelf();
    let mut table = table(&shelf, 1);
    let node = Arc::make_mut(&mut table.nodes[0]);
    let mut files = BTreeMap::new();
    for (name, text) in
        [("user-data", "#cloud-config\n"), ("meta-data", "instance-id: a\n"), ("overlays/x.dtbo", "overlay")]
    {
        files.insert(name.to_owned(), put(&shelf, name, text.as_bytes()));
    }
    node.files = Arc::new(files);
    node.install = install.map(|number| InstallTicket { number, then: DiskBoot::Auto });
    let mut own = Image {
        kernel: Some(put(&shelf, "vmlinuz", b"a kernel")),
        initrd: vec![put(&shelf, "initrd.gz", b"an initramfs")],
        ..Image::default()
    };
    image(&mut own);
    node.answer = BootAnswer::Run { image: Arc::new(own), args: "ip=dhcp quiet".to_owned() };
    stand.counter.publish(table).unwrap();
}

fn path(stand: &Stand, name: &str, bytes: &[u8]) -> String {
    format!("/f/{}/{name}", put(&stand.shelf(), name, bytes).digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_fetches_what_belongs_to_it_by_its_address_and_as_me() {
    let stand = Stand::start(4);
    publish(&stand, None, |_| {});
    let mut core = stand.core().await;
    let own = stand.get(NODE1_IP, "/n/02-00-00-00-00-01/user-data").await;
    assert_eq!((own.status, own.text().as_str()), (200, "#cloud-config\n"));
    let role = core.find(|up| match sight(up)? {
        Sight::FileAsked { role, name, .. } if name == "user-data" => Some(role),
        _ => None,
    });
    assert_eq!(role.await, FileRole::Seed);
    for path in ["/n/02:00:00:00:00:01/meta-data", "/n/me/meta-data", "/n/me/overlays/x.dtbo"] {
        assert_eq!(stand.get(NODE1_IP, path).await.status, 200, "{path}");
    }
    // Whoever is on the segment can read it; `me` is nobody else.
    assert_eq!(stand.get(NODE2_IP, "/n/02-00-00-00-00-01/user-data").await.status, 200);
    for path in [
        "/n/me/user-data",
        "/n/02-00-00-00-00-01/other",
        "/n/02-00-00-00-00-01/../../user-data",
        "/n/02-00-00-00-00-99/user-data",
        "/n/x/user-data",
        "/n/02-00-00-00-00-01/",
    ] {
        assert_eq!(stand.get(NODE2_IP, path).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_menu_that_has_a_form_for_each_firmware_is_booted_in_the_right_one() {
    let stand = Stand::start(4);
    let uki = |stand: &Stand| Some(put(&stand.shelf(), "menu.efi", b"MZ a menu"));
    publish(&stand, None, |image| image.uki = uki(&stand));
    let script = stand.get(NODE1_IP, SCRIPT).await.text();
    assert!(
        !script.contains("menu.efi"),
        "a kernel with a stub boots under both, with its arguments: {script}"
    );
    publish(&stand, None, |image| {
        image.kernel = Some(put(&stand.shelf(), "menu.lkrn", b"a menu"));
        image.initrd.clear();
        image.uki = uki(&stand);
    });
    let script = stand.get(NODE1_IP, SCRIPT).await.text();
    let (bios, efi) = script.split_once(":efi\n").unwrap();
    assert!(
        bios.contains("iseq ${platform} efi && goto efi ||") && bios.contains("/menu.lkrn ip=dhcp"),
        "{script}"
    );
    let url = efi.split_whitespace().find(|word| word.ends_with("/menu.efi")).unwrap();
    let path = url.split_once("//").unwrap().1.split_once('/').unwrap().1;
    assert_eq!(stand.get(NODE1_IP, &format!("/{path}")).await.text(), "MZ a menu");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_says_that_it_is_done_and_no_other_says_it_for_it() {
    let stand = Stand::start(4);
    publish(&stand, None, |_| {});
    let mut core = stand.core().await;
    let done = "/n/02-00-00-00-00-01/done";
    assert_eq!(stand.get(NODE2_IP, done).await.status, 403);
    assert_eq!(stand.get(NODE1_IP, "/n/02-00-00-00-00-99/done").await.status, 404);
    assert_eq!(stand.post(NODE1_IP, done, &"x".repeat(70_000)).await.status, 413);
    let heard = stand.post(NODE1_IP, done, "hostname=node1&instance_id=a").await;
    assert_eq!((heard.status, heard.text().as_str()), (200, "noted\n"));
    assert_eq!(stand.get(NODE1_IP, "/n/me/done").await.status, 200);
    for _ in 0..2 {
        core.find(|up| matches!(sight(up)?, Sight::Done).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_installed_boots_its_disk_also_without_a_core_and_after_a_restart() {
    let stand = Stand::start(4);
    publish(&stand, Some(1), |_| {});
    let script = stand.get(NODE1_IP, SCRIPT).await.text();
    assert!(script.contains("kernel http"), "{script}");
    stand.get(NODE1_IP, &path(&stand, "vmlinuz", b"a kernel")).await;
    assert!(
        stand.get(NODE1_IP, SCRIPT).await.text().contains("kernel http"),
        "half an image installs nothing"
    );
    stand.get(NODE1_IP, &path(&stand, "initrd.gz", b"an initramfs")).await;
    let script = until_script(&stand, "sanboot").await;
    assert!(script.contains("iseq ${platform} efi && exit 1") && !script.contains("kernel "), "{script}");
    stand.counter.ledger().sync_once().await.unwrap();

    let stand = Stand::start_in(stand.kill().await, 4);
    assert!(stand.get(NODE1_IP, SCRIPT).await.text().contains("sanboot"));
    // A person asked again: another number.
    publish(&stand, Some(2), |_| {});
    assert!(stand.get(NODE1_IP, SCRIPT).await.text().contains("kernel http"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uki_that_installs_is_given_to_firmware_once_and_then_a_loader_that_can_leave() {
    let stand = Stand::start(4);
    publish(&stand, Some(1), |image| image.uki = Some(put(&stand.shelf(), "os.efi", b"a UKI")));
    let firmware = || {
        let mut options = Options::new();
        options.set(OptionCode::VENDOR_CLASS, b"HTTPClient:Arch:00016:UNDI:003001".as_slice());
        options.set_u16(OptionCode::ARCHITECTURES, 16);
        options
    };
    let file = |ack: &Message| ack.options.text(OptionCode::BOOT_FILE).unwrap_or_default().to_owned();
    let first = stand.lease(NODE1, firmware()).await;
    assert!(file(&first).ends_with("/os.efi"), "{first:?}");
    stand.get(NODE1_IP, &path(&stand, "os.efi", b"a UKI")).await;
    until_script(&stand, "sanboot").await;
    let second = stand.lease(NODE1, firmware()).await;
    assert!(file(&second).ends_with("/snponly.efi"), "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pxelinux_and_u_boot_are_told_over_http_and_over_tftp() {
    let stand = Stand::start(4);
    publish(&stand, None, |_| {});
    let over_http = stand.get(NODE1_IP, "/pxelinux.cfg/01-02-00-00-00-00-01").await.text();
    assert!(over_http.contains(&format!("KERNEL {}/f/", stand.base())), "{over_http}");
    assert!(over_http.contains("APPEND ip=dhcp quiet\n"), "{over_http}");
    for path in
        ["/pxelinux.cfg/default-arm-bcm283x-rpi", "/pxelinux.cfg/7F00000B", "/boot/pxelinux.cfg/default"]
    {
        assert_eq!(stand.get(NODE1_IP, path).await.text(), over_http, "{path}");
    }
    for path in
        ["/pxelinux.cfg/7F00000", "/pxelinux.cfg/01-02-00-00-00-00-02", "/pxelinux.cfg/01-02-00-00-00-00-63"]
    {
        assert_eq!(stand.get(NODE1_IP, path).await.status, 404, "{path}");
    }
    let text = String::from_utf8(fetch(&stand, "pxelinux.cfg/01-02-00-00-00-00-01").await).unwrap();
    let kernel = text.lines().find_map(|line| line.trim().strip_prefix("KERNEL ")).unwrap().to_owned();
    assert!(kernel.starts_with("/f/") && text.contains("INITRD /f/"), "{text}");
    assert_eq!(fetch(&stand, &kernel).await, b"a kernel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raspberry_pi_finds_its_files_below_its_serial_number_and_those_that_are_made() {
    let stand = Stand::start(4);
    publish(&stand, None, |_| {});
    // Without the boot files of a Raspberry Pi there is nothing below a serial number.
    assert!(
        stand.tftp_once(&ask("0123abcd/config.txt")).await.is_some_and(|answer| stand::refused(&answer) == 1)
    );
    let shelf = stand.shelf();
    let mut table = stand.counter.board().unwrap().table().clone();
    let mut files = (*table.nodes[0].files).clone();
    files.insert("start4.elf".to_owned(), put(&shelf, "start4.elf", b"firmware"));
    Arc::make_mut(&mut table.nodes[0]).files = Arc::new(files);
    stand.counter.publish(table).unwrap();
    for path in ["0123abcd/start4.elf", "02-00-00-00-00-01/start4.elf", "start4.elf"] {
        assert_eq!(fetch(&stand, path).await, b"firmware", "{path}");
    }
    let config = String::from_utf8(fetch(&stand, "0123abcd/config.txt").await).unwrap();
    assert!(config.contains("kernel=vmlinuz\ninitramfs initrd.gz followkernel\n"), "{config}");
    assert_eq!(fetch(&stand, "0123abcd/cmdline.txt").await, b"ip=dhcp quiet\n");
    assert_eq!(fetch(&stand, "0123abcd/initrd.gz").await, b"an initramfs");
    assert_eq!(fetch(&stand, "0123abcd/overlays/x.dtbo").await, b"overlay");
    // Somebody else's serial number, or a trick, leads nowhere.
    for path in ["0123abcd/../start4.elf", "0123abcd/nothing"] {
        assert_eq!(
            stand::refused(&stand.tftp_once(&ask(path)).await.unwrap()),
            if path.contains("..") { 2 } else { 1 }
        );
    }
}

fn ask(path: &str) -> Vec<u8> {
    Packet::Read(Request::octet(path)).encode()
}

async fn fetch(stand: &Stand, path: &str) -> Vec<u8> {
    let (end, bytes, _) = stand.fetch(NODE1_IP, FetchSettings::edk2(path, false)).await;
    assert_eq!(end, FetchEnd::Complete, "{path}");
    bytes
}

/// Asks for the script until it holds a word: what was taken is noted when its connection has ended.
async fn until_script(stand: &Stand, word: &str) -> String {
    for _ in 0..200 {
        let script = stand.get(NODE1_IP, SCRIPT).await.text();
        if script.contains(word) {
            return script;
        }
    }
    panic!("the script never held {word}");
}
