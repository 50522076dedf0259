//! Other people's systems boot in real firmware through `image:` scenarios: the Debian installer with a preseed
//! file, an EFI program that fetches its Ignition configuration, a live image whose root comes over HTTP.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop")]
#![expect(clippy::print_stdout, reason = "what a failed test heard, and what was not tested")]

mod e2e;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::controller::Controller;
use e2e::ground;
use e2e::house::House;
use e2e::processes::{skip, told};
use model::{FileRole, MacAddr, NodeWord, Trace};

/// The Debian installer as its package brings it.
const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const BUSYBOX: &str = "/bin/busybox";

/// What both small systems begin with: file systems, modules of the node image, an address.
const BEGINNING: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /etc/labinator/modules) $(cat /etc/more-modules); do insmod "$module"; done
value() { sed -n "s/.*$1=\([^ ]*\).*/\1/p" /proc/cmdline; }
ip link set eth0 up
udhcpc -i eth0 -s /address -n -q -t 20 || poweroff -f
"#;
const ADDRESS: &str = "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip link set \"$interface\" up\nip addr add \"$ip/$mask\" dev \"$interface\"\n";

fn mac(number: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0x4f, 0x53, number])
}

/// A lab of one machine with this scenario. A router is named though nobody is there: without one the Debian
/// installer asks whether to go on, and nobody answers.
fn lab(house: &House, firmware: &str, scenario: &str) -> Controller {
    let mac = mac(1);
    let tap = drivers::power::tap_name(mac);
    house.shell(&format!("ip tuntap add {tap} mode tap && ip link set {tap} master br0 up"));
    let text = format!(
        "lab: systems\n\
         network: {{ interface: br0, subnet: 10.79.0.0/20, boss: 10.79.0.1, gateway: 10.79.0.2, dns: [10.79.0.2], dhcp: authoritative }}\n\
         power: {{ qemu: {{ driver: virtual, memory: 1024MiB }} }}\n\
         board:\n  columns: 1\n  nodes:\n    \
         box: {{ at: [1, 1], mac: {mac}, ip: 10.79.0.11, power: qemu/1, firmware: {firmware}, vars: {{ word: plum }} }}\n\
         scenarios:\n  system: {{ nodes: all, ready: done, within: 8m, {scenario} }}\n\
         limits: {{ first-ask: 5m, fetch: 5m, start: 8m, tries: 1 }}\n"
    );
    let file = house.write("lab.yaml", text);
    told(Command::new(ground::given("LABINATOR_BIN")).arg("check").arg(&file));
    let controller = Controller::start(house, &file);
    controller.wait(Duration::from_secs(60), "the images are read", |picture| {
        picture.lab.scenarios.iter().all(|scenario| scenario.missing.is_empty())
    });
    ground::until(Duration::from_secs(60), "the start is not refused any more", || {
        let plan = controller.verb("start system --plan --json").output().unwrap();
        let plan: api::Plan = serde_json::from_slice(&plan.stdout).ok()?;
        plan.refused.is_none().then_some(())
    });
    controller
}

/// Starts it; the machine says that it is done, or the test ends with what its console showed.
fn boots(controller: &Controller) -> Trace {
    let mut start = controller.verb("start system --wait --timeout 9m");
    let output = start.output().unwrap();
    if !output.status.success() {
        let consoles = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "find {} -name '*console*' -o -name '*serial*' | xargs -r tail -c 6000",
                controller.state.display()
            ))
            .output()
            .unwrap();
        println!("{}", String::from_utf8_lossy(&consoles.stdout));
        panic!("{}\n{}", ground::said(&output), controller.log());
    }
    let trace = told(&mut controller.verb("boot trace box --json"));
    println!("{}", told(&mut controller.verb("boot trace box")));
    serde_json::from_str(&trace).unwrap()
}

fn took(trace: &Trace, name: &str, role: FileRole) -> bool {
    trace.boot.transfers.iter().any(|file| file.name == name && file.role == role && file.ended.is_some())
}

fn node_image() -> PathBuf {
    ground::given("LABINATOR_IMAGES").join("node")
}

fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The node image's own, so long that another archive may follow it: the kernel looks for one at every fourth
/// byte, and its EFI stub puts files one behind the other without a gap.
fn node_initrd() -> Vec<u8> {
    let mut initrd = fs::read(node_image().join("initrd.img")).unwrap();
    initrd.resize(initrd.len().next_multiple_of(512), 0);
    initrd
}

/// An archive laid over the node image's: busybox, and another `/init`.
fn overlay(house: &House, init: &str, modules: &[PathBuf]) -> Vec<u8> {
    let root = house.path("overlay");
    for folder in ["bin", "proc", "sys", "dev", "etc", "new"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    write_program(&root.join("init"), &format!("{BEGINNING}{init}"));
    write_program(&root.join("address"), ADDRESS);
    let mut more = String::new();
    for module in modules {
        let name = module.file_name().unwrap().to_str().unwrap();
        fs::copy(module, root.join(name)).unwrap();
        more.push_str(&format!("/{name}\n"));
    }
    fs::write(root.join("etc/more-modules"), more).unwrap();
    let archive = Command::new("sh")
        .args(["-c", "cd \"$0\" && find . | cpio -o -H newc --quiet"])
        .arg(&root)
        .output()
        .unwrap();
    assert!(archive.status.success(), "{}", ground::said(&archive));
    archive.stdout
}

#[test]
#[ignore = "stage e2e-qemu"]
fn the_debian_installer_fetches_its_answers_and_does_what_they_say_and_is_not_started_twice() {
    if !Path::new(INSTALLER).is_dir() {
        return skip("the Debian installer: its package is not there");
    }
    let house = House::new();
    house.write(
        "preseed.cfg",
        "d-i preseed/early_command string wget -q -O /dev/null {{ seed_url }}/done\n\
         d-i debian-installer/locale string en_US.UTF-8\n\
         d-i mirror/country string manual\n",
    );
    let scenario = format!(
        "image: {{ kernel: {INSTALLER}/linux, initrd: {INSTALLER}/initrd.gz, args: \"console=ttyS0 no_timer_check\" }}, \
         args: \"auto=true priority=critical hostname={{{{ node }}}} domain=lab url={{{{ seed_url }}}}/preseed.cfg\", \
         seed: {{ preseed.cfg: preseed.cfg }}, install: true"
    );
    let mut controller = lab(&house, "bios", &scenario);
    let trace = boots(&controller);
    assert!(took(&trace, "preseed.cfg", FileRole::Seed), "{trace:?}");
    let explained = told(&mut controller.verb("explain box"));
    assert!(explained.contains("installed in boot 1"), "{explained}");
    let mac = mac(1).to_string().replace(':', "-");
    let script = house.shell(&format!("curl -s http://10.79.0.1/boot/{mac}.ipxe"));
    assert!(script.contains("sanboot") && !script.contains("initrd.gz"), "{script}");
    told(&mut controller.verb("stop --wait --timeout 3m"));
    controller.stop();
}

#[test]
#[ignore = "stage e2e-qemu"]
fn an_efi_program_started_by_firmware_fetches_its_ignition_configuration_as_me() {
    let house = House::new();
    house.write("config.ign", r#"{ "ignition": { "version": "3.4.0" }, "storage": { "files": [{ "path": "/etc/{{ node }}-{{ word }}" }] } }"#);
    let init = overlay(
        &house,
        "wget -q -O /config.ign \"$(value ignition.config.url)\" && grep -q /etc/box-plum /config.ign && \
         wget -q -O /dev/null http://10.79.0.1/n/me/done\nsleep 100000\n",
        &[],
    );
    let mut initrd = node_initrd();
    initrd.extend(init);
    let initrd = house.write("uki.initrd", initrd);
    let osrel = house.write("osrel", "ID=flatcar-like\nPRETTY_NAME=\"Something like Flatcar\"\n");
    let line = "console=ttyS0 no_timer_check ignition.config.url=http://10.79.0.1/n/me/config.ign";
    let cmdline = house.write("cmdline", line);
    let uki = house.path("flatcar.efi");
    let section = |name: &str, file: &Path, at: &str| {
        [
            "--add-section".to_owned(),
            format!("{name}={}", file.display()),
            "--change-section-vma".to_owned(),
            format!("{name}={at}"),
        ]
    };
    let mut objcopy = Command::new("objcopy");
    objcopy.args(section(".osrel", &osrel, "0x20000")).args(section(".cmdline", &cmdline, "0x30000"));
    objcopy.args(section(".linux", &node_image().join("vmlinuz"), "0x2000000"));
    objcopy.args(section(".initrd", &initrd, "0x4000000")).arg(STUB).arg(&uki);
    told(&mut objcopy);
    let mut controller =
        lab(&house, "uefi-http", "image: { uki: flatcar.efi }, seed: { config.ign: config.ign }");
    let trace = boots(&controller);
    assert!(took(&trace, "flatcar.efi", FileRole::Uki), "{trace:?}");
    assert!(took(&trace, "config.ign", FileRole::Seed), "{trace:?}");
    told(&mut controller.verb("stop --wait --timeout 3m"));
    controller.stop();
}

/// Modules of the node image's kernel, out of the package it was built from.
fn modules(house: &House, names: &[&str]) -> Option<Vec<PathBuf>> {
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(node_image().join("image.json")).unwrap()).unwrap();
    let version = manifest["kernel_version"].as_str().unwrap().to_owned();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let debs = fs::read_dir(cache.join("labinator/packages")).ok()?;
    let deb = debs.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("linux-image-{version}")))
    })?;
    let to = house.path("modules");
    fs::create_dir_all(&to).unwrap();
    let found: Vec<PathBuf> = names
        .iter()
        .map(|name| {
            let path = format!("./lib/modules/{version}/kernel/{name}.ko");
            let unpack = format!(
                "dpkg-deb --fsys-tarfile '{}' | tar -x -C '{}' --strip-components=0 '{path}'",
                deb.display(),
                to.display()
            );
            told(Command::new("sh").args(["-c", &unpack]));
            to.join(path)
        })
        .collect();
    Some(found)
}

