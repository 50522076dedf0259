//! What can be typed after `labinator`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use model::{MacAddr, NodeName, ScenarioName};

use super::adopt::AdoptArgs;
use super::args_image::{IMAGES_HELP, ImageVerb};
use super::args_lab::{ImportVerb, InitArgs};
use super::args_power::PowerVerb;
use super::args_switch::{IdentifyArgs, SwitchVerb, WiringVerb};
use super::bundle::BundleVerb;
use super::burn_in::BurnInArgs;
use super::cert::CertVerb;
use super::cluster::{ManifestsVerb, PodsArgs};
use super::display::DisplayVerb;
use super::logs::LogsArgs;
use super::media::MediaVerb;
use super::router::RouterVerb;
use super::secret::SecretVerb;
use super::secure_boot::SecureBootVerb;
use super::talos::TalosVerb;
use super::token::TokenVerb;
use super::wiring_diagram::ShowVerb;

/// From cold machines to a running lab and back.
#[derive(Debug, Clone, Parser)]
#[command(name = "labinator", version, max_term_width = 100, propagate_version = false)]
pub struct Cli {
    /// What is asked for.
    #[command(subcommand)]
    pub verb: Verb,
    /// How it is asked and answered.
    #[command(flatten)]
    pub globals: Globals,
}

/// Options of every verb.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// Controller to ask: a socket's path, http://HOST:PORT or https://HOST:PORT [default: the local Unix socket]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<super::socket::Server>,
    /// Token for a controller that is asked over TCP.
    #[arg(long, global = true, value_name = "TOKEN")]
    #[arg(help = "Token for a controller that is asked over TCP [default: $LABINATOR_TOKEN]")]
    pub token: Option<String>,
    /// How the root of a controller that is asked over TLS is known.
    #[arg(long, global = true, value_name = "ROOT")]
    #[arg(
        help = "Root of a controller that is asked by https: a file, or sha256:… [default: $LABINATOR_CA]"
    )]
    pub ca: Option<super::tls::Known>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Say nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Everything this version can do. [`Verb::Client`] is carried out by [`super::run`]; the others by the rooms
/// they name.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// Run a whole lab of virtual machines on this computer, no hardware needed
    Demo(DemoArgs),
    /// Listen on the lab's network, name other servers, list the machines, and write a lab file
    Init(InitArgs),
    /// Make a lab file of what another netboot server has
    #[command(subcommand)]
    Import(ImportVerb),
    /// Run the controller
    Serve(ServeArgs),
    /// The controller as a service of this machine (systemd)
    #[command(subcommand)]
    Service(ServiceVerb),
    /// Build and list boot images
    #[command(subcommand)]
    Image(ImageVerb),
    /// Media to boot from: sticks and disks that start a machine without PXE
    #[command(subcommand)]
    Media(MediaVerb),
    /// Your own keys for UEFI Secure Boot, and what is signed with them
    #[command(subcommand)]
    SecureBoot(SecureBootVerb),
    /// Passwords and tokens of devices, kept sealed beside the controller's state
    #[command(subcommand)]
    Secret(SecretVerb),
    /// The lab on small displays: a framebuffer, the original's status display, a picture file
    #[command(subcommand)]
    Display(DisplayVerb),
    /// A router that runs `OpenWrt`: what it does, Wi-Fi, uplink
    #[command(subcommand)]
    Router(RouterVerb),
    /// Draw what the lab file says
    #[command(subcommand)]
    Show(ShowVerb),
    /// Configs, certificates and nodes of Talos Linux
    #[command(subcommand)]
    Talos(TalosVerb),
    /// Objects of a Kubernetes cluster, written in files
    #[command(subcommand)]
    Manifests(ManifestsVerb),
    /// Manifests rendered once by your own helm or kustomize, and held to a digest
    #[command(subcommand)]
    Bundle(BundleVerb),
    /// Nodes and pods of a Kubernetes cluster, with the reason of each that is not ready
    Pods(PodsArgs),
    /// Tell again what a journal recorded
    Replay(ReplayArgs),
    /// Wipe a disk of a machine, and read back that nothing is left
    Wipe(WipeArgs),
    /// A part of this program that it starts itself
    #[command(hide = true)]
    Inside(InsideArgs),
    /// Everything that reads a file or asks a controller.
    #[command(flatten)]
    Client(ClientVerb),
}

