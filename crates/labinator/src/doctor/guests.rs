//! Virtual machines on this boss that are given a large content by QEMU's `fw_cfg`: Linux reads one with the square of
//! its size.
//!
//! `/sys/firmware/qemu_fw_cfg/by_name/…/raw` gives a page a call, and for each page the kernel selects the content and
//! passes over everything before it, a byte an access (`drivers/firmware/qemu_fw_cfg.c`). `cargo xtask bench fwcfg`
//! counts it, and docs/carriers.md tells what came out.

use std::fs;
use std::path::{Path, PathBuf};

use api::{Check, Finding};

use super::check;

/// The largest content that is still read in bearable time, in bytes: eight pages, 180,224 accesses. Each is an exit
/// from the guest: a third of a second where one costs 2 µs, seconds where the boss is a virtual machine itself; and
/// ten times the size is a hundred times that.
const LARGEST: u64 = 32 << 10;
/// What one call reads at most, in bytes: the kernel's page on x86.
const PAGE: u64 = 4096;
/// Contents below these are read by firmware alone, which reads by DMA.
const OF_FIRMWARE: [&str; 2] = ["opt/org.tianocore/", "opt/ovmf/"];
const HELP: &str = "hand it over on a disk (Talos: a `cidata` volume; Ignition: virtio-blk with serial=ignition) or by \
                    URL, or make it smaller";

/// One content that one virtual machine is given.
#[derive(Debug, PartialEq, Eq)]
struct Given {
    /// Its name, as the guest knows it.
    name: String,
    /// Its bytes, where they can be told.
    size: Option<u64>,
}

/// Looks at every QEMU below a `/proc`. Where none is given anything there is nothing to tell.
pub(super) fn examine(proc: &Path) -> Vec<Check> {
    let (mut checks, mut well) = (Vec::new(), 0_usize);
    for (process, words) in running(proc) {
        let folder = proc.join(process.to_string());
        for given in contents(&words, |path| length(&folder, path)) {
            let Some(size) = given.size else { continue };
            if size <= LARGEST {
                well += 1;
                continue;
            }
            let seen = format!(
                "virtual machine {} (process {process}) is given {} by fw_cfg, {} KiB: Linux reads that by {} accesses \
                 to the device, and the limit is {} KiB",
                called(&words),
                given.name,
                size.div_ceil(1024),
                accesses(size),
                LARGEST >> 10,
            );
            checks.push(check("fw_cfg", Finding::Broken, seen, HELP));
        }
    }
    if checks.is_empty() && well > 0 {
        let seen = format!("none of {well} contents given by fw_cfg is larger than {} KiB", LARGEST >> 10);
        checks.push(check("fw_cfg", Finding::Well, seen, ""));
    }
    checks
}

/// Accesses to the data port until a guest has read so many bytes and found their end.
fn accesses(size: u64) -> u64 {
    let before_last = size.div_ceil(PAGE).saturating_sub(1);
    let passed = (PAGE / 2).saturating_mul(before_last).saturating_mul(before_last.saturating_add(1));
    passed.saturating_add(size.saturating_mul(2))
}

/// Process ids and command lines of the QEMUs that may be seen, lowest first.
fn running(proc: &Path) -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<(u32, Vec<String>)> = ids
        .filter_map(|id| {
            let line = fs::read(proc.join(id.to_string()).join("cmdline")).ok()?;
            let words: Vec<String> = line
                .split(|byte| *byte == 0)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            let program = Path::new(words.first()?).file_name()?.to_str()?;
            (program.starts_with("qemu-system-") || program == "qemu-kvm" || program == "kvm")
                .then_some((id, words))
        })
        .collect();
    found.sort_unstable();
    found
}

/// What `-fw_cfg [name=]NAME,file=FILE` and `…,string=TEXT` of a command line hand over to a system.
fn contents(words: &[String], length: impl Fn(&str) -> Option<u64>) -> Vec<Given> {
    values(words, "fw_cfg")
        .filter_map(|value| {
            let (mut name, mut size) = (None, None);
            for (place, option) in options(value).into_iter().enumerate() {
                match option.split_once('=') {
                    Some(("name", text)) => name = Some(text.to_owned()),
                    Some(("file", path)) => size = length(path),
                    Some(("string", text)) => size = u64::try_from(text.len()).ok(),
                    None if place == 0 => name = Some(option),
                    _ => {}
                }
            }
            let name = name.filter(|name| name.starts_with("opt/"))?;
            let firmware = OF_FIRMWARE.iter().any(|folder| name.starts_with(folder));
            (!firmware).then_some(Given { name, size })
        })
        .collect()
}

/// What follows a switch, each time it is there; QEMU takes it with one dash or two.
fn values<'a>(words: &'a [String], switch: &'a str) -> impl Iterator<Item = &'a str> {
    let is = move |word: &str| word.strip_prefix("--").or_else(|| word.strip_prefix('-')) == Some(switch);
    words.iter().zip(words.iter().skip(1)).filter(move |(word, _)| is(word)).map(|(_, value)| value.as_str())
}

/// Splits at commas; two of them are one that belongs to the text.
fn options(value: &str) -> Vec<String> {
    value.replace(",,", "\0").split(',').map(|option| option.replace('\0', ",")).collect()
}