#[test]
#[ignore = "stage e2e-qemu"]
fn a_live_image_takes_its_root_over_http_and_runs_it() {
    let house = House::new();
    let Some(modules) = modules(&house, &["fs/squashfs/squashfs", "drivers/block/loop"]) else {
        return skip("a live image: the kernel package of the node image is not in the cache");
    };
    let root = house.path("root");
    for folder in ["bin", "sbin", "proc", "sys", "dev", "etc"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    write_program(
        &root.join("sbin/init"),
        "#!/bin/busybox sh\n/bin/busybox wget -q -O /dev/null http://10.79.0.1/n/me/done\n/bin/busybox sleep 100000\n",
    );
    told(
        Command::new("mksquashfs")
            .arg(&root)
            .arg(house.path("root.squashfs"))
            .args(["-quiet", "-no-progress"]),
    );
    let init = overlay(
        &house,
        "wget -q -O /root.squashfs \"$(value live.url)\" && mount -t squashfs -o loop,ro /root.squashfs /new && \
         exec switch_root /new /sbin/init\nsleep 100000\n",
        &modules,
    );
    house.write("live.cpio", init);
    house.write("modules.img", node_initrd());
    let node = node_image();
    let scenario = format!(
        "image: {{ kernel: {}, initrd: [modules.img, live.cpio], args: \"console=ttyS0 no_timer_check\" }}, \
         args: \"live.url={{{{ seed_url }}}}/root.squashfs\", files: {{ root.squashfs: root.squashfs }}",
        node.join("vmlinuz").display()
    );
    let mut controller = lab(&house, "uefi-pxe", &scenario);
    let trace = boots(&controller);
    assert!(took(&trace, "root.squashfs", FileRole::Seed), "{trace:?}");
    assert!(took(&trace, "live.cpio", FileRole::Initrd), "{trace:?}");
    let picture = controller.look().unwrap();
    assert!(picture.machines.iter().all(|machine| machine.word == NodeWord::Ready));
    told(&mut controller.verb("stop --wait --timeout 3m"));
    controller.stop();
}
