//! FAT volumes as others read them: dosfstools checks, mtools copies, blkid names. And the volume of `talos volume`.
#![expect(clippy::unwrap_used, reason = "a test may stop")]

mod e2e;

use std::fs;
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use e2e::ground::{Folder, given, limited, said};
use labinator::image::fat::{Settings, Volume};

const MIB: u64 = 1 << 20;

/// What a program says; it must succeed.
fn told(program: &str, arguments: &[&str], image: &Path) -> String {
    let image = image.to_str().unwrap();
    let words = arguments.iter().map(|word| word.replace("IMAGE", image));
    // mtools writes long names in the letters of its locale.
    let output = limited(120, program).args(words).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file in which what is zero is a hole.
struct Sparse(fs::File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.chunks(4096).all(|chunk| chunk == vec![0; chunk.len()]) {
            self.0.seek_relative(i64::try_from(bytes.len()).unwrap())?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let end = self.0.stream_position()?;
        self.0.set_len(end)
    }
}

const NAMES: [&str; 8] = [
    "README.TXT",
    "readme.md",
    "user-data",
    "EFI/BOOT/BOOTX64.EFI",
    "deep/er and/deeper/a name that takes three entries of a folder",
    "deep/empty",
    "grün ж.yaml",
    "one.more.dot",
];

#[test]
#[ignore = "stage e2e-clients"]
fn volumes_of_every_type_are_sound_to_those_who_read_fat() {
    let folder = Folder::new();
    for (size, kind) in
        [(64 * 1024, 12), (MIB, 12), (4100 * 1024, 12), (5 * MIB, 16), (65 * MIB, 16), (520 * MIB, 32)]
    {
        let image = folder.0.join(format!("{size}.img"));
        let content = |name: &str| if name == "deep/empty" { String::new() } else { name.repeat(60) };
        let files: Vec<(&str, String)> = NAMES.iter().map(|name| (*name, content(name))).collect();
        let label = Some("CIDATA".to_owned());
        let mut volume =
            Volume::new(Settings { size, label, serial: 0x1a2b_3c4d, time: 1_750_000_000 }).unwrap();
        for (name, text) in &files {
            volume.file(name, u64::try_from(text.len()).unwrap(), text.as_bytes()).unwrap();
        }
        volume.folder("nothing in it").unwrap();
        volume.write(&mut Sparse(fs::File::create(&image).unwrap())).unwrap();
        assert_eq!(fs::metadata(&image).unwrap().len(), size);
        let checked = told("fsck.fat", &["-n", "-v", "IMAGE"], &image);
        assert!(checked.contains("15 files"), "FAT{kind} of {size}: {checked}");
        assert!(
            checked.contains(&format!("{kind} bit entries")) || kind == 32,
            "FAT{kind} of {size}: {checked}"
        );
        let named = told("blkid", &["-p", "-o", "export", "IMAGE"], &image);
        for line in [
            "LABEL=CIDATA",
            "LABEL_FATBOOT=CIDATA",
            "UUID=1A2B-3C4D",
            "TYPE=vfat",
            &format!("VERSION=FAT{kind}"),
        ] {
            assert!(named.lines().any(|known| known == line), "{line} is not in {named}");
        }
        let out = folder.0.join("out");
        fs::create_dir(&out).unwrap();
        told("mcopy", &["-s", "-n", "-m", "-i", "IMAGE", "::*", out.to_str().unwrap()], &image);
        for (name, text) in &files {
            assert_eq!(fs::read_to_string(out.join(name)).unwrap(), *text, "{name}, FAT{kind} of {size}");
        }
        assert!(out.join("nothing in it").is_dir());
        fs::remove_dir_all(&out).unwrap();
        let listed = told("mdir", &["-i", "IMAGE", "::"], &image);
        assert!(listed.contains("USER-D~1") && listed.contains("2025-06-15  15:06"), "{listed}");
        fs::remove_file(&image).unwrap();
    }
}

/// A machine config as `labinator talos gen` writes it.
fn config(labinator: &Path, folder: &Path) {
    let secrets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../talos/tests/fixtures/secrets.yaml");
    let mut command = Command::new(labinator);
    command.args(["talos", "gen", "--cluster", "lab", "--endpoint", "https://10.9.0.10:6443", "--secrets"]);
    let done = command.arg(secrets).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
}

#[test]
#[ignore = "stage e2e-clients"]
fn the_volume_of_a_config_is_one_that_others_find_and_read() {
    let (folder, labinator) = (Folder::new(), given("LABINATOR_BIN"));
    config(&labinator, &folder.0);
    let image = folder.0.join("volume.img");
    let mut command = Command::new(&labinator);
    command.args(["talos", "volume", "--config", "worker.yaml", "-o", "volume.img"]).current_dir(&folder.0);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(fs::metadata(&image).unwrap().permissions().mode() & 0o777, 0o600);
    told("fsck.fat", &["-n", "IMAGE"], &image);
    let found = told("blkid", &["-p", "-s", "LABEL", "-o", "value", "IMAGE"], &image);
    assert_eq!(found.trim(), "CIDATA");
    let read = told("mtype", &["-i", "IMAGE", "::user-data"], &image);
    assert!(read == fs::read_to_string(folder.0.join("worker.yaml")).unwrap());
    assert!(told("mtype", &["-i", "IMAGE", "::meta-data"], &image).starts_with("instance-id: "));
}
