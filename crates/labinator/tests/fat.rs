//! FAT volumes and `labinator talos volume`, read back by a reader of their own. What other programs say of them:
//! `e2e_clients_fat`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

#[path = "fat/reader.rs"]
mod reader;

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use labinator::image::fat::{FatError, Settings, Volume};
use proptest::collection::vec;
use proptest::prelude::*;
use reader::Tree;

const MIB: u64 = 1 << 20;

fn settings(size: u64) -> Settings {
    Settings { size, label: Some("CIDATA".to_owned()), serial: 0x1a2b_3c4d, time: 1_750_000_000 }
}

fn length(content: &[u8]) -> u64 {
    u64::try_from(content.len()).unwrap()
}

/// A volume with these files, in this order.
fn volume(size: u64, files: &[(&str, &[u8])]) -> Result<Vec<u8>, FatError> {
    let mut volume = Volume::new(settings(size))?;
    for (path, content) in files {
        volume.file(path, length(content), *content)?;
    }
    let mut out = Vec::new();
    volume.write(&mut out)?;
    Ok(out)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z]{1,8}(\\.[A-Z]{1,3})?",
        "[a-z]{1,12}(\\.[a-z]{1,5}){0,2}",
        "[a-c ~1+]{0,10}[a-c]",
        "[a-zäßж🦀]{1,60}",
        "[a-z]{240,255}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_read_back_as_it_was(
        size in prop_oneof![Just(700 * 512), Just(MIB), Just(6 * MIB)],
        files in vec((vec(name(), 1..4), prop_oneof![Just(None), vec(any::<u8>(), 0..5000).prop_map(Some)]), 0..16),
    ) {
        let mut volume = Volume::new(settings(size)).unwrap();
        let mut tree = Tree::new();
        for (names, content) in &files {
            let path = names.join("/");
            let added = match content {
                Some(content) => volume.file(&path, length(content), content.as_slice()),
                None => volume.folder(&path),
            };
            let above = || (1..names.len()).map(|depth| names[..depth].join("/"));
            let known = |tree: &Tree, path: &str| tree.keys().find(|known| same(known, path)).cloned();
            match added {
                Ok(()) => {
                    for folder in above() {
                        tree.insert(folder, None);
                    }
                    tree.insert(path, content.clone());
                }
                Err(FatError::Twice { .. }) => {
                    // There is one by this name, or a folder above is a file or spelled otherwise.
                    let there = known(&tree, &path).is_some();
                    let in_the_way = above().any(|folder| {
                        known(&tree, &folder).is_some_and(|found| found != folder || tree[&found].is_some())
                    });
                    prop_assert!(there || in_the_way, "{path} in {tree:?}");
                    // What came before the name in the way was made.
                    for folder in above() {
                        if known(&tree, &folder).is_some_and(|found| found != folder || tree[&found].is_some()) {
                            break;
                        }
                        tree.insert(folder, None);
                    }
                }
                Err(other) => panic!("{path}: {other}"),
            }
        }
        let mut out = Vec::new();
        volume.write(&mut out).unwrap();
        let read = reader::read(&out, size);
        prop_assert_eq!(read.bits, if size > 5 * MIB { 16 } else { 12 });
        prop_assert_eq!(read.labels, ("CIDATA".to_owned(), Some("CIDATA".to_owned())));
        prop_assert_eq!(read.tree, tree);
    }
}

/// One name but for its case, as the tests' alphabet has it.
fn same(one: &str, other: &str) -> bool {
    let upper = |text: &str| {
        text.chars().map(|c| if c == 'ß' { c } else { c.to_uppercase().next().unwrap() }).collect::<String>()
    };
    upper(one) == upper(other)
}

#[test]
fn the_order_of_adding_and_the_clock_change_nothing() {
    let files: [(&str, &[u8]); 4] =
        [("b", b"1"), ("a/long name", b"2"), ("a/long nama", b"3"), ("A.TXT", b"4")];
    let one = volume(MIB, &files).unwrap();
    let turned: Vec<_> = files.into_iter().rev().collect();
    assert_eq!(one, volume(MIB, &turned).unwrap());
    assert_eq!(u64::try_from(one.len()).unwrap(), MIB);
    let shorts = reader::read(&one, MIB).shorts;
    assert_eq!((shorts["a/long nama"].as_str(), shorts["a/long name"].as_str()), ("LONGNA~1", "LONGNA~2"));
}

const ZEROS: [u8; 4096] = [0; 4096];

