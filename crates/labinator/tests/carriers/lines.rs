//! What the kernels of a cluster's machines are told, from the files of a release to the boot loader.

use std::path::Path;
use std::time::Duration;

use labinator::assets;
use labinator::fetch::{Order, fetch};
use model::{Fact, ImageRef};
use sim::Kind;
use store::shelf::Shelf;
use talos::api::Character;
use tokio::time::timeout;

use crate::board::{Board, CLUSTER};
use crate::segment::Floor;
use crate::stand::{all, node};

const FEED: &str = "talos.events.sink=10.9.0.1:4002 talos.logging.kernel=tcp://10.9.0.1:4001/";

/// What the image of a release is told on amd64.
const RELEASES: [(&str, &str); 3] = [
    (
        "1.9.6",
        "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
         nvme_core.io_timeout=4294967295 printk.devkmsg=on ima_template=ima-ng ima_appraise=fix ima_hash=sha512",
    ),
    (
        "1.12.11",
        "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
         nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1",
    ),
    (
        "1.13.9",
        "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
         nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1 \
         proc_mem.force_override=never",
    ),
];

/// Fetches a release into the board's own image folder, out of files that stand for it.
async fn fetched(state: &Path, version: &str) {
    let from = state.join("usb");
    std::fs::create_dir_all(&from).unwrap();
    for name in ["vmlinuz-amd64", "initramfs-amd64.xz"] {
        std::fs::write(from.join(name), format!("{name} of {version}")).unwrap();
    }
    let order = Order {
        name: "talos".to_owned(),
        version: Some(version.to_owned()),
        arch: "amd64".to_owned(),
        schematic: None,
        mirror: None,
        from: Some(from),
        unproven: true,
        out: state.join("images"),
        lock: state.join("images.lock"),
    };
    fetch(&order, &mut |_, _, _| {}).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_firmware_gets_the_line_of_the_release_then_the_owners_then_the_machines() {
    for (version, line) in RELEASES {
        let character = if version == "1.13.9" { Character::From13 } else { Character::UpTo12 };
        let mut board = Board::new(&format!("lines-{version}"), character, |_| Vec::new());
        let scenario = board.spec.scenarios.get_mut(&all()).unwrap();
        scenario.talos.as_mut().unwrap().version = version.to_owned();
        scenario.image = ImageRef::Named("talos".to_owned());
        scenario.args = "net.ifnames=0".to_owned();
        fetched(&board.state, version).await;
        let shelf = Shelf::new(board.state.join("shelf"));
        let Fact::ImagesFound { images, missing, .. } =
            assets::find(&board.spec, &board.state.join("images"), &shelf)
        else {
            unreachable!()
        };
        assert!(missing.is_empty(), "{missing:?}");
        // The files that the simulated firmware takes are the floor's own.
        let mut floor = Floor::new(&board);
        floor.image.args.clone_from(&images[&all()].args);
        let house = floor.open(&board).await;
        house.starts().await;
        let lines = timeout(Duration::from_secs(3600), floor.kernel_lines()).await.unwrap();
        let kinds: Vec<Kind> = lines.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [Kind::BiosIpxeRom, Kind::UefiPxe, Kind::BiosPxe]);
        for (n, (kind, found)) in (1..=CLUSTER).zip(&lines) {
            let (told, nonce) = found.rsplit_once(" labinator.nonce=").unwrap();
            let own = format!("labinator.boss=http://10.9.0.1 labinator.node={}", node(n));
            assert_eq!(
                told,
                format!("initrd=initrd0 {line} net.ifnames=0 {FEED} talos.experimental.wipe=system {own}"),
                "{kind:?} {version}"
            );
            assert!(!nonce.contains(' ') && nonce.len() >= 16, "{nonce}");
        }
    }
}
