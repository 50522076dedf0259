//! Media of `labinator media build` as others read them: the table of partitions, the system partition, what is on it.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::ground::{Folder, given, limited, said};

/// What a program says; it must succeed.
fn told(program: &str, arguments: &[&str]) -> String {
    let output = limited(120, program).args(arguments).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
    said(&output)
}

const LAB: &str = "lab: sticks\n\
    network: { interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, gateway: 10.79.0.254, dhcp: authoritative }\n\
    power: { hand: { driver: manual } }\n\
    board:\n  columns: 1\n  nodes:\n    \
      one: { at: [1, 1], mac: '52:54:00:4c:47:02', ip: 10.79.0.12, power: hand/1 }\n";

/// A loader as far as this is about: something with a place for the lab's key.
fn loader() -> Vec<u8> {
    let mut loader = vec![0x4d; 70_000];
    loader.extend(b"labinator:seed:here:3f9a77c1d6e2");
    loader.resize(150_001, 0);
    loader
}

fn build(folder: &Path, name: &str, more: &[&str]) -> Command {
    let mut command = Command::new(given("LABINATOR_BIN"));
    command
        .current_dir(folder)
        .args(["media", "build", name, "--state", "state", "--loaders", "."])
        .args(more);
    command
}

#[test]
#[ignore = "stage e2e-clients"]
fn a_medium_is_sound_to_those_who_read_partitions_and_fat() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    fs::write(path("lab.yaml"), LAB).unwrap();
    fs::write(path("labinator-x64.efi"), loader()).unwrap();
    for size in ["48MiB", "1GiB"] {
        let built = build(&folder.0, "usb.img", &["--node", "one", "--size", size, "--force", "--bios"])
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", said(&built));
        let image = path("usb.img");

        let verified = told("sfdisk", &["--verify", &image]);
        assert!(verified.contains("No errors detected"), "{size}: {verified}");
        let verified = told("sgdisk", &["-v", &image]);
        assert!(verified.contains("No problems found"), "{size}: {verified}");
        let listed = told("sfdisk", &["--dump", &image]);
        assert!(listed.contains("type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), "{listed}");
        assert!(listed.contains("type=8F1D6A52-7C0E-4B39-9D24-5A6C61626E31"), "{listed}");
        assert!(listed.contains("type=21686148-6449-6E6F-744E-656564454649"), "{listed}");

        // The system partition, cut out as a disk's driver does.
        let bytes = fs::read(&image).unwrap();
        fs::write(path("system.img"), &bytes[1 << 20..37 << 20]).unwrap();
        let checked = told("fsck.vfat", &["-n", "-v", &path("system.img")]);
        assert!(checked.contains("32 bits") || checked.contains("FATs, 32 bit entries"), "{checked}");
        let at = format!("{image}@@1M");
        told("mcopy", &["-o", "-i", &at, "::EFI/BOOT/BOOTX64.EFI", &path("loader")]);
        let mut same = fs::read(path("loader")).unwrap();
        let place = 70_000..70_000 + 512;
        let text = String::from_utf8(same[place.clone()].to_vec()).unwrap();
        assert!(
            text.contains("\nkey ") || text.contains("labinator seed 1\nkey "),
            "the lab's key is in it: {text}"
        );
        same[place.clone()].copy_from_slice(&loader()[place]);
        assert!(same == loader(), "and nothing else is changed");
        let settings = told("mtype", &["-i", &at, "::EFI/LABINATOR/SETTINGS.TXT"]);
        let wanted =
            "labinator settings 1\nboss 10.79.0.1:80\nnode one\naddress 10.79.0.12/20\ngateway 10.79.0.254\n";
        assert_eq!(settings, wanted);

        // What another tool writes there is read.
        fs::write(path("settings"), "labinator settings 1\r\nboss 10.79.0.9:80\r\n").unwrap();
        told("mcopy", &["-o", "-i", &at, &path("settings"), "::EFI/LABINATOR/SETTINGS.TXT"]);
        let again = wire::loader::Settings::read(&fs::read(path("settings")).unwrap()).unwrap();
        assert_eq!(again.boss, Some("10.79.0.9:80".parse().unwrap()));
    }
}

#[test]
#[ignore = "stage e2e-clients"]
fn the_same_medium_is_made_twice_and_nothing_is_written_over_unasked() {
    let folder = Folder::new();
    fs::write(folder.0.join("lab.yaml"), LAB).unwrap();
    fs::write(folder.0.join("labinator-x64.efi"), loader()).unwrap();
    for name in ["a.img", "b.img"] {
        let built = build(&folder.0, name, &["--size", "48MiB"]).output().unwrap();
        assert!(built.status.success(), "{}", said(&built));
    }
    let read = |name: &str| fs::read(folder.0.join(name)).unwrap();
    assert!(read("a.img") == read("b.img"));
    let refused = |name: &str, more: &[&str]| {
        let output = build(&folder.0, name, more).output().unwrap();
        assert_ne!(output.status.code(), Some(0));
        said(&output)
    };
    assert!(refused("a.img", &[]).contains("--force writes it anew"));
    assert!(refused("/dev/null", &["--force"]).contains("dd if=FILE of=DEVICE"));
    assert!(refused("c.img", &["--node", "two"]).contains("it has one"));
    assert!(refused("c.img", &["--static", "10.79.0.13"]).contains("10.9.0.13/24"));
    assert!(refused("c.img", &["--size", "40MiB"]).contains("48 at least"));
    let left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "nothing is left of what failed: {left:?}");
}