/// Keeps everything up to the last byte that is not zero, and counts the half gigabyte behind it.
struct Sparse {
    kept: Vec<u8>,
    all: u64,
}

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.all += length(bytes);
        if bytes.chunks(ZEROS.len()).any(|chunk| chunk != ZEROS.get(..chunk.len()).unwrap()) {
            let at = usize::try_from(self.all).unwrap() - bytes.len();
            self.kept.resize(at, 0);
            self.kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn above_512_mib_a_volume_is_fat32_whose_root_is_a_folder_like_others() {
    let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let size = 520 * MIB;
    let mut volume = Volume::new(settings(size)).unwrap();
    let mut tree = Tree::new();
    for number in 0..300 {
        let path = format!("a file with a long name {number}");
        volume.file(&path, 1, &b"x"[..]).unwrap();
        tree.insert(path, Some(b"x".to_vec()));
    }
    volume.file("EFI/BOOT/BOOTX64.EFI", length(&content), content.as_slice()).unwrap();
    for folder in ["EFI", "EFI/BOOT"] {
        tree.insert(folder.to_owned(), None);
    }
    tree.insert("EFI/BOOT/BOOTX64.EFI".to_owned(), Some(content.clone()));
    let mut out = Sparse { kept: Vec::new(), all: 0 };
    volume.write(&mut out).unwrap();
    assert_eq!(out.all, size);
    let read = reader::read(&out.kept, size);
    assert_eq!((read.bits, read.labels.1.as_deref()), (32, Some("CIDATA")));
    assert_eq!(read.tree, tree);
}

#[test]
fn what_fat_cannot_hold_is_refused_by_name() {
    let said = |files: &[(&str, &[u8])]| volume(MIB, files).unwrap_err();
    let cases = [
        ("a//b", "cannot hold the name ``: a name has at least one letter"),
        ("", "a name has at least one letter"),
        ("a/..", "the name `..`: it means a folder itself"),
        ("a./b", "the name `a.`: a dot or space at its end"),
        ("what?", "the name `what?`: control characters"),
        ("a\nb", "control characters"),
    ];
    for (path, why) in cases {
        let found = said(&[(path, b"")]);
        assert!(found.code() == "fat-name" && found.to_string().contains(why), "{path}: {found}");
    }
    let long = "x".repeat(256);
    assert!(said(&[(&long, b"")]).to_string().contains("255 letters"));
    for (one, other) in [
        ("README", "readme"),
        ("a/B", "a/b"),
        ("x", "X/y"),
        ("Dir/a", "dir/b"),
        ("Ünder", "ünder"),
        ("d/e", "d"),
    ] {
        let found = said(&[(one, b""), (other, b"")]);
        assert!(found.code() == "fat-name-twice" && found.to_string().contains(other), "{found}");
    }
}

#[test]
fn too_much_of_anything_is_refused_before_a_byte_is_written() {
    let refused = |size: u64, make: &dyn Fn(&mut Volume<'_>)| {
        let mut volume = Volume::new(settings(size)).unwrap();
        make(&mut volume);
        let mut out = Vec::new();
        let found = volume.write(&mut out).unwrap_err();
        assert!(out.is_empty(), "{found}");
        found.to_string()
    };
    let large = 2 * MIB;
    let found = refused(MIB, &|volume| volume.file("large", large, io::repeat(7)).unwrap());
    assert!(
        found.starts_with("the volume has room for 1025536 bytes, and its content takes 2097152"),
        "{found}"
    );
    // The same fits where there is room.
    assert!(volume(3 * MIB, &[("large", &vec![7; 2 << 20])]).is_ok());
    let found = refused(MIB, &|volume| {
        for number in 0..256 {
            volume.file(&format!("file {number}"), 0, io::empty()).unwrap();
        }
    });
    assert_eq!(found, "the folder `/` has 513 entries, and 512 is the most");
    let mut volume = Volume::new(settings(MIB)).unwrap();
    let found = volume.file("a/huge", 1 << 32, io::empty()).unwrap_err();
    assert_eq!(found.to_string(), "`a/huge` has 4294967296 bytes, and 4294967295 is the most");
    for (size, label, code) in
        [(MIB + 1, "A", "fat-size"), (17 * 1024, "A", "fat-size"), (MIB, "small", "fat-label")]
    {
        let settings = Settings { label: Some(label.to_owned()), ..settings(size) };
        let found = Volume::new(settings).unwrap_err();
        assert!(found.code() == code && !found.advice().is_empty(), "{found}");
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable is out"))
    }
}

/// Takes so many bytes, and then nothing.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 =
            self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::from(io::ErrorKind::StorageFull))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn whoever_fails_while_it_is_written_is_named() {
    let said = |told: u64, content: Box<dyn Read>, room: usize| {
        let mut volume = Volume::new(settings(MIB)).unwrap();
        volume.file("a/b", told, content).unwrap();
        let found = volume.write(&mut Full(room)).unwrap_err();
        (found.code(), found.to_string())
    };
    let all = 1 << 20;
    let ten = || Box::new(io::repeat(1).take(10));
    assert_eq!(
        said(11, ten(), all),
        ("fat-content", "`a/b` was to have 11 bytes, and it has fewer".to_owned())
    );
    assert_eq!(said(9, ten(), all), ("fat-content", "`a/b` was to have 9 bytes, and it has more".to_owned()));
    assert_eq!(said(9, Box::new(Broken), all), ("fat-read", "`a/b`: the cable is out".to_owned()));
    for room in [0, 600, all - 1] {
        assert_eq!(said(10, ten(), room).0, "fat-write", "{room}");
    }
    let mut volume = Volume::new(settings(MIB)).unwrap();
    volume.file("a/b", 10, ten()).unwrap();
    volume.write(&mut Full(all)).unwrap();
}

