//! What the demo needs of this computer, asked before anything is started.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use drivers::process::{ProcessError, Program, run_once};
use model::LabSpec;

use super::cluster::{PHYSICAL, absent_assets, genuine_memory_mib};
use super::lab::{IMAGE, SCENARIO};
use super::network::IP;
use super::{DemoOptions, VIRTUAL, hypervisor, namespace};
use crate::image::life::in_use;
use crate::image::{ImageManifest, SIMULATED_TALOS};

/// Network boot programs the boot counter hands to firmware.
const LOADERS: [&str; 2] = ["snponly.efi", "undionly.kpxe"];
const TUN: &str = "/dev/net/tun";
const TRUE: Program = Program::new("true", "coreutils");
const LIMIT: Duration = Duration::from_secs(10);

/// Everything that is missing, one line each, each with what helps. Empty when the demo can start.
pub async fn missing(options: &DemoOptions, spec: &LabSpec) -> Vec<String> {
    let firmwares = spec.board.nodes.values().filter_map(|node| node.firmware);
    let mut lines: Vec<String> = drivers::power::missing(firmwares).iter().map(ToString::to_string).collect();
    for program in [namespace::UNSHARE, IP] {
        lines.extend(program.find().err().map(|error| error.to_string()));
    }
    let absent = LOADERS.map(|name| options.loaders.join(name)).into_iter().filter(|path| !path.is_file());
    lines.extend(absent.map(|path| format!("{} is missing: apt-get install -y ipxe", path.display())));
    lines.extend(no_image(options));
    lines.extend(no_tun());
    lines.extend(no_namespace().await);
    lines
}

/// What the scenario boots.
fn no_image(options: &DemoOptions) -> Vec<String> {
    let scenario = options.scenario.as_ref().map_or(SCENARIO, |name| name.as_str());
    let names: &[&str] = match (scenario == PHYSICAL, &options.assets) {
        (true, Some(assets)) => {
            let absent = absent_assets(assets).into_iter().map(|path| {
                format!("{} is missing: take it from a release of Talos, under this name", path.display())
            });
            return absent.chain(too_little_memory(options.nodes)).collect();
        }
        (false, Some(_)) => {
            return vec![format!("--assets is for genuine Talos: add --scenario {PHYSICAL}")];
        }
        (true, None) => &[SIMULATED_TALOS],
        (false, None) if scenario == VIRTUAL => &[IMAGE, hypervisor::image()],
        (false, None) => &[IMAGE],
    };
    let absent = names.iter().filter(|name| {
        let folder = in_use(&options.images, name);
        !ImageManifest::read(&folder).is_ok_and(|manifest| manifest.is_complete(&folder))
    });
    let build = |name: &&str| {
        let folder = options.images.join(name);
        let out = options.images.display();
        format!("{} is no image: labinator image build {name} --out {out}", folder.display())
    };
    absent.map(build).collect()
}

/// Genuine Talos does not start with less, and says so only on its console.
fn too_little_memory(nodes: u8) -> Option<String> {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    let needed = genuine_memory_mib(nodes);
    (kib / 1024 < needed).then(|| {
        format!("{nodes} nodes with genuine Talos need {needed} MiB of memory, and {} MiB are free: fewer --nodes", kib / 1024)
    })
}

/// The device through which a program is a network port.
fn no_tun() -> Option<String> {
    let error = File::options().read(true).write(true).open(TUN).err()?;
    Some(match error.kind() {
        std::io::ErrorKind::NotFound if !Path::new(TUN).exists() => {
            format!("{TUN} is missing: as root, modprobe tun")
        }
        _ => format!("{TUN} cannot be opened ({error}): as root, chmod 666 {TUN}"),
    })
}

/// Tries the very call the demo makes. Kernels and distributions forbid it in different ways, and none
/// can be asked beforehand.
async fn no_namespace() -> Option<String> {
    let words = namespace::words().into_iter().map(OsString::from);
    let program = TRUE.find().ok()?;
    let error = run_once(namespace::UNSHARE, words.chain([program.into()]), LIMIT).await.err()?;
    let advice = if Path::new("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists() {
        "as root, sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if Path::new("/proc/sys/kernel/unprivileged_userns_clone").exists() {
        "as root, sysctl kernel.unprivileged_userns_clone=1"
    } else {
        "run it as root"
    };
    match error {
        ProcessError::Missing(_) => None,
        other => Some(format!("this system allows no network of one's own ({other}): {advice}")),
    }
}
