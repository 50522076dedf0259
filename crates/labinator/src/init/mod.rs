//! `labinator init`: listens on a segment, says who serves and who is there, and writes a lab file that fits.
//!
//! ```text
//! listen.rs (socket) → segment.rs (what frames tell) → suggest.rs (a network beside it)
//!                                                    → board.rs, ask.rs (which machines, in which order)
//!                                                    → text.rs (the file) → config (judges it) → disk
//!                                                    → provisional.rs (serves it while it grows)
//! ```

mod ask;
mod board;
mod listen;
mod provisional;
mod segment;
mod suggest;
mod text;
mod vendors;

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;

use model::{LabName, MacAddr, NodeName};
use serde::Serialize;

use self::ask::{Keyboard, Pool, Subnet};
use self::board::{Board, netboots};
use self::listen::Ear;
use self::segment::{Machine, Router, Segment, Server};
use self::suggest::Decided;
pub(crate) use self::suggest::Network;
use self::text::{Draft, HEAD, SCENARIOS, described};
use self::vendors::Vendors;
use crate::boss::{self, Boss};
use crate::cli::{Failure, Globals, InitArgs, NetworkArgs, out};
use crate::config;

pub use self::ask::{Pool as PoolArg, Subnet as SubnetArg};
pub use self::board::NamedNode;

/// What was heard, for programs.
#[derive(Debug, Serialize)]
struct Heard<'a> {
    interface: &'a str,
    servers: Vec<&'a Server>,
    routers: Vec<&'a Router>,
    machines: Vec<&'a Machine>,
}

/// Carries out the verb.
///
/// # Errors
/// A right or an interface is missing, nothing that can be a node was heard, or the file is there already.
pub async fn run(globals: &Globals, args: InitArgs) -> Result<(), Failure> {
    if args.out.exists() && !args.force && !args.json {
        let why = format!("{} is there already", args.out.display());
        return Err(Failure::with_advice(
            why,
            "write another with --out FILE, or this one anew with --force",
        ));
    }
    let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut keyboard = (on_terminal && !args.yes && !args.json).then(Keyboard::new);
    let tables = Boss::look();
    let interface = interface(&args.network, &tables, keyboard.as_mut()).await?;
    let mut ear = (!args.no_listen).then(|| Ear::open(&interface, !args.silent)).transpose()?;
    if let Some(ear) = &mut ear {
        if !globals.quiet && !args.json {
            out::line(&format!("Listening on {interface} for {} s.", args.listen.as_secs()))?;
        }
        ear.listen(args.listen).await;
    }
    let nothing = Segment::default();
    let segment = ear.as_ref().map_or(&nothing, |ear| &ear.segment);
    if args.json {
        return out::json(&heard(&interface, segment), true);
    }
    if !globals.quiet {
        tell(segment)?;
    }
    let decided = decided(&args.network);
    let mut network = Network::suggest(&interface, &tables, segment, &decided);
    if let Some(keyboard) = &mut keyboard {
        network = confirm(keyboard, network, &tables, segment, decided).await?;
    }
    let mut board = Board { network: &mut network, columns: args.columns, nodes: Vec::new() };
    let vendors = Vendors::known();
    let known: Vec<Machine> = segment.candidates().into_iter().cloned().collect();
    board.take_named(&args.node, |mac| named(mac, &known, &vendors))?;
    if let (true, Some(ear)) = (args.serve, &mut ear) {
        board.take_heard(&known)?;
        let around = provisional::Around { args: &args, quiet: globals.quiet };
        return provisional::serve(around, board, ear, keyboard.as_mut()).await;
    }
    match (&mut keyboard, &mut ear) {
        (Some(keyboard), Some(ear)) if args.node.is_empty() => {
            learned(&mut board, &known, keyboard, ear).await?;
        }
        _ if args.node.is_empty() => board.take_heard(&known)?,
        _ => {}
    }
    let nodes = board.nodes;
    if nodes.is_empty() {
        let advice = "switch a machine on while this listens, or name one: --node node1=MAC";
        return Err(Failure::with_advice("no machine that boots from the network was heard", advice));
    }
    let segment = ear.as_ref().map_or(&nothing, |ear| &ear.segment);
    let lab = args.name.as_str();
    let (head, groups, scenarios) = (HEAD, "", SCENARIOS);
    let draft = Draft { lab, network: &network, nodes: &nodes, segment, head, groups, scenarios };
    let text = written(&draft, &args.out)?;
    keep(&args.out, &text, args.force)?;
    if globals.quiet {
        return Ok(());
    }
    let count = nodes.len();
    let machines = if count == 1 { "machine" } else { "machines" };
    out::line(&format!("Wrote {} with {count} {machines}.", args.out.display()))?;
    if !network.boss_is_ours {
        let (boss, prefix) = (network.boss, network.prefix);
        out::line(&format!(
            "First give this machine its address: ip address add {boss}/{prefix} dev {interface}"
        ))?;
    }
    out::line(&format!("Then: labinator serve --lab {}", args.out.display()))
}

