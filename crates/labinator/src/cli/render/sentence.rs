//! Every fact as a sentence.

use std::collections::BTreeMap;

use model::{
    AgentBeat, Candidate, ClusterPods, Command, Event, Fact, GuestSeen, LabSpec, MacAddr, Membership,
    NodeName, NodePods, Notice, Outcome, PowerOrder, ScenarioName, ScriptAnswer, Sight, Snapshot, TalosSaid,
    WipePermit, WipeState,
};

use super::paint::{bytes, counted};

/// Which machine has which Ethernet address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names(BTreeMap<MacAddr, String>);

impl Names {
    /// The machines of a picture.
    #[must_use]
    pub fn of(picture: &Snapshot) -> Self {
        Self(picture.machines.iter().map(|m| (m.mac, m.node.to_string())).collect())
    }

    /// The machines of a description.
    #[must_use]
    pub fn of_spec(spec: &LabSpec) -> Self {
        Self(spec.board.nodes.iter().map(|(name, node)| (node.mac, name.to_string())).collect())
    }

    fn of_mac(&self, mac: MacAddr) -> String {
        self.0.get(&mac).cloned().unwrap_or_else(|| mac.to_string())
    }
}

fn came_of(id: model::CommandId, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => format!("command {} done", id.0),
        Outcome::Failed { code, why } => format!("command {} failed: {why} ({code})", id.0),
        Outcome::Unknown => format!("command {} was under way when the controller ended", id.0),
    }
}

fn standby(node: &NodeName, mbit: u32) -> String {
    match mbit {
        0 => format!("{node}: off, it has no link"),
        mbit => format!("{node}: off, its link has {mbit} Mbit/s"),
    }
}

fn ended(ports: &[model::PortRef], by: Option<model::Origin>) -> String {
    let why = by.map_or_else(|| "its time is over".to_owned(), |by| format!("asked for by {by}"));
    format!("{}: to be enabled again, {why}", listed(ports))
}