/// A folder of this test alone, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("labinator-volume-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Exit code and everything that `labinator talos` says, typed in this folder.
    fn talos(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labinator"));
        let done = command.arg("talos").args(arguments).current_dir(&self.0).output().unwrap();
        let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
        (done.status.code().unwrap(), said)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn a_config_becomes_a_volume_that_is_private_and_whole_and_never_replaces_another() {
    let folder = Folder::new("config");
    let secrets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../talos/tests/fixtures/secrets.yaml");
    let generate = ["gen", "--cluster", "lab", "--endpoint", "https://10.9.0.10:6443", "--secrets"];
    let generate: Vec<&str> = generate.into_iter().chain([secrets.to_str().unwrap()]).collect();
    assert_eq!(folder.talos(&generate).0, 0);
    let make = ["volume", "--config", "worker.yaml", "-o", "volume.img"];
    let (code, said) = folder.talos(&make);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("talos.platform=nocloud"), "{said}");
    let image = folder.0.join("volume.img");
    assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    let bytes = fs::read(&image).unwrap();
    let read = reader::read(&bytes, MIB);
    assert_eq!(read.labels, ("CIDATA".to_owned(), Some("CIDATA".to_owned())));
    let text = |name: &str| String::from_utf8(read.tree[name].clone().unwrap()).unwrap();
    assert_eq!(text("user-data"), fs::read_to_string(folder.0.join("worker.yaml")).unwrap());
    assert!(text("meta-data").starts_with("instance-id: "));
    assert_eq!(read.tree.len(), 2, "addresses are not known here");
    let (code, said) = folder.talos(&make);
    assert!(code == 1 && said.contains("volume.img is there already") && said.contains("--force"), "{said}");
    let (code, _) = folder.talos(&["volume", "--config", "worker.yaml", "-o", "volume.img", "--force"]);
    assert!(code == 0 && fs::read(&image).unwrap() == bytes, "one config, other bytes");
    let mut left: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["controlplane.yaml", "talosconfig", "volume.img", "worker.yaml"]);
}

#[test]
fn documents_without_keys_become_a_kernel_argument_and_others_are_named() {
    let folder = Folder::new("inline");
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/check/inline");
    let path = |name: &str| check.join(name).display().to_string();
    let (code, said) = folder.talos(&["inline", &path("sinks.yaml"), &path("hostname.yaml")]);
    assert_eq!(code, 0, "{said}");
    let text = talos::inline::decode(&said).unwrap().unwrap();
    assert_eq!(said.trim().lines().count(), 1);
    assert!(
        text.contains("endpoint: 192.168.122.3:9000\n---\n") && text.contains("hostname: node1"),
        "{text}"
    );
    for (files, more, why) in [
        (
            &["wireguard.yaml"][..],
            "1.12",
            "wireguard.yaml: line 4, WireguardConfig wg0, privateKey: this opens",
        ),
        (&["machine.yaml"], "1.12", "machine.yaml: line 4, the machine config, machine.token: this opens"),
        (&["hostname.yaml"], "1.11", "HostnameConfig"),
        (&["long.yaml"], "1.12", "bytes, and 1407 are left for it: a kernel line has 2047"),
        (&["sinks.yaml", "sinks.yaml"], "1.12", "EventSinkConfig"),
    ] {
        let files: Vec<String> = files.iter().map(|name| path(name)).collect();
        let words = ["inline", "--talos-version", more].into_iter().chain(files.iter().map(String::as_str));
        let (code, said) = folder.talos(&words.collect::<Vec<_>>());
        assert!(code == 1 && said.contains(why) && said.contains("help"), "{files:?}: {code}: {said}");
        assert!(!said.contains("cGxlYX") && !said.contains("abcdef.0"), "{said}");
    }
}

#[test]
fn what_is_no_config_or_no_file_makes_no_volume() {
    let folder = Folder::new("wrong");
    fs::write(folder.0.join("cloud.yaml"), "#cloud-config\nusers: []\n").unwrap();
    fs::write(folder.0.join("broken.yaml"), "version: v1alpha1\nmachine:\n  typo: x\n").unwrap();
    let none = folder.0.join("none").display().to_string();
    for (arguments, code, why) in [
        (&["--config", "cloud.yaml", "-o", "x"][..], 1, "cloud.yaml: its first line is #cloud-config"),
        (&["--config", "broken.yaml", "-o", "x"], 1, "broken.yaml: line 3"),
        (&["--config", "broken.yaml", "-o", "/dev/null", "--force"], 1, "/dev/null is no file"),
        (&["--config", "broken.yaml", "node1", "-o", "x"], 2, "cannot be used with"),
        (&["-o", "x"], 2, "NODE"),
        (&["node1", "-o", "x", "--state", &none], 1, "none"),
    ] {
        let words: Vec<&str> = ["volume"].into_iter().chain(arguments.iter().copied()).collect();
        let (found, said) = folder.talos(&words);
        assert!(found == code && said.contains(why), "{arguments:?}: {found}: {said}");
    }
    assert!(!folder.0.join("x").exists());
}