/// Options of `demo`.
#[derive(Debug, Clone, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub struct DemoArgs {
    /// How many virtual machines [default: 6; 1 in the scenario `virtual`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=24))]
    pub nodes: Option<u8>,
    /// Scenario to start: demo, physical (a cluster) or virtual (guests in a hypervisor) [default: demo]
    #[arg(long, value_name = "S")]
    pub scenario: Option<ScenarioName>,
    /// End with exit code 0 as soon as the lab is ready, 1 when it failed
    #[arg(long)]
    pub until_ready: bool,
    /// Serve no page
    #[arg(long)]
    pub headless: bool,
    /// Print what happens as JSON lines
    #[arg(long)]
    pub json: bool,
    /// Keep the files of the run
    #[arg(long)]
    pub keep: bool,
    /// Boot genuine Talos in the scenario `physical`: folder with its vmlinuz-amd64 and initramfs-amd64.xz
    #[arg(long, value_name = "DIR")]
    pub assets: Option<PathBuf>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub images: Option<PathBuf>,
}

/// What can be done with the service.
#[derive(Debug, Clone, Subcommand)]
pub enum ServiceVerb {
    /// Print the unit
    Print {
        /// The lab file
        #[arg(long, value_name = "FILE", default_value = "/etc/labinator/lab.yaml")]
        lab: PathBuf,
    },
    /// Write the unit to its place
    Install {
        /// The lab file
        #[arg(long, value_name = "FILE", default_value = "/etc/labinator/lab.yaml")]
        lab: PathBuf,
        /// Where to [default: /etc/systemd/system/labinator.service]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Also over a unit that is another
        #[arg(long)]
        force: bool,
    },
}

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The lab file
    #[arg(long, value_name = "FILE")]
    pub lab: PathBuf,
    /// Folder of journal and ledger [default: /var/lib/labinator as root, else ~/.local/state/labinator]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Folder of boot images.
    #[arg(long, value_name = "DIR", help = IMAGES_HELP)]
    pub images: Option<PathBuf>,
    /// Folder of network boot programs, such as `snponly.efi` [default: `LABINATOR_LOADERS`, else /usr/lib/ipxe]
    #[arg(long, value_name = "DIR")]
    pub loaders: Option<PathBuf>,
    /// The agent that machines are kept at, linked statically [default: `agent` beside this program]
    #[arg(long, value_name = "FILE")]
    pub agent: Option<PathBuf>,
    /// Address of the page and the API
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub listen: std::net::SocketAddr,
}

/// Options of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The journal's folder or file
    pub journal: PathBuf,
    /// As JSON, one event a line
    #[arg(long)]
    pub json: bool,
}

/// How this program starts parts of itself.
#[derive(Debug, Clone, Args)]
pub struct InsideArgs {
    /// Which part
    pub part: String,
    /// What it is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub told: Vec<std::ffi::OsString>,
}