fn decided(args: &NetworkArgs) -> Decided {
    Decided {
        subnet: args.subnet.map(|subnet| (subnet.0, subnet.1)),
        boss: args.boss,
        gateway: args.gateway,
        dhcp: args.dhcp.clone(),
        pool: args.pool.map(|pool| (pool.0, pool.1)),
    }
}

/// Suggests a network for a lab whose machines are known already. Nobody is listened to.
///
/// # Errors
/// There are several interfaces and none is named.
pub(crate) async fn network(args: &NetworkArgs) -> Result<Network, Failure> {
    let tables = Boss::look();
    let interface = interface(args, &tables, None).await?;
    Ok(Network::suggest(&interface, &tables, &Segment::default(), &decided(args)))
}

/// A lab file of machines that are known already: each by name, address and what else its line says.
///
/// # Errors
/// The subnet is full, or the file would have mistakes.
pub(crate) fn lab_of(
    mut network: Network,
    columns: u8,
    machines: &[(NodeName, MacAddr, String)],
    (lab, path): (&LabName, &Path),
    [head, groups, scenarios]: [&str; 3],
) -> Result<String, Failure> {
    let vendors = Vendors::known();
    let mut board = Board { network: &mut network, columns, nodes: Vec::new() };
    for (name, mac, more) in machines {
        board.add_as_known(name, &named(*mac, &[], &vendors), more)?;
    }
    let (lab, nodes, nothing) = (lab.as_str(), board.nodes, Segment::default());
    written(
        &Draft { lab, network: &network, nodes: &nodes, segment: &nothing, head, groups, scenarios },
        path,
    )
}

/// The interface that was named, the only one there is, or the one a person picks.
async fn interface(
    args: &NetworkArgs,
    tables: &Boss,
    keyboard: Option<&mut Keyboard>,
) -> Result<String, Failure> {
    if let Some(interface) = &args.interface {
        return Ok(interface.clone());
    }
    let all: Vec<&str> = tables.interfaces().collect();
    let described = all.iter().map(|name| {
        let networks: Vec<String> = tables
            .networks_on(name)
            .into_iter()
            .map(|(to, prefix, here)| {
                here.map_or_else(|| format!("{to}/{prefix}"), |here| format!("{here}/{prefix}"))
            })
            .collect();
        let carrier = if boss::property(name, "carrier").as_deref() == Some("0") { ", no cable" } else { "" };
        let way_out = if tables.gateway_on(name).is_some() { ", the way to the internet" } else { "" };
        let networks = if networks.is_empty() { "no address".to_owned() } else { networks.join(" ") };
        format!("  {name}: {networks}{carrier}{way_out}")
    });
    match (all.as_slice(), keyboard) {
        ([], _) => Err(Failure::failed("this machine has no network interface but loopback")),
        ([only], _) => Ok((*only).to_owned()),
        (_, None) => {
            let list: Vec<String> = described.collect();
            let why = format!("which interface is the lab's? There are:\n{}", list.join("\n"));
            Err(Failure::with_advice(why, "name it: --interface IF"))
        }
        (_, Some(keyboard)) => {
            for line in described {
                out::line(&line)?;
            }
            // The lab hangs rather on a port that leads nowhere else.
            let quiet = all.iter().find(|name| tables.gateway_on(name).is_none());
            let suggested = quiet.or_else(|| all.first()).copied().unwrap_or_default();
            loop {
                let name: String = keyboard.ask("The lab's interface", suggested).await?;
                if all.contains(&name.as_str()) {
                    return Ok(name);
                }
                out::line(&format!("  there is no interface {name}"))?;
            }
        }
    }
}