fn listed(ports: &[model::PortRef]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// An order to a driver.
fn asked(command: &Command) -> String {
    match command {
        Command::Power { node, port, order: PowerOrder::On } => {
            format!("{node}: {port} is asked to switch on")
        }
        Command::Power { node, port, order: PowerOrder::Off } => {
            format!("{node}: {port} is asked to switch off")
        }
        Command::Power { node, port, order: PowerOrder::Soft } => {
            format!("{node}: {port} asks what runs there to stop")
        }
        Command::Power { node, port, order: PowerOrder::Press } => {
            format!("{node}: the button of {port} is pressed")
        }
        Command::Switch { port, on } => {
            format!("{port} is asked to be {}", if *on { "enabled" } else { "disabled" })
        }
        Command::Mint { run } => format!("the secrets of run {run} are to be made"),
        Command::Push { node, proof, .. } => format!("{node}: its config is pushed, proven by {proof}"),
        Command::Reset { node } => format!("{node}: its Talos is reset, to wait for the next start"),
        Command::Offer { node, .. } => format!("{node}: its config is laid ready for it to fetch"),
        Command::Bootstrap { node } => format!("{node}: etcd is to begin there"),
        Command::Apply { run } => format!("the manifests of run {run} are to be applied"),
    }
}

/// How the pods of a cluster are.
fn pods_sentence(pods: &ClusterPods) -> String {
    if let Some(why) = &pods.away {
        return format!("the Kubernetes API is not heard: {why}");
    }
    let all =
        format!("{} of {} pods of the cluster are ready or done", pods.counts.done(), pods.counts.all());
    if pods.wanted == 0 {
        return all;
    }
    let short = pods
        .short
        .first()
        .map(|short| format!("; {} has {} of {}, {}", short.workload, short.done, short.wanted, short.why));
    format!("{} of {} pods of the manifests, {all}{}", pods.done, pods.wanted, short.unwrap_or_default())
}

/// What happened, for a person; without its time. A machine that `names` does not know is called by its
/// Ethernet address.
#[must_use]
pub fn sentence(event: &Event, names: &Names) -> String {
    match &event.fact {
        Fact::CoreStarted { version, spec, .. } => {
            let machines = counted(spec.board.nodes.len(), "machine");
            format!("labinator {version} began with lab {} ({machines})", spec.lab)
        }
        Fact::ImagesFound { images, missing, .. } => images_sentence(images.len(), missing.keys()),
        Fact::CounterSeen { up } => {
            format!("the boot counter {}", if *up { "is connected" } else { "was lost" })
        }
        Fact::Noticed { notice: one } => notice(one),
        Fact::StartAccepted { run, scenario, by } => {
            format!("start of {scenario} accepted from {by} (run {run})")
        }
        Fact::AdoptAccepted { run, scenario, by, .. } => {
            format!("taking over of the cluster {scenario} accepted from {by} (run {run})")
        }
        Fact::StopAccepted { by } => format!("stop accepted from {by}"),
        Fact::PowerAccepted { node, order, by } => format!("{node}: power {order} accepted from {by}"),
        Fact::CutAccepted { ports, span, by } => {
            format!("{}: to be disabled for {span}, accepted from {by}", listed(ports))
        }
        Fact::CutEnded { ports, by } => ended(ports, *by),
        Fact::InstallAccepted { node, by } => format!("{node}: another installation accepted from {by}"),
        Fact::WipeAccepted { node, disk, by, permit: WipePermit::Typed, .. } => {
            format!("{node}: wipe of {disk} accepted from {by}, its serial typed")
        }
        Fact::WipeAccepted { node, disk, by, .. } => format!("{node}: wipe of {disk} accepted from {by}"),
        Fact::WipeGivenUp { node, why, .. } => format!("{node}: the wipe is given up: {why}"),
        Fact::LoaderSilent { node } => format!("{node}: its loader waited, and asks no more"),
        Fact::ParkEnded { node, because } => format!("{node}: parked no longer: {because}"),
        Fact::DiskLoaderChanged { node, done, by } => {
            format!("{node}: our loader on its disk, asked for by {by}: {}", done.join("; "))
        }
        Fact::PortSeen { node, port, open } => {
            format!("{node}: port {port} accepts {}connections", if *open { "" } else { "no " })
        }
        Fact::SecretsReady { run, fingerprint } => {
            let short: String = fingerprint.chars().take(12).collect();
            format!("the secrets of run {run} are kept ({short})")
        }
        Fact::TalosSeen { node, sight } => format!("{node}: its Talos is {sight}"),
        Fact::MemberSeen { node, membership } => member_sentence(node, membership),
        Fact::ManifestsRead { scenario, manifests } if manifests.mistakes.is_empty() => {
            let files = counted(manifests.files.len(), "manifest file");
            format!("{files} of scenario {scenario} were read")
        }
        Fact::ManifestsRead { scenario, manifests } => {
            format!("the manifests of scenario {scenario} are wrong: {}", manifests.mistakes.join("; "))
        }
        Fact::PodsSeen { pods, .. } => pods_sentence(pods),
        Fact::NodePodsSeen { node, pods } => node_pods_sentence(node, pods),
        Fact::Issued { id, command } => format!("{} (command {})", asked(command), id.0),
        Fact::Finished { id, outcome } => came_of(*id, outcome),
        Fact::PowerSeen { node, state, evidence } => format!("{node}: power is {state} ({evidence})"),
        Fact::PowerConfirmed { node, state, by } => {
            format!("{node}: power is {state}, told by a person at {by}")
        }
        Fact::PortRead { node, reading } => format!("{node}: its power port tells {reading}"),
        Fact::LinkSeen { node, link } => format!("{node}: {link}"),
        Fact::StandbyLearned { node, mbit } => standby(node, *mbit),
        Fact::DeviceSeen { driver, sight } => format!("device {driver}: {sight}"),
        Fact::Sighted { mac, sight } => format!("{}: {}", names.of_mac(*mac), seen(sight)),
        Fact::Published { table } => format!("boot table {table} published"),
        Fact::Entered { node, rung } => format!("{node} is {rung}"),
        Fact::Faulted { node, fault, bad } => {
            let given_up = if *bad { "; given up for this run" } else { "" };
            format!("{node}: {} ({}){given_up}", fault.text, fault.code)
        }
        Fact::CandidatesFound { candidates } => candidates_sentence(candidates),
        Fact::TrialCounted { image, generation, node, good: true, .. } => {
            format!("{node}: a good start of generation {generation} of {image}")
        }
        Fact::TrialCounted { image, generation, because, .. } => {
            format!("generation {generation} of {image} is given up: {because}")
        }
        Fact::PhaseEntered { phase, because } => format!("the lab is {phase}: {because}"),
    }
}

fn member_sentence(node: &NodeName, membership: &Membership) -> String {
    match membership {
        Membership::Absent => format!("{node}: the cluster does not know it"),
        Membership::NotReady { why } => format!("{node}: the cluster gives it no work ({why})"),
        Membership::Ready => format!("{node}: the cluster gives it work"),
    }
}

fn node_pods_sentence(node: &NodeName, pods: &NodePods) -> String {
    let counts = &pods.counts;
    let troubles =
        if pods.troubles.is_empty() { String::new() } else { format!("; {}", pods.troubles.join("; ")) };
    format!("{node}: {} of {} pods are ready or done{troubles}", counts.done(), counts.all())
}

fn images_sentence<'a>(found: usize, missing: impl Iterator<Item = &'a ScenarioName>) -> String {
    let found = counted(found, "scenario");
    let names: Vec<&str> = missing.map(ScenarioName::as_str).collect();
    match names.is_empty() {
        true => format!("the files of {found} are there"),
        false => format!("the files of {found} are there; missing for {}", names.join(", ")),
    }
}