/// Options of `wipe`.
#[derive(Debug, Clone, Args)]
pub struct WipeArgs {
    /// Which machine
    pub node: NodeName,
    /// Which disk, by name or serial; may be left out where the machine has one
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Its serial: needed for a disk that is not recorded as this lab's
    #[arg(long, value_name = "SERIAL")]
    pub confirm: Option<String>,
    /// Wait until it is wiped, or failed
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, such as 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60m")]
    pub timeout: Duration,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Verbs that read a file or ask a controller.
#[derive(Debug, Clone, Subcommand)]
pub enum ClientVerb {
    /// Name every mistake of lab files with its place
    Check {
        /// The lab files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Read an error number of iPXE without ipxe.org
    ExplainCode {
        /// The eight digits, or the whole line that shows them
        #[arg(required = true)]
        code: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List the ways to run the lab
    Scenarios {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Start a scenario
    Start {
        /// Which one
        scenario: ScenarioName,
        /// Wait until it is ready or failed
        #[arg(long)]
        wait: bool,
        /// Say what would happen, and do nothing
        #[arg(long, conflicts_with = "wait")]
        plan: bool,
        /// How long to wait, such as 90s or 10m
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15m")]
        timeout: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Start a lab again and again, and say how often it came up and how sure that is
    BurnIn(Box<BurnInArgs>),
    /// Take over a cluster that runs, with its secrets and without a write to it
    Adopt(AdoptArgs),
    /// Switch the lab's machines off
    Stop {
        /// Wait until they are off
        #[arg(long)]
        wait: bool,
        /// How long to wait, such as 90s or 10m
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
        timeout: Duration,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the lab
    Status {
        /// Go on showing it
        #[arg(long)]
        watch: bool,
        /// As JSON; with --watch one picture a line
        #[arg(long)]
        json: bool,
        /// Which machines
        #[command(flatten)]
        filter: StatusFilter,
    },
    /// Ports of the switches: show them, disable them for a while, copy them
    #[command(subcommand)]
    Switch(SwitchVerb),
    /// Which machine hangs on which switch port
    #[command(subcommand)]
    Wiring(WiringVerb),
    /// Certificates: what serves with one or waits for one, the root, and some for other servers
    #[command(subcommand)]
    Cert(CertVerb),
    /// Tokens for people, programs and screens: what each may, until when
    #[command(subcommand)]
    Token(TokenVerb),
    /// Blink with the light of a machine's link
    Identify(IdentifyArgs),
    /// Say why everything, or one machine, is as it is
    Explain {
        /// Which machine
        node: Option<NodeName>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the serial console of a guest or a virtual machine, and type into it; Ctrl-] ends it
    Console {
        /// Which machine
        node: NodeName,
        /// Only show what is kept of it
        #[arg(long)]
        log: bool,
    },
    /// Open the screen of a guest or a virtual machine on a port of this computer's loopback, for any VNC viewer; Ctrl-C ends it
    Vnc {
        /// Which machine
        node: NodeName,
        /// Which port; one that is free unless told
        #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
        port: u16,
    },
    /// Tell what happened
    Events {
        /// Go on telling
        #[arg(short, long)]
        follow: bool,
        /// Begin after the event with this number
        #[arg(long, value_name = "N")]
        after: Option<u64>,
        /// As JSON, one event a line
        #[arg(long)]
        json: bool,
    },
    /// Show the log lines of all machines
    Logs(LogsArgs),
    /// Look at boots
    #[command(subcommand)]
    Boot(BootVerb),
    /// Show what an operating system is told: cloud-init, Ignition, answer files
    #[command(subcommand)]
    Seed(SeedVerb),
    /// Install a machine again, in the running scenario: its disk is written anew
    Install {
        /// Which machine
        node: NodeName,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Switch machines, and see how they are switched
    #[command(subcommand)]
    Power(PowerVerb),
    /// Say what is wrong with this boss, this network and this lab, and what to do
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Change this machine instead, as root, and say how to undo it: move frames away from a program that spins, or
        /// make room for datagrams
        #[arg(long, value_name = "WHAT")]
        fix: Option<FixVerb>,
        /// The lab's interface, whose frames are to be moved
        #[arg(long, value_name = "NAME", required_if_eq("fix", "irq"), requires = "fix")]
        interface: Option<String>,
    },
    /// Print the JSON Schema of the lab file, for editors
    Schema,
    /// Print the OpenAPI description of the controller
    Openapi,
}

/// What `doctor` can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FixVerb {
    /// Where the frames of the lab's interface are taken.
    Irq,
    /// How much room datagrams have.
    Sockets,
}

/// What can be asked about seeds.
#[derive(Debug, Clone, Subcommand)]
pub enum SeedVerb {
    /// Show what one machine would get, rendered from the lab file
    Show(SeedShow),
}

/// Options of `seed show`.
#[derive(Debug, Clone, Args)]
pub struct SeedShow {
    /// Which machine
    pub node: NodeName,
    /// Only this file, or `args` for the kernel arguments
    pub name: Option<String>,
    /// The lab file
    #[arg(long, value_name = "FILE", default_value = "lab.yaml")]
    pub lab: PathBuf,
    /// In which scenario [default: the only one that has seeds]
    #[arg(long, value_name = "S")]
    pub scenario: Option<ScenarioName>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be asked of boots.
#[derive(Debug, Clone, Subcommand)]
pub enum BootVerb {
    /// Show where the seconds of a boot went
    Trace {
        /// Which machine
        node: NodeName,
        /// Which boot [default: the last]
        #[arg(long, value_name = "N")]
        boot: Option<u32>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the boots that a capture from any wire holds (tcpdump, dumpcap, Wireshark)
    Import {
        /// The capture, pcap or pcapng
        file: PathBuf,
        /// Only this machine
        #[arg(long, value_name = "ADDRESS")]
        mac: Option<MacAddr>,
        /// Write what each machine asked into this folder, to be asked again by a test
        #[arg(long, value_name = "DIR")]
        as_test: Option<PathBuf>,
        /// As JSON, one boot a line
        #[arg(long)]
        json: bool,
    },
}

/// Which machines to show. Any of these shows a page of machines instead of the whole lab.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct StatusFilter {
    /// Only machines whose name, MAC or IP address contains this
    #[arg(long, value_name = "TEXT", conflicts_with = "watch")]
    pub node: Option<String>,
    /// Only machines of this zone
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    pub zone: Option<u8>,
    /// Only machines with this word, such as `bad` or `image`
    #[arg(long, conflicts_with = "watch")]
    pub word: Option<String>,
    /// Machines at most; 100 unless told
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    pub limit: Option<u16>,
    /// Go on after this machine
    #[arg(long, value_name = "NODE", conflicts_with = "watch")]
    pub from: Option<NodeName>,
}

impl StatusFilter {
    /// The query of `/v1/nodes`; empty when the whole lab is meant.
    #[must_use]
    pub fn query(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
        let pairs = [
            ("node", self.node.clone().map(|text| text.replace(|c| !plain(c), ""))),
            ("zone", self.zone.map(|zone| zone.to_string())),
            ("word", self.word.clone().map(|text| text.replace(|c| !plain(c), ""))),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("after", self.from.as_ref().map(ToString::to_string)),
        ];
        let pairs = pairs.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// A time as it is typed.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match crate::config::duration(text) {
        Some(span) if span.0 > 0 => Ok(Duration::from_millis(span.0)),
        Some(_) | None => Err("a time is a number and a unit: 90s, 10m, 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_built_without_a_contradiction() {
        Cli::command().debug_assert();
    }

    #[test]
    fn verbs_read_as_the_design_writes_them() {
        for line in [
            "demo --nodes 6 --scenario all --until-ready --headless --json --keep",
            "serve --lab lab.yaml --state /tmp/state",
            "service print",
            "service install --lab lab.yaml --to /tmp/x.service",
            "init --interface eth0",
            "init --serve --machines 6 --page 0.0.0.0:8080",
            "init --interface eth0 --yes --node node1=02:00:00:00:00:01@1,1 --subnet 10.0.0.0/24 --force",
            "import matchbox /var/lib/matchbox --assets /srv/assets --url http://matchbox.lan:8080",
            "import matchbox . --lab lab.yaml --out new.yaml --machine node1=02:00:00:00:00:01,serial=X1 --json",
            "check lab.yaml",
            "start hybrid-3 --wait",
            "start all --wait --timeout 2m30s --server http://127.0.0.1:8080 --token t",
            "stop",
            "status --watch",
            "status --json",
            "explain",
            "explain node3 --json",
            "events --follow --after 12",
            "replay journal.log",
            "scenarios",
            "boot trace node3 --boot 4 --json",
            "power on node1",
            "power off all",
            "power status all --json",
            "power status",
            "power status --json",
            "power status 1 --device relayinator=/dev/ttyUSB0",
            "power status all --device relayinator=/dev/ttyUSB0 --json",
            "power off 3 --device relayinator=/dev/ttyUSB0 --seen on",
            "power on switch.node1 --device home-assistant=http://10.0.0.5 --with credentials=secret:hass --state /tmp/x",
            "switch off core/6 node1 zone:2 --for 30s",
            "switch on all --json",
            "switch mirror core 1 8",
            "switch mirror core --off",
            "wiring learn --switch core --port 3 --anyway",
            "wiring check",
            "wiring show --json",
            "identify node1 --times 2",
            "seed show node1 --lab lab.yaml --scenario live",
            "seed show node1 user-data",
            "install node1",
            "wipe node1",
            "wipe node1 --disk nvme0n1 --confirm S4EWNX0R --wait --timeout 2h --json",
            "doctor -q",
            "image build",
            "image list --json",
            "image verify",
            "image verify rescue --json",
            "image update rescue --after 5 --node node3",
            "image update rescue --offline rescue.bundle",
            "image bundle rescue -o rescue.bundle",
            "image promote rescue",
            "image rollback rescue",
            "image key",
            "image trust boss2 boss2.pub",
            "image trust boss2 --remove",
            "explain-code 4c116035",
            "explain-code --json https://ipxe.org/4c116035",
            "image fetch",
            "image fetch debian --version bookworm --arch arm64 --mirror http://10.0.0.1/debian --lock images.lock",
            "image fetch talos --version v1.12.11 --from /media/usb --unproven",
            "schema",
            "openapi",
            "display png lab.png --size 128x64",
            "display framebuffer /dev/fb1",
            "display serial tcp://bench:2001",
            "display terminal",
            "router status --at http://10.0.0.1 --json",
            "router scan --at http://10.0.0.1 --credentials file:/etc/labinator/router",
            "router connect guests --password secret:guests --at http://10.0.0.1",
            "router uplink off wwan --at http://10.0.0.1",
            "show wiring lab.yaml --out wiring.svg",
            "--color never status",
        ] {
            let words = std::iter::once("labinator").chain(line.split(' '));
            if let Err(e) = Cli::try_parse_from(words) {
                panic!("{line}: {e}");
            }
        }
    }

    #[test]
    fn wrong_usage_is_refused_before_anything_is_asked() {
        for line in [
            "",
            "start",
            "start Bad_Name",
            "power on",
            "power on 1 --with credentials=file:/x",
            "power on 1 --device relayinator=/dev/ttyUSB0 --with credentials",
            "power set 1 off --device relayinator=/dev/ttyUSB0",
            "switch off",
            "switch mirror core 1",
            "wiring learn --port 3",
            "boot trace",
            "status --frob",
            "start all --timeout 5",
            "--server ftp://x status",
        ] {
            let words = std::iter::once("labinator").chain(line.split(' ').filter(|w| !w.is_empty()));
            let wrong = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(wrong.exit_code(), 2, "{line}");
        }
    }
}
