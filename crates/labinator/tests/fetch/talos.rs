//! Talos: releases of its makers, what its image factory builds, and a folder that somebody carried here.

use std::fs;
use std::path::{Path, PathBuf};

use labinator::assets;
use labinator::fetch::{Order, Pins};
use model::{Event, Fact, ImageRef, LabSpec, Moment, Origin};
use sha2::{Digest as _, Sha256};
use store::shelf::Shelf;

use crate::maker::{Files, Folder, Maker, fetched, hex};

const SCHEMATIC: &str = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba";
/// The line of 1.12, as its release has it.
const LINE: &str = "talos.platform=metal console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
                    nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1";

fn list(files: &[(&str, &[u8])]) -> Vec<u8> {
    files
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", hex(Sha256::digest(bytes))))
        .collect::<String>()
        .into()
}

fn contents() -> [(&'static str, &'static [u8]); 5] {
    [
        ("initramfs-amd64.xz", b"initramfs"),
        ("initramfs-arm64.xz", b"initramfs of arm"),
        ("metal-amd64-uki.efi", b"MZ all of it"),
        ("vmlinuz-amd64", b"kernel"),
        ("vmlinuz-arm64", b"kernel of arm"),
    ]
}

/// The releases page, with these versions; each has files of its own.
fn releases(versions: &[&str]) -> Files {
    let mut files = Files::new();
    for version in versions {
        let own = contents().map(|(name, bytes)| (name, [bytes, version.as_bytes()].concat()));
        let named: Vec<(&str, &[u8])> = own.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
        files.insert(format!("/{version}/sha256sum.txt"), list(&named));
        files.extend(own.map(|(name, bytes)| (format!("/{version}/{name}"), bytes)));
    }
    files
}

/// Somebody's folder, with these files.
fn carried(folder: &Folder, files: &[(&str, &[u8])]) -> PathBuf {
    let from = folder.0.join("usb");
    drop(fs::remove_dir_all(&from));
    fs::create_dir_all(&from).unwrap();
    for (name, bytes) in files {
        fs::write(from.join(name), bytes).unwrap();
    }
    from
}

fn both() -> Vec<(&'static str, &'static [u8])> {
    contents()
        .into_iter()
        .filter(|(name, _)| name.starts_with("vmlinuz-amd") || name.starts_with("initramfs-amd"))
        .collect()
}

#[tokio::test]
async fn an_image_keeps_the_kernel_arguments_of_its_release_and_architecture() {
    let folder = Folder::new("talos-lines");
    let maker = Maker::start(releases(&["v1.9.6", "v1.12.11", "v1.13.9"])).await;
    let line = async |version: &str, arch: &str| {
        let order = Order { arch: arch.to_owned(), ..folder.order("talos", Some(version), &maker) };
        let got = fetched(&order).await.unwrap();
        let written = labinator::image::ImageManifest::read(&order.out.join(&got.image)).unwrap();
        assert_eq!(written, got.manifest);
        written.args
    };
    assert_eq!(line("v1.12.11", "amd64").await, LINE);
    // The `v` is how its makers write it, and is not needed.
    assert_eq!(line("1.12.11", "amd64").await, LINE);
    let old = line("v1.9.6", "amd64").await;
    assert!(old.contains(" ima_hash=sha512") && !old.contains("selinux"), "{old}");
    assert!(line("v1.13.9", "amd64").await.ends_with(" proc_mem.force_override=never"));
    let arm = line("v1.13.9", "arm64").await;
    assert!(arm.starts_with("talos.platform=metal console=ttyAMA0 console=tty0 "), "{arm}");
    let uki = fetched(&folder.order("talos-uki", Some("v1.12.11"), &maker)).await.unwrap();
    assert_eq!((uki.image.as_str(), uki.manifest.args.as_str()), ("talos-uki-v1.12.11-amd64", ""));
    assert!(uki.manifest.image().kernel.is_none() && uki.manifest.uki.is_some());
}