fn candidates_sentence(candidates: &[Candidate]) -> String {
    let all = candidates.iter().map(|one| format!("generation {} of {}", one.generation, one.name));
    match candidates.is_empty() {
        true => "no image is tried".to_owned(),
        false => format!("to be tried: {}", all.collect::<Vec<_>>().join(", ")),
    }
}

fn seen(sight: &Sight) -> String {
    match sight {
        Sight::Frame => "its first frame after a silence".to_owned(),
        Sight::Discover { client, secs, version, .. } => {
            let version = if version.is_empty() { String::new() } else { format!(" {version}") };
            let trying = if *secs == 0 { String::new() } else { format!(", trying for {secs} s") };
            format!("{client}{version} asks for an address{trying}")
        }
        Sight::Offer { address } if address.is_unspecified() => {
            "a boot file offered; the address is another server's to give".to_owned()
        }
        Sight::Offer { address } => format!("{address} offered"),
        Sight::Request { client } => format!("{client} takes the offer"),
        Sight::Ack { address, client } => format!("{client} was given {address}"),
        Sight::Nak => "was told that its address is not valid here".to_owned(),
        Sight::Solicit { client, elapsed_ms, .. } => {
            let trying = if *elapsed_ms < 1000 {
                String::new()
            } else {
                format!(", trying for {} s", elapsed_ms / 1000)
            };
            format!("{client} asks for an IPv6 address{trying}")
        }
        Sight::Advertise { address } => format!("{address} offered"),
        Sight::Request6 { client } => format!("{client} takes the IPv6 offer"),
        Sight::Reply { address: Some(address), client } => format!("{client} was given {address}"),
        Sight::Reply { address: None, client } => format!("{client} was told about IPv6 here"),
        Sight::RouterAsked { answered: true } => "asked for an IPv6 router and was answered".to_owned(),
        Sight::RouterAsked { answered: false } => "asked for an IPv6 router".to_owned(),
        Sight::FileAsked { name, size, .. } => format!("asks for {name} ({})", bytes(*size)),
        Sight::FileAgreed { name, terms } => {
            format!("{name} goes in blocks of {} bytes, {} at a time", terms.block, terms.window)
        }
        Sight::FileMoved { name, bytes: moved } => format!("{} of {name} sent", bytes(*moved)),
        Sight::FileServed { name, bytes: sent, repeats } => {
            let again = if *repeats == 0 { String::new() } else { format!(", {repeats} blocks sent again") };
            format!("took {name} ({}{again})", bytes(*sent))
        }
        Sight::FileBroken { name, bytes: sent, why } => {
            format!("{name} broke off after {}: {why}", bytes(*sent))
        }
        Sight::FileRepeated { name, bytes: again } => format!("{} of {name} went out again", bytes(*again)),
        Sight::PacketsSaved { file, frames, .. } => {
            format!("the heads of its last {frames} packets were saved as {file}")
        }
        Sight::ScriptAsked { answer: ScriptAnswer::Wait } => "its loader was told to wait".to_owned(),
        Sight::ScriptAsked { answer: ScriptAnswer::Boot } => "its loader was told what to boot".to_owned(),
        Sight::ScriptAsked { answer: ScriptAnswer::Disk } => {
            "its loader was told to boot its own disk".to_owned()
        }
        Sight::ScriptAsked { answer: ScriptAnswer::Stranger } => {
            "its loader was told that it is not on the board".to_owned()
        }
        Sight::IpxeTold { version, features } if features.is_empty() => format!("runs iPXE {version}"),
        Sight::IpxeTold { version, features } => format!("runs iPXE {version} with {}", features.join(" ")),
        Sight::Logged { text, error: None, .. } => format!("its iPXE says: {text}"),
        Sight::Logged { error: Some(error), .. } => format!("its iPXE says: {error}"),
        Sight::LoaderSaid { text, error: None, .. } => format!("its loader says: {text}"),
        Sight::LoaderSaid { error: Some(error), .. } => format!("its loader refuses: {error}"),
        Sight::TalosSaid { said } => said_by_talos(said),
        Sight::TalosLogged { service: None, text, .. } => format!("its kernel says: {text}"),
        Sight::TalosLogged { service: Some(service), text, .. } => format!("its {service} says: {text}"),
        Sight::Deferred { name } => format!("asked for {name} while the counter was full; comes back"),
        Sight::ConfigAsked { bytes: Some(taken) } => format!("fetched its config ({})", bytes(*taken)),
        Sight::ConfigAsked { bytes: None } => "asks for its config, which is not laid ready yet".to_owned(),
        Sight::Done => "its system says that it is done".to_owned(),
        Sight::Agent { report } => reported(report),
        Sight::Ailing { ailment, .. } => ailment.to_string(),
        Sight::WipeGiven { number, .. } => format!("its agent was given the order for wipe {number}"),
        Sight::Beat { beat: AgentBeat { wipe: Some(told), .. } } => match &told.state {
            WipeState::Wiping { step, done, of } => format!("its agent wipes: {step}, {done} of {of}"),
            WipeState::Wiped { report } => {
                format!("its disk is wiped by {}, {} places read back", report.method, report.places)
            }
            WipeState::Failed { why, .. } => format!("its disk is not wiped: {why}"),
        },
        Sight::AgentClash { clash } => clash.to_string(),
        Sight::Beat { beat } => format!("its agent is well after {} s", beat.uptime_ms / 1000),
        Sight::Guest { guest } => guest_told(guest),
    }
}

