//! The way guests took before: their card's iPXE ROM, dnsmasq for DHCP, nginx for scripts, kernel and initramfs.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::ground::{Ground, shell, within};

/// The server's address on the guests' bridge.
const SERVER: &str = "10.98.0.1";
/// For servers that were just started, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// How the servers answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As the original did, and as dnsmasq does unless told otherwise: names, a chain script, then one per machine.
    /// iPXE waits for what nobody answers.
    Plain,
    /// Nothing is waited for: one script at a literal address, a router that answers, and word that no `ProxyDHCP` offer
    /// comes (iPXE's option 175.176).
    Quick,
}

/// The servers of a namespace; they end with this.
#[derive(Debug)]
pub(crate) struct Netboot {
    children: Vec<Child>,
}

impl Netboot {
    /// Gives the bridge of a ground the addresses that servers answer from.
    pub(crate) fn addresses(ground: &Ground) {
        let name = &ground.name;
        shell(&format!(
            "ip -n {name} addr add {SERVER}/24 dev br0 && ip -n {name} addr add fd98::1/64 dev br0 nodad"
        ));
    }

    /// Starts them; they serve `kernel` and `initrd` with the kernel line `args`.
    pub(crate) fn start(
        ground: &Ground,
        manner: Manner,
        (kernel, initrd): (&[u8], &[u8]),
        args: &str,
    ) -> Self {
        let folder = ground.root.join("netboot");
        drop(fs::remove_dir_all(&folder));
        let www = folder.join("www");
        fs::create_dir_all(&www).unwrap();
        fs::write(www.join("vmlinuz"), kernel).unwrap();
        fs::write(www.join("initrd.img"), initrd).unwrap();
        let at = match manner {
            Manner::Plain => "boss.lab",
            Manner::Quick => SERVER,
        };
        let script = format!(
            "#!ipxe\nkernel http://{at}/vmlinuz initrd=initrd.img {args}\ninitrd http://{at}/initrd.img\nboot\n"
        );
        // The address is that of `ground::guest(1, ..)`.
        fs::write(www.join("52-54-00-00-02-01.ipxe"), script).unwrap();
        let chain = "#!ipxe\nchain http://boss.lab/${net0/mac:hexhyp}.ipxe\n";
        fs::write(www.join("boot.ipxe"), chain).unwrap();
        fs::write(folder.join("dnsmasq.conf"), dnsmasq(manner, &folder)).unwrap();
        fs::write(folder.join("nginx.conf"), nginx(&folder)).unwrap();
        let start = |program: &str, option: &str| {
            let log = fs::File::create(folder.join(format!("{program}.log"))).unwrap();
            let mut command = Command::new("ip");
            let option = format!("{option}{}", folder.join(format!("{program}.conf")).display());
            command.args(["netns", "exec", &ground.name, program, &option]).stdin(Stdio::null());
            command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
        };
        let servers = Self { children: vec![start("dnsmasq", "--conf-file="), start("nginx", "-c")] };
        let name = ground.name.clone();
        until("nginx", || within(&name, || TcpStream::connect((SERVER, 80)).is_ok()));
        until("dnsmasq", || log(&folder).contains("started"));
        servers
    }
}

impl Drop for Netboot {
    fn drop(&mut self) {
        for child in &mut self.children {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // nginx takes its workers with it when it is asked, not when it is killed.
            if let Some(pid) = pid.filter(|pid| kill_process(*pid, Signal::TERM).is_ok()) {
                drop((pid, child.wait()));
            }
        }
    }
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("dnsmasq.log")).unwrap_or_default()
}

fn until(what: &str, mut is_there: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_there() {
        assert!(Instant::now() < end, "{what} is not there after {} s", LIMIT.as_secs());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn dnsmasq(manner: Manner, folder: &Path) -> String {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let how = match manner {
        Manner::Plain => "dhcp-boot=http://boss.lab/boot.ipxe\n".to_owned(),
        Manner::Quick => format!(
            "dhcp-boot=http://{SERVER}/52-54-00-00-02-01.ipxe\ndhcp-option-force=encap:175,176,1b\n\
             enable-ra\ndhcp-range=fd98::,ra-only\n"
        ),
    };
    format!(
        "keep-in-foreground\ninterface=br0\nbind-interfaces\nno-resolv\nno-hosts\nlog-facility=-\npid-file={}\n\
         dhcp-leasefile={}\nuser=root\naddress=/boss.lab/{SERVER}\ndhcp-range=10.98.0.100,10.98.0.150,12h\n{how}",
        file("dnsmasq.pid").display(),
        file("leases").display(),
    )
}

fn nginx(folder: &Path) -> String {
    let at = folder.display();
    format!(
        "daemon off;\nuser root;\npid {at}/nginx.pid;\nerror_log {at}/error.log;\nevents {{}}\nhttp {{\n  \
         access_log {at}/access.log;\n  sendfile on;\n  server {{ listen {SERVER}:80; root {at}/www; }}\n}}\n"
    )
}