/// An image as far as a medium cares: a kernel that a BIOS's boot loader knows, and two initramfs files.
fn image(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let kernel = [vec![0x4b; 0x202], b"HdrS".to_vec(), vec![0x4b; 30_001 - 0x206]].concat();
    let files = [("vmlinuz", kernel), ("a.img", vec![1; 512]), ("b.img", vec![2; 5000])];
    let about = files.map(|(name, bytes)| {
        fs::write(folder.join(name), &bytes).unwrap();
        let sum = told("sha256sum", &[folder.join(name).to_str().unwrap()]);
        serde_json::json!({ "name": name, "digest": sum[..64], "size": bytes.len() })
    });
    let [kernel, a, b] = about;
    let about = serde_json::json!({
        "form": 1, "kernel": kernel, "initrd": [a, b], "args": "quiet a='b;c'", "agent": true,
        "kernel_version": "6.1", "inputs": "0".repeat(64),
    });
    fs::write(folder.join("image.json"), about.to_string()).unwrap();
}

#[test]
#[ignore = "stage e2e-clients"]
fn what_a_bios_starts_is_read_by_grubs_own_programs() {
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    fs::write(path("lab.yaml"), LAB).unwrap();
    fs::write(path("labinator-x64.efi"), loader()).unwrap();
    image(&folder.0.join("images/tiny"));
    let more = ["--size", "64MiB", "--bios", "--images", "images", "--image", "tiny"];
    let built = build(&folder.0, "usb.img", &more).output().unwrap();
    assert!(built.status.success() && said(&built).contains("without a controller tiny"), "{}", said(&built));
    let at = format!("{}@@1M", path("usb.img"));
    let taken = |name: &str| {
        told("mcopy", &["-o", "-i", &at, &format!("::GRUB/{name}"), &path(name)]);
        path(name)
    };
    for script in ["grub.cfg", "cache.cfg"] {
        told("grub-script-check", &[&taken(script)]);
    }

    // GRUB's block: what its program writes we read, and the other way round.
    let block = taken("GRUBENV");
    assert_eq!(told("grub-editenv", &[&block, "list"]), "");
    told("grub-editenv", &[&block, "set", "tried=2026-11-27-13-4", "odd=a\\b"]);
    let read = |name: &str| {
        let bytes = fs::read(path(name)).unwrap();
        wire::loader::bios::Env::read(bytes.as_slice().try_into().unwrap()).unwrap()
    };
    let mut env = read("GRUBENV");
    assert_eq!((env.get("tried"), env.get("odd")), (Some("2026-11-27-13-4"), Some("a\\b")));
    assert!(env.block().as_slice() == fs::read(&block).unwrap(), "byte by byte");
    assert!(env.unset("tried"));
    env.set("new", "c=d").unwrap();
    fs::write(&block, env.block()).unwrap();
    assert_eq!(told("grub-editenv", &[&block, "list"]), "odd=a\\b\nnew=c=d\n");

    // What lies in the cache has the digests of the list, stretch by stretch.
    let bytes = fs::read(path("usb.img")).unwrap();
    let list = fs::read_to_string(taken("cache0.sum")).unwrap();
    let mut sizes = Vec::new();
    for line in list.lines() {
        let (digest, stretch) = line.split_once("  ").unwrap();
        let (first, count) = stretch.split_once('+').unwrap();
        let (first, count): (usize, usize) = (first.parse().unwrap(), count.parse().unwrap());
        let begin = (37 << 20) + first * 512;
        fs::write(path("piece"), &bytes[begin..begin + count * 512]).unwrap();
        assert_eq!(&told("sha256sum", &[&path("piece")])[..64], digest, "{line}");
        sizes.push(count);
    }
    assert_eq!(sizes, [59, 1, 10]);

    // Without GRUB's files it is made for UEFI alone, unless that is not what was asked for.
    let without = build(&folder.0, "uefi.img", &["--size", "48MiB", "--grub", "nowhere"]).output().unwrap();
    let words = said(&without);
    assert!(
        without.status.success() && words.contains("machines with a BIOS do not start from it"),
        "{words}"
    );
    assert!(words.contains("apt-get install -y grub-pc-bin"), "{words}");
    let refused = build(&folder.0, "bios.img", &["--bios", "--grub", "nowhere"]).output().unwrap();
    assert!(!refused.status.success() && said(&refused).contains("grub-pc-bin"), "{}", said(&refused));
}