/// What a hypervisor's agent says of a guest.
fn guest_told(guest: &GuestSeen) -> String {
    match &guest.ended {
        Some(end) if !guest.state.runs() => {
            format!("{} has it {}: {} ({})", guest.host, guest.state, end.cause, end.evidence)
        }
        Some(_) | None => format!("{} has it {} ({})", guest.host, guest.state, guest.evidence),
    }
}

/// What an agent says of its machine when it is up.
fn reported(report: &model::AgentReport) -> String {
    format!(
        "its agent {} reports after {} s: {}, {} processors, {} MiB",
        report.version,
        report.uptime_ms / 1000,
        report.inventory.firmware,
        report.inventory.cpus,
        report.inventory.memory_mib
    )
}

/// What Talos says of itself, and nobody vouches for.
fn said_by_talos(said: &TalosSaid) -> String {
    let place = match (said.sequence.as_str(), said.phase.as_str()) {
        ("", _) => String::new(),
        (sequence, "") => format!(" (sequence {sequence})"),
        (sequence, phase) => format!(" (sequence {sequence}, phase {phase})"),
    };
    format!("its Talos says that it is {}{place}", said.stage)
}

/// What the boot counter noticed, as a sentence.
pub(crate) fn notice(notice: &Notice) -> String {
    match notice {
        Notice::ForeignDhcp { mac, server } => {
            format!("another DHCP server answers on this segment: {server} ({mac})")
        }
        Notice::ForeignChoice { mac, server } => {
            format!("{mac} follows a DHCP server that is not this one: {server}")
        }
        Notice::ForeignDhcp6 { mac, address, .. } => {
            format!("another DHCPv6 server answers on this segment: {address} ({mac})")
        }
        Notice::ForeignChoice6 { mac, duid } => {
            format!("{mac} follows a DHCPv6 server that is not this one: DUID {duid}")
        }
        Notice::OtherController { mac, server, lab, same: true } => {
            format!("two controllers drive the lab {lab}: this one and {server} ({mac})")
        }
        Notice::OtherController { mac, server, lab, same: false } => {
            format!("another controller, of the lab {lab}, serves this segment: {server} ({mac})")
        }
        Notice::ForeignRouter { mac, address, names_dns: true } => {
            format!(
                "a router advertises name servers ({address}, {mac}): iPXE before 2020-10 may hang on them"
            )
        }
        Notice::ForeignRouter { mac, address, names_dns: false } => {
            format!("another router advertises itself on this segment ({address}, {mac})")
        }
        Notice::Flooding { mac, count } => {
            format!("{mac} asks without end; {count} of its messages were left unread")
        }
        Notice::LoaderMissing { arch, names } => {
            format!(
                "firmware of architecture {arch:#04x} asks and there is no loader for it: {}",
                names.join(" or ")
            )
        }
        Notice::LedgerFull { why } => {
            format!("no address can be given out, the ledger cannot be written: {why}")
        }
        Notice::LedgerWell => "the ledger can be written again".to_owned(),
        Notice::Malformed { protocol, count } => {
            let packets = if *count == 1 { "1 packet".to_owned() } else { format!("{count} packets") };
            format!("{packets} of {protocol} could not be read since the counter started")
        }
        Notice::ClockStepped { seconds } => {
            format!("the boss's clock was set by {seconds} s while it served time")
        }
        Notice::Merged { count } => {
            format!("{count} sightings were merged because the core did not take them in time")
        }
    }
}