/// Says what was heard.
fn tell(segment: &Segment) -> Result<(), Failure> {
    for server in segment.servers.values() {
        let list = |all: &[Ipv4Addr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let mut words = format!("DHCP server {} ({})", server.address, server.mac);
        if let (Some(offered), Some(prefix)) = (server.offered, server.prefix) {
            words.push_str(&format!(", offers {offered}/{prefix}"));
        }
        for (what, all) in [("router", &server.routers), ("name servers", &server.dns)] {
            if !all.is_empty() {
                words.push_str(&format!(", {what} {}", list(all)));
            }
        }
        if let Some(file) = &server.boot_file {
            words.push_str(&format!(", and BOOTS machines with {}", file.escape_debug()));
        }
        out::line(&words)?;
    }
    if segment.servers.is_empty() {
        out::line("No other DHCP server answers here.")?;
    }
    for router in segment.routers.values() {
        let mut words = format!("IPv6 router {}", router.mac);
        if !router.prefixes.is_empty() {
            words.push_str(&format!(", announces {}", router.prefixes.join(" ")));
        }
        if !router.dns.is_empty() {
            words.push_str(", and name servers: iPXE before 2020-10 fails with it");
        }
        out::line(&words)?;
    }
    let machines = segment.candidates();
    if machines.is_empty() {
        out::line("No machine was heard.")?;
    }
    machines.iter().try_for_each(|machine| out::line(&format!("Machine {}", described(machine))))
}

fn heard<'a>(interface: &'a str, segment: &'a Segment) -> Heard<'a> {
    Heard {
        interface,
        servers: segment.servers.values().collect(),
        routers: segment.routers.values().collect(),
        machines: segment.candidates(),
    }
}

/// Asks a person about the network; a changed subnet changes what is suggested after it.
async fn confirm(
    keyboard: &mut Keyboard,
    first: Network,
    tables: &Boss,
    segment: &Segment,
    mut decided: Decided,
) -> Result<Network, Failure> {
    let subnet: Subnet = keyboard.ask("Subnet", &format!("{}/{}", first.subnet, first.prefix)).await?;
    decided.subnet = Some((subnet.0, subnet.1));
    let second = Network::suggest(&first.interface, tables, segment, &decided);
    decided.boss = Some(keyboard.ask("This machine's address in it", &second.boss.to_string()).await?);
    let mode: String = keyboard.ask("DHCP: authoritative, proxy or off", &second.dhcp).await?;
    decided.dhcp = Some(mode);
    let third = Network::suggest(&first.interface, tables, segment, &decided);
    if let Some((from, to)) = third.pool {
        let pool: Pool = keyboard.ask("Pool for machines not on the board", &format!("{from}-{to}")).await?;
        decided.pool = Some((pool.0, pool.1));
    }
    Ok(Network::suggest(&first.interface, tables, segment, &decided))
}

/// Takes the machines that were heard already, if a person says so, then learns the others.
async fn learned(
    board: &mut Board<'_>,
    heard: &[Machine],
    keyboard: &mut Keyboard,
    ear: &mut Ear,
) -> Result<(), Failure> {
    let count = heard.iter().filter(|machine| netboots(machine)).count();
    if count > 0 {
        let question =
            format!("Take the {count} that boot from the network in the order they were heard? yes or no");
        let answer: String = keyboard.ask(&question, "no").await?;
        if answer.starts_with(['y', 'Y']) {
            return board.take_heard(heard);
        }
    }
    board.learn(ear, keyboard).await
}

fn named(mac: MacAddr, heard: &[Machine], vendors: &Vendors) -> Machine {
    let found = heard.iter().find(|machine| machine.mac == mac).cloned();
    found.unwrap_or_else(|| Machine {
        mac,
        vendor: vendors.of(mac).to_owned(),
        client: None,
        arch: None,
        host: None,
        address: None,
        first_ms: 0,
    })
}

/// The text as `labinator check` accepts it. A DHCP mode that this version does not speak becomes `off`.
fn written(draft: &Draft<'_>, path: &Path) -> Result<String, Failure> {
    let (name, folder) = (path.display().to_string(), path.parent().unwrap_or_else(|| Path::new("")));
    let mode = draft.network.dhcp.as_str();
    let text = draft.text(mode);
    let Err(mistakes) = config::parse(text.as_bytes(), &name, folder) else { return Ok(text) };
    let without = draft.text("off");
    if mode == "proxy" && config::parse(without.as_bytes(), &name, folder).is_ok() {
        return Ok(without);
    }
    Err(Failure::with_advice(
        format!("what was decided does not make a lab:\n{mistakes}"),
        "nothing was written",
    ))
}

/// Writes the file whole or not at all.
///
/// # Errors
/// It is there already, or cannot be written.
pub(crate) fn keep(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let fault = |why: std::io::Error| Failure::failed(format!("{}: {why}", path.display()));
    if force {
        let beside = path.with_extension("yaml.new");
        return fs::write(&beside, text).and_then(|()| fs::rename(&beside, path)).map_err(fault);
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(fault)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)
}