#[tokio::test]
async fn versions_architectures_and_schematics_that_are_none_are_refused_before_anything_is_asked() {
    let folder = Folder::new("talos-words");
    let maker = Maker::start(releases(&["v1.12.11"])).await;
    for (version, why) in [
        ("latest", "not written as v1.12.11"),
        ("v1.12", "three numbers"),
        ("v1.8.4", "1.9 to 1.14"),
        ("v1.15.0", "1.9 to 1.14"),
        ("v1.12.11/../x", "not written as"),
    ] {
        let error = fetched(&folder.order("talos", Some(version), &maker)).await.unwrap_err();
        assert_eq!(error.code(), "fetch-bad-version", "{version}");
        let text = error.to_string();
        assert!(text.contains(version) && text.contains(why), "{text}");
        assert!(error.advice().contains("v1.13.9"), "{}", error.advice());
    }
    let error = fetched(&folder.order("talos-uki", Some("v1.9.6"), &maker)).await.unwrap_err();
    assert!(error.to_string().contains("from 1.10 on"), "{error}");
    let riscv = Order { arch: "riscv64".to_owned(), ..folder.order("talos", Some("v1.12.11"), &maker) };
    assert_eq!(fetched(&riscv).await.unwrap_err().code(), "fetch-architecture");
    for bad in ["", "37656798", &SCHEMATIC.to_uppercase(), &format!("{SCHEMATIC}0")] {
        let order =
            Order { schematic: Some(bad.to_owned()), ..folder.order("talos", Some("v1.12.11"), &maker) };
        let error = fetched(&order).await.unwrap_err();
        assert!(error.code() == "fetch-schematic" && error.advice().contains("talos schematic"), "{error}");
    }
    let other = Order { schematic: Some(SCHEMATIC.to_owned()), ..folder.order("debian", None, &maker) };
    assert!(fetched(&other).await.unwrap_err().advice().contains("only talos"));
    assert_eq!(maker.asked.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn what_the_factory_builds_is_pinned_when_it_first_comes_and_brings_its_own_line() {
    let folder = Folder::new("talos-factory");
    let base = format!("/image/{SCHEMATIC}/v1.12.11");
    let line = format!("{LINE} net.ifnames=0");
    let files = [
        (format!("{base}/kernel-amd64"), b"kernel".to_vec()),
        (format!("{base}/initramfs-amd64.xz"), b"initramfs with extensions".to_vec()),
        (format!("{base}/cmdline-metal-amd64"), format!("{line}\n").into_bytes()),
    ];
    let maker = Maker::start(files.into()).await;
    let order =
        Order { schematic: Some(SCHEMATIC.to_owned()), ..folder.order("talos", Some("v1.12.11"), &maker) };
    // Half a file that was left here belongs to nothing that could be proven.
    let work = order.out.join(".fetching/talos-v1.12.11-amd64-376567988ad3");
    fs::create_dir_all(&work).unwrap();
    fs::write(work.join("kernel-amd64"), b"ker").unwrap();
    let first = fetched(&order).await.unwrap();
    assert_eq!(first.image, "talos-v1.12.11-amd64-376567988ad3");
    assert!(first.pinned && first.unproven);
    assert_eq!(first.manifest.args, line);
    assert_eq!(first.manifest.files().count(), 2, "the line is told, not served");
    assert_eq!(fs::read(order.out.join(&first.image).join("kernel-amd64")).unwrap(), b"kernel");
    let pins = Pins::read(&order.lock).unwrap();
    let pinned = &pins.images[&first.image];
    assert!(pinned["initramfs-amd64.xz"].url.starts_with("https://factory.talos.dev/image/3765"));

    let second = fetched(&order).await.unwrap();
    assert!(!second.pinned && !second.unproven && second.manifest == first.manifest);
    maker.files.lock().unwrap().insert(format!("{base}/cmdline-metal-amd64"), b"init=/bin/sh\n".to_vec());
    assert_eq!(fetched(&order).await.unwrap_err().code(), "fetch-mismatch");
    assert_eq!(
        fs::read(order.out.join(&first.image).join("cmdline-metal-amd64")).unwrap(),
        format!("{line}\n").into_bytes()
    );

    fs::remove_file(&order.lock).unwrap();
    for (bad, why) in [
        (b"init=/bin/sh".to_vec(), "lacks talos.platform=metal"),
        (b"talos.platform=metal\nreboot".to_vec(), "one line"),
        (vec![b'a'; 3000], "longer"),
        (vec![0xff], "no text"),
    ] {
        maker.files.lock().unwrap().insert(format!("{base}/cmdline-metal-amd64"), bad);
        let error = fetched(&order).await.unwrap_err();
        assert!(error.code() == "fetch-kernel-line" && error.to_string().contains(why), "{error}");
    }
    maker.files.lock().unwrap().clear();
    let error = fetched(&order).await.unwrap_err();
    assert!(error.code() == "fetch-refused" && error.advice().contains("by POST"), "{}", error.advice());
}

#[tokio::test]
async fn files_of_a_folder_are_proven_by_the_makers_list_beside_them() {
    let folder = Folder::new("talos-carried");
    let maker = Maker::start(Files::new()).await;
    let mut files = both();
    let sums = list(&contents());
    files.push(("sha256sum.txt", &sums));
    let from = carried(&folder, &files);
    let order = Order { from: Some(from.clone()), ..folder.order("talos", Some("v1.12.11"), &maker) };
    let got = fetched(&order).await.unwrap();
    assert!(got.pinned && !got.unproven && got.image == "talos-v1.12.11-amd64");
    assert_eq!(got.manifest.args, LINE);
    let home = order.out.join(&got.image);
    assert!(got.manifest.is_complete(&home));
    assert_eq!(maker.asked.lock().unwrap().len(), 0, "nobody was asked");
    let pins = Pins::read(&order.lock).unwrap();
    let pin = &pins.images[&got.image]["vmlinuz-amd64"];
    assert_eq!(pin.url, "https://github.com/siderolabs/talos/releases/download/v1.12.11/vmlinuz-amd64");

    // The pins prove as well as the list, and more: a list that agrees with a changed file helps nobody.
    fs::remove_file(from.join("sha256sum.txt")).unwrap();
    assert!(!fetched(&order).await.unwrap().pinned);
    fs::write(from.join("vmlinuz-amd64"), b"kernel of somebody").unwrap();
    fs::write(from.join("sha256sum.txt"), list(&[("vmlinuz-amd64", b"kernel of somebody")])).unwrap();
    let error = fetched(&Order { unproven: true, ..order.clone() }).await.unwrap_err();
    assert_eq!(error.code(), "fetch-mismatch");
    let text = error.to_string();
    for part in [
        from.join("vmlinuz-amd64").to_str().unwrap(),
        &hex(Sha256::digest(b"kernel")),
        &hex(Sha256::digest(b"kernel of somebody")),
    ] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
    assert_eq!(fs::read(home.join("vmlinuz-amd64")).unwrap(), b"kernel", "the good one stays");
    // What is carried on is what the folder had then.
    fs::remove_dir_all(&from).unwrap();
    assert!(got.manifest.is_complete(&home));
}

#[tokio::test]
async fn a_folder_without_a_list_is_refused_unless_it_is_told_to_be_taken_as_it_is() {
    let folder = Folder::new("talos-unproven");
    let maker = Maker::start(Files::new()).await;
    let order = |from: &Path| Order {
        from: Some(from.to_owned()),
        ..folder.order("talos", Some("v1.12.11"), &maker)
    };
    let from = carried(&folder, &[("initramfs-amd64.xz", b"initramfs")]);
    let error = fetched(&order(&from)).await.unwrap_err();
    assert_eq!(error.code(), "fetch-absent");
    assert!(error.to_string().ends_with("/usb lacks vmlinuz-amd64"), "{error}");
    let error = fetched(&order(&folder.0.join("none"))).await.unwrap_err();
    assert!(error.to_string().ends_with("/none lacks vmlinuz-amd64, initramfs-amd64.xz"), "{error}");

    let from = carried(&folder, &both());
    let error = fetched(&order(&from)).await.unwrap_err();
    assert_eq!(error.code(), "fetch-unproven");
    assert!(error.to_string().contains("vmlinuz-amd64, initramfs-amd64.xz"), "{error}");
    assert!(
        error.advice().contains("sha256sum.txt") && error.advice().contains("--unproven"),
        "{}",
        error.advice()
    );
    assert!(!folder.0.join("images/talos-v1.12.11-amd64").exists() && !folder.0.join("images.lock").exists());
    let got = fetched(&Order { unproven: true, ..order(&from) }).await.unwrap();
    assert!(got.unproven && got.pinned);
    // From now on they are proven.
    assert!(!fetched(&order(&from)).await.unwrap().unproven);

    // A list that says nothing about a file proves nothing, whatever is allowed.
    fs::remove_file(folder.0.join("images.lock")).unwrap();
    fs::write(from.join("sha256sum.txt"), list(&[("vmlinuz-amd64", b"kernel")])).unwrap();
    let error = fetched(&Order { unproven: true, ..order(&from) }).await.unwrap_err();
    assert!(
        error.code() == "fetch-not-listed" && error.to_string().contains("initramfs-amd64.xz"),
        "{error}"
    );

    // What the factory built is carried with a list of one's own.
    let names: [(&str, &[u8]); 3] = [
        ("kernel-amd64", b"kernel"),
        ("initramfs-amd64.xz", b"initramfs"),
        ("cmdline-metal-amd64", LINE.as_bytes()),
    ];
    let from = carried(&folder, &names);
    let built = Order { schematic: Some(SCHEMATIC.to_owned()), ..order(&from) };
    let error = fetched(&built).await.unwrap_err();
    assert!(error.code() == "fetch-unproven" && error.advice().contains("images.lock"), "{}", error.advice());
    fs::write(from.join("sha256sum.txt"), list(&names)).unwrap();
    assert!(!fetched(&built).await.unwrap().unproven);
}

/// The example of six boxes with these scenarios instead of its own.
fn lab(scenarios: &str) -> LabSpec {
    let text = include_str!("../../../../labs/talos.yaml");
    let head = &text[..text.find("scenarios:").unwrap()];
    let text = format!("{head}scenarios:\n{scenarios}");
    labinator::config::parse(text.as_bytes(), "lab.yaml", Path::new("/lab")).unwrap()
}

#[tokio::test]
async fn a_cluster_boots_the_newest_image_of_its_release_and_is_refused_another() {
    let folder = Folder::new("talos-chosen");
    let versions = ["v1.11.6", "v1.12.9", "v1.12.11", "v1.13.9"];
    let maker = Maker::start(releases(&versions)).await;
    for version in &versions[..3] {
        fetched(&folder.order("talos", Some(version), &maker)).await.unwrap();
    }
    let own = "image: { kernel: /lab/vmlinuz, uki: /lab/vmlinuz, args: console=ttyS0 }";
    let spec = lab(&format!(
        "  any: {{ talos: v1.12, control-plane: [node1] }}\n  exact: {{ talos: v1.12.9, control-plane: [node1] }}\n  \
         absent: {{ talos: v1.13, control-plane: [node1] }}\n  \
         other: {{ talos: v1.12, control-plane: [node1], image: talos-v1.11.6-amd64 }}\n  \
         own: {{ talos: v1.12, control-plane: [node1], {own} }}\n  \
         whole: {{ talos: v1.12, control-plane: [node1], {own}, args: talos.platform=metal }}\n  \
         plain: {{ nodes: all, {own} }}\n",
    ));
    let (images, shelf) = (folder.0.join("images"), Shelf::new(folder.0.join("shelf")));
    let found = assets::find(&spec, &images, &shelf);
    let Fact::ImagesFound { images: boots, missing, .. } = &found else { panic!("{found:?}") };
    let kernel = |name: &str| boots[&name.parse().unwrap()].kernel.clone().unwrap().digest.to_string();
    assert_eq!(kernel("any"), hex(Sha256::digest(b"kernelv1.12.11")));
    assert_eq!(kernel("exact"), hex(Sha256::digest(b"kernelv1.12.9")));
    let lacks = |name: &str| missing[&name.parse().unwrap()].join("\n");
    let absent = lacks("absent");
    assert!(absent.starts_with("no image of Talos 1.13 is in "), "{absent}");
    assert!(absent.contains("(v1.11.6, v1.12.9, v1.12.11 is there)"), "{absent}");
    assert!(absent.contains("`labinator image fetch talos --version v1.13.9 --out "), "{absent}");
    let other = lacks("other");
    assert!(
        other.starts_with("Talos 1.12 is wanted, and image talos-v1.11.6-amd64 is Talos 1.11.6"),
        "{other}"
    );
    assert!(other.contains("talos: v1.11.6") && other.contains("--version v1.12.11"), "{other}");
    assert!(lacks("own").contains("/lab/vmlinuz") && lacks("whole").contains("/lab/vmlinuz"));

    // Nobody switches anything for it.
    let mut lab = lifecycle::Lab::new(spec.clone());
    for fact in [found.clone(), Fact::CounterSeen { up: true }] {
        lifecycle::absorb(&mut lab, &Event { seq: 0, at: Moment::default(), fact });
    }
    let start = |scenario: &str| lifecycle::Request::Start { scenario: scenario.to_owned(), by: Origin::Cli };
    let refusal = lifecycle::admit(&lab, &start("other")).unwrap_err();
    assert_eq!(refusal.code(), "image_missing");
    assert!(
        refusal.to_string().contains("cannot be started: Talos 1.12 is wanted, and image talos-v1.11.6"),
        "{refusal}"
    );
    assert!(lifecycle::admit(&lab, &start("any")).is_ok());

    // Files of one's own are told what the release wants, unless they are told already.
    fs::create_dir_all(folder.0.join("lab")).unwrap();
    fs::write(folder.0.join("lab/vmlinuz"), "a kernel").unwrap();
    let here = folder.0.join("lab").display().to_string();
    let mut spec = spec;
    for scenario in spec.scenarios.values_mut() {
        if let ImageRef::Files { kernel: Some(kernel), uki: Some(uki), .. } = &mut scenario.image {
            *kernel = kernel.replace("/lab", &here);
            uki.clone_from(kernel);
        }
    }
    let Fact::ImagesFound { images: boots, .. } = assets::find(&spec, &images, &shelf) else { panic!() };
    let told = |name: &str| {
        let image = &boots[&name.parse().unwrap()];
        (image.args.as_str(), image.uki.is_some())
    };
    // A UKI would hear nothing of the line; what is no cluster needs none.
    assert_eq!(told("own"), (format!("{LINE} console=ttyS0").as_str(), false));
    assert_eq!(told("whole"), ("console=ttyS0", false));
    assert_eq!(told("plain"), ("console=ttyS0", true));
}

#[tokio::test]
async fn an_image_whose_replacement_was_cut_off_is_there_again() {
    let folder = Folder::new("talos-cut");
    let maker = Maker::start(releases(&["v1.12.11"])).await;
    let order = folder.order("talos", Some("v1.12.11"), &maker);
    let got = fetched(&order).await.unwrap();
    // The old one was put away, the new one is not in its place yet; and the maker is not there any more.
    let home = order.out.join(&got.image);
    fs::create_dir_all(order.out.join(".fetching")).unwrap();
    fs::rename(&home, order.out.join(".fetching/talos-v1.12.11-amd64.old")).unwrap();
    maker.files.lock().unwrap().clear();
    fetched(&order).await.unwrap_err();
    assert!(got.manifest.is_complete(&home));
}