/// `-name NAME` or `-name guest=NAME,…`.
fn called(words: &[String]) -> String {
    let first = values(words, "name").next().and_then(|value| options(value).into_iter().next());
    let name = first.unwrap_or_else(|| "without a name".to_owned());
    name.strip_prefix("guest=").map(str::to_owned).unwrap_or(name)
}

/// Bytes of a file as the process sees it: it may work elsewhere, and have other file systems.
fn length(process: &Path, path: &str) -> Option<u64> {
    let seen: PathBuf = match path.strip_prefix('/') {
        Some(path) => process.join("root").join(path),
        None => process.join("cwd").join(path),
    };
    fs::metadata(seen).or_else(|_| fs::metadata(path)).ok().map(|file| file.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like `/proc`; gone at the end of its test.
    struct Proc(PathBuf);

    impl Proc {
        /// With processes of these command lines, each working in a folder of its own.
        fn new(test: &str, processes: &[(u32, &[&str])]) -> Self {
            let proc =
                Self(std::env::temp_dir().join(format!("labinator-guests-{test}-{}", std::process::id())));
            for (id, words) in processes {
                let folder = proc.0.join(id.to_string());
                fs::create_dir_all(folder.join("cwd")).unwrap();
                fs::create_dir_all(folder.join("root")).unwrap();
                fs::write(folder.join("cmdline"), words.join("\0") + "\0").unwrap();
            }
            fs::create_dir_all(proc.0.join("self")).unwrap();
            proc
        }

        /// Makes a file that a process sees below its `cwd` or its `root`.
        fn fill(&self, process: u32, beneath: &str, file: &str, size: u64) {
            let folder = self.0.join(process.to_string()).join(beneath);
            fs::File::create(folder.join(file)).unwrap().set_len(size).unwrap();
        }

        fn findings(&self) -> Vec<Finding> {
            examine(&self.0).iter().map(|check| check.finding).collect()
        }
    }

    impl Drop for Proc {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn a_content_above_the_knee_is_refused_with_its_guest_its_size_and_its_cost() {
        let words = ["/usr/bin/qemu-system-x86_64", "-name", "guest=web1,debug-threads=on", "-fw_cfg"];
        let words = [words.as_slice(), &["name=opt/com.coreos/config,file=/web1.ign", "-m", "512"]].concat();
        let proc = Proc::new("knee", &[(7, &words), (8, &["/bin/sh", "-fw_cfg", "name=opt/x,string=y"])]);
        proc.fill(7, "root", "web1.ign", 400_000);
        let checks = examine(&proc.0);
        let [check] = checks.as_slice() else { panic!("{checks:?}") };
        assert_eq!((check.code.as_str(), check.finding), ("fw_cfg", Finding::Broken));
        for part in ["web1 (process 7)", "opt/com.coreos/config", "391 KiB", "20268288 accesses"] {
            assert!(check.seen.contains(part), "{part}: {}", check.seen);
        }
        assert!(check.help.contains("cidata") && check.page.ends_with("doctor.md#fw-cfg"), "{check:?}");
        proc.fill(7, "root", "web1.ign", LARGEST);
        assert_eq!(proc.findings(), [Finding::Well]);
        proc.fill(7, "root", "web1.ign", LARGEST + 1);
        assert_eq!(examine(&proc.0).iter().map(|check| check.finding).collect::<Vec<_>>(), [Finding::Broken]);
    }

    #[test]
    fn each_way_to_say_it_is_understood() {
        let long = format!("name=opt/a,string={}", "x".repeat(40_000));
        let words = [
            "qemu-kvm",
            "--fw_cfg",
            "opt/b,file=in,,it",
            "-fw_cfg",
            &long,
            "-fw_cfg",
            "file=plain,name=opt/c",
        ];
        let proc = Proc::new("words", &[(9, &words)]);
        for file in ["in,it", "plain"] {
            proc.fill(9, "cwd", file, 40_000);
        }
        let seen: Vec<String> = examine(&proc.0).into_iter().map(|check| check.seen).collect();
        assert_eq!(seen.len(), 3, "{seen:?}");
        for (seen, name) in seen.iter().zip(["opt/b", "opt/a", "opt/c"]) {
            assert!(seen.contains(&format!("without a name (process 9) is given {name} ")), "{seen}");
        }
    }

    #[test]
    fn what_firmware_reads_and_what_cannot_be_seen_is_no_finding() {
        let cas = "name=opt/ovmf/cas,file=big";
        let words = ["qemu-system-x86_64", "-fw_cfg", cas, "-fw_cfg", "name=etc/edk2/https/cacerts,file=big"];
        let words = [words.as_slice(), &["-fw_cfg", "name=opt/gone,file=/gone", "-fw_cfg"]].concat();
        let proc = Proc::new("firmware", &[(5, &words)]);
        proc.fill(5, "cwd", "big", 400_000);
        assert_eq!(examine(&proc.0), []);
        assert_eq!(examine(&proc.0.join("nowhere")), []);
    }

    #[test]
    fn the_cost_is_what_the_bench_counts() {
        for (size, counted) in [(4_000, 8_000), (32_768, 180_224), (40_000, 264_320), (400_000, 20_268_288)] {
            assert_eq!(accesses(size), counted, "{size}");
        }
        assert_eq!(accesses(0), 0);
    }
}
