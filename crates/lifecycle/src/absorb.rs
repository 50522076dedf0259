//! Recording: each fact changes what is known, and nothing else. It cannot fail and cannot choose.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use model::{
    Bar, Boot, ClusterPods, Command, CommandId, Digest, Event, Fact, Fault, Goal, GuestBoot, LabSpec,
    MacAddr, MarkKind, Moment, NodeName, Outcome, Phase, PowerOrder, PowerState, Proof, Rung, ScenarioName,
    Sight, Stage, Stranger, TalosStep,
};

use crate::cluster::{Cluster, Order, TalosKnown};
use crate::lab::{CoreStart, Install, Lab, Machine, Run};
use crate::past::{self, PastBoot, Room};
use crate::power::{self, record::Told};
use crate::wipe::before::BeforeUse;
use crate::{cuts, guests, notices, park, record, trial, waterfall, wipe};

/// Strangers remembered.
const STRANGERS_KEPT: usize = 32;

/// Whose picture a fact may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// The lab as a whole: nothing that any machine is judged or answered by.
    Lab,
    /// One machine.
    Machine(NodeName),
    /// Every machine: what all of them are judged or answered by.
    All,
}

/// Records one fact.
pub fn absorb(lab: &mut Lab, event: &Event) -> Touched {
    let at = event.at;
    let touched = record_fact(lab, &event.fact, at);
    // Packets are told of late, and with the time at which they came.
    if at.since_start >= lab.latest.since_start {
        lab.latest = at;
    }
    touched
}

#[expect(clippy::too_many_lines, reason = "an arm a fact, and none does more than call")]
fn record_fact(lab: &mut Lab, fact: &Fact, at: Moment) -> Touched {
    match fact {
        Fact::CoreStarted { spec, kernel, boottime_ms, .. } => {
            let start = CoreStart { at: at.since_start, kernel: kernel.clone(), boottime_ms: *boottime_ms };
            core_started(lab, Arc::new((**spec).clone()), start, at);
            Touched::All
        }
        Fact::ImagesFound { images, missing, boots } => {
            lab.boots = Arc::new(boots.clone());
            lab.images = images.iter().map(|(name, image)| (name.clone(), Arc::new(image.clone()))).collect();
            lab.missing.clone_from(missing);
            lab.images_known = true;
            Touched::All
        }
        Fact::CandidatesFound { candidates } => trial::found(lab, candidates),
        Fact::TrialCounted { image, generation, node, good, because } => {
            trial::counted(lab, (image, *generation), node, (*good, because))
        }
        Fact::CounterSeen { up } => counter_seen(lab, *up, at),
        Fact::Noticed { notice } => notices::noticed(lab, notice),
        Fact::StartAccepted { run, scenario, .. } => start(lab, *run, scenario, at),
        Fact::AdoptAccepted { run, scenario, fingerprint, .. } => adopt(lab, *run, scenario, fingerprint, at),
        Fact::StopAccepted { .. } => stop(lab, at),
        Fact::Published { table } => {
            lab.table = *table;
            Touched::Lab
        }
        Fact::PhaseEntered { phase, because } => {
            enter_phase(lab, *phase, because, at);
            Touched::All
        }
        Fact::Sighted { mac, sight } => sighted(lab, *mac, sight, at),
        Fact::Issued { id, command } => {
            lab.commands = lab.commands.max(id.0);
            issued(lab, *id, command, at)
        }
        Fact::Finished { id, outcome } => finished(lab, *id, outcome, at),
        Fact::PowerAccepted { node, order, .. } => about(lab, node, |m| person(m, *order, at)),
        Fact::PowerSeen { node, state, evidence } => power::record::seen(lab, node, (*state, evidence), at),
        Fact::PowerConfirmed { node, state, .. } => {
            about(lab, node, |m| power::record::confirmed(m, *state, at))
        }
        Fact::PortRead { .. }
        | Fact::LinkSeen { .. }
        | Fact::StandbyLearned { .. }
        | Fact::DeviceSeen { .. } => match Told::of(fact) {
            Some(told) => power::record::absorb(lab, &told, at),
            None => Touched::Lab,
        },
        Fact::CutAccepted { ports, span, .. } => cuts::begin(lab, ports, *span, at.since_start),
        Fact::CutEnded { ports, .. } => cuts::end(lab, ports, at.since_start),
        Fact::InstallAccepted { node, .. } => about(lab, node, |m| install_again(m, at)),
        Fact::WipeAccepted { node, number, disk, permit, .. } => {
            about(lab, node, |m| wipe::accepted(m, (*number, disk), *permit, at.since_start))
        }
        Fact::WipeGivenUp { node, number, why } => {
            about(lab, node, |m| wipe::given_up(m, *number, why, at.since_start))
        }
        Fact::LoaderSilent { node } => about(lab, node, |m| m.silent = Some(at.since_start)),
        Fact::ParkEnded { node, .. } => about(lab, node, |m| park_ended(m, at)),
        // What starts a machine is told by whoever it asks.
        Fact::DiskLoaderChanged { .. } => Touched::Lab,
        Fact::PortSeen { node, open, .. } => about(lab, node, |m| m.port = Some((*open, at.since_start))),
        Fact::SecretsReady { run, fingerprint } => secrets_ready(lab, *run, fingerprint),
        Fact::TalosSeen { node, sight } => {
            let room = lab.room();
            about(lab, node, |m| m.hears_talos(sight, at, room))
        }
        Fact::MemberSeen { node, membership } => about(lab, node, |m| m.joins(membership, at.since_start)),
        Fact::ManifestsRead { scenario, manifests } => {
            lab.manifests.insert(scenario.clone(), manifests.clone());
            Touched::Lab
        }
        Fact::PodsSeen { run, pods } => pods_seen(lab, *run, pods, at),
        Fact::NodePodsSeen { node, pods } => about(lab, node, |m| m.talos.pods = Some(pods.clone())),
        Fact::Entered { node, rung } => entered_rung(lab, node, *rung, at),
        Fact::Faulted { node, fault, bad } => about(lab, node, |m| faulted(m, fault, *bad, at)),
    }
}

fn counter_seen(lab: &mut Lab, up: bool, at: Moment) -> Touched {
    if up && !lab.counter_up {
        lab.listening = at.since_start;
    }
    lab.counter_up = up;
    Touched::All
}

fn core_started(lab: &mut Lab, spec: Arc<LabSpec>, start: CoreStart, at: Moment) {
    // Images that were found before are served on until the new core has looked for itself.
    lab.describe(spec);
    lab.images_known = false;
    lab.manifests.clear();
    let rebooted = lab.core.as_ref().is_some_and(|before| before.kernel != start.kernel);
    if rebooted {
        lab.machines.values_mut().for_each(|m| power::record::gap(&mut Arc::make_mut(m).senses));
    }
    lab.core = Some(start);
    cuts::core_started(lab);
    restarted(lab, at);
}

fn secrets_ready(lab: &mut Lab, run: u32, fingerprint: &str) -> Touched {
    if let Some(run) = lab.run.as_mut().filter(|known| known.number == run) {
        run.cluster.secrets = Some(fingerprint.to_owned());
    }
    Touched::Lab
}

fn pods_seen(lab: &mut Lab, run: u32, pods: &Arc<ClusterPods>, at: Moment) -> Touched {
    if let Some(run) = lab.run.as_mut().filter(|known| known.number == run) {
        run.cluster.see_pods(pods, at.since_start);
    }
    Touched::Lab
}

pub(crate) fn about(lab: &mut Lab, node: &NodeName, change: impl FnOnce(&mut Machine)) -> Touched {
    match lab.machines.get_mut(node) {
        Some(machine) => {
            change(Arc::make_mut(machine));
            Touched::Machine(node.clone())
        }
        None => Touched::Lab,
    }
}

/// The core began again: nobody knows what became of the orders on their way.
fn restarted(lab: &mut Lab, at: Moment) {
    lab.counter_up = false;
    // Agents were heard by the counter while the core was away; they get time to be heard again.
    lab.listening = at.since_start;
    let asked = |machine: &Machine| machine.talos.orders().any(|order| order.ended.is_none());
    for machine in lab.machines.values_mut().filter(|m| m.in_flight.is_some() || asked(m)) {
        let machine = Arc::make_mut(machine);
        if let Some((_, order, _)) = machine.in_flight.take() {
            machine.carried_out = Some((order, at.since_start));
            power::record::pressed(machine, order, &Outcome::Unknown, at.since_start);
        }
        if machine.talos.push.as_mut().is_some_and(|push| push.lose(at.since_start)) {
            machine.talos.look_anew(at.since_start);
        }
        if let Some(reset) = &mut machine.talos.reset {
            reset.lose(at.since_start);
        }
    }
    for order in lab.run.iter_mut().flat_map(|run| run.cluster.orders()) {
        order.lose(at.since_start);
    }
}

fn start(lab: &mut Lab, number: u32, scenario: &ScenarioName, at: Moment) -> Touched {
    lab.runs = lab.runs.max(number);
    let manifests = lab.manifests.get(scenario).map(|read| read.files.clone()).unwrap_or_default();
    lab.run = Some(Run {
        number,
        scenario: scenario.clone(),
        since: at,
        released: false,
        stopping: false,
        cluster: Cluster::with(manifests),
    });
    let spec = lab.spec.scenarios.get(scenario);
    let wanted: BTreeSet<NodeName> = spec.map(|s| s.nodes.iter().cloned().collect()).unwrap_or_default();
    let installs = spec.is_some_and(|s| s.system.install.is_some());
    let released = |machine: &Arc<Machine>| park::is_released_to(lab, scenario, machine);
    let released: Vec<bool> = lab.machines.values().map(released).collect();
    for (machine, released) in lab.machines.values_mut().map(Arc::make_mut).zip(released) {
        let takes_part = wanted.contains(&machine.node);
        machine.install = None;
        machine.ordered = None;
        machine.talos = TalosKnown::default();
        machine.before_use = BeforeUse::default();
        if takes_part && installs {
            want_install(machine, at);
        }
        machine.goal = if takes_part { Goal::Ready } else { Goal::Any };
        machine.person = None;
        forget_trouble(machine);
        // What only waits for a decision is released as it is; what runs something else goes off first.
        machine.off_wanted =
            (takes_part && machine.power != PowerState::Off && !released).then_some(at.since_start);
        if machine.power == PowerState::Unknown && machine.live_boot().is_none() {
            machine.off_wanted = None;
        }
        if takes_part && released && park::talos::waits(machine) {
            // Its kernel runs, and wants a config.
            record::mark(machine, at.since_start, MarkKind::Started);
        }
        // What a run does not use stays parked for as long as it may.
        machine.park = machine.park.filter(|_| !takes_part);
    }
    Touched::All
}

/// A run of a cluster that runs already: its machines stay as they are.
fn adopt(lab: &mut Lab, number: u32, scenario: &ScenarioName, fingerprint: &str, at: Moment) -> Touched {
    start(lab, number, scenario, at);
    if let Some(run) = &mut lab.run {
        run.released = true;
        run.cluster = Cluster { secrets: Some(fingerprint.to_owned()), adopted: true, ..Cluster::default() };
    }
    for machine in lab.machines.values_mut().filter(|m| m.goal == Goal::Ready).map(Arc::make_mut) {
        machine.off_wanted = None;
        machine.talos.adopted = true;
        // They are in use, hypervisors too.
        machine.before_use.cleared = true;
    }
    Touched::All
}

fn want_install(machine: &mut Machine, at: Moment) {
    machine.installs = machine.installs.saturating_add(1);
    machine.install =
        Some(Install { number: machine.installs, since: at.since_start, spent_in: None, done: false });
}

/// It is started anew, from cold, with its installer.
fn install_again(machine: &mut Machine, at: Moment) {
    want_install(machine, at);
    machine.off_wanted = machine.may_run().then_some(at.since_start);
    machine.person = None;
    forget_trouble(machine);
}

/// What is parked no longer, and was not released, costs no more power.
fn park_ended(machine: &mut Machine, at: Moment) {
    machine.park = None;
    machine.off_wanted = machine.may_run().then_some(at.since_start);
    forget_trouble(machine);
}

pub(crate) fn forget_trouble(machine: &mut Machine) {
    machine.tries = 0;
    machine.fault = None;
    machine.bad = false;
    machine.refused = None;
    machine.carried_out = None;
}

fn stop(lab: &mut Lab, at: Moment) -> Touched {
    let stay: Vec<_> = lab.machines.values().map(|machine| park::may_stay(lab, machine, at)).collect();
    let Some(run) = &mut lab.run else { return Touched::Lab };
    run.stopping = true;
    for (machine, park) in lab.machines.values_mut().zip(stay).filter(|(_, park)| park.is_some()) {
        let machine = Arc::make_mut(machine);
        machine.park = park;
        park::talos::begins(machine);
    }
    for machine in lab.machines.values_mut().filter(|m| m.goal == Goal::Ready).map(Arc::make_mut) {
        machine.goal = Goal::Off;
        machine.person = None;
        machine.off_wanted = machine.may_run().then_some(at.since_start);
        forget_trouble(machine);
    }
    Touched::All
}

fn enter_phase(lab: &mut Lab, phase: Phase, because: &str, at: Moment) {
    lab.phase = phase;
    lab.phase_since = at;
    because.clone_into(&mut lab.phase_because);
    match phase {
        Phase::Idle => {
            let parks: Vec<_> = lab.machines.values().map(|machine| park::begin(lab, machine, at)).collect();
            lab.run = None;
            let left = |(machine, _): &(&mut Arc<Machine>, _)| machine.goal == Goal::Off;
            for (machine, park) in lab.machines.values_mut().zip(parks).filter(left) {
                let machine = Arc::make_mut(machine);
                park::talos::was_in_vain(machine, at);
                machine.park = park;
            }
            // What a person wants of a machine outside the run outlives the run.
            for machine in lab.machines.values_mut().filter(|m| m.goal != Goal::Any).map(Arc::make_mut) {
                machine.goal = Goal::Any;
                machine.off_wanted = None;
            }
        }
        Phase::Booting | Phase::Ready | Phase::Degraded => {
            if let Some(run) = &mut lab.run {
                run.released = true;
            }
        }
        Phase::PoweringDown | Phase::Failed | Phase::Stopping => {}
    }
}

fn sighted(lab: &mut Lab, mac: MacAddr, sight: &Sight, at: Moment) -> Touched {
    if let Some(node) = lab.by_mac.get(&mac).cloned() {
        let room = lab.room();
        about(lab, &node, |m| power::record::heard(m, sight, at.since_start));
        if let Sight::Guest { guest } = sight {
            if guests::is_over(lab, guest) {
                return Touched::Lab;
            }
            let spec = lab.scenario().and_then(|scenario| scenario.guests.get(&node));
            let direct = spec.is_some_and(|spec| spec.boot == GuestBoot::Kernel);
            return about(lab, &node, |m| guests::seen(m, guest, direct, at, room));
        }
        if let Sight::Agent { report } = sight
            && guests::lost_with(lab, &node, Some(&report.boot_id), at)
        {
            about(lab, &node, |m| record::sight(m, at, sight, room));
            return Touched::All;
        }
        let tried = lab.machines.get(&node).and_then(|machine| trial::taken(lab, machine, sight));
        let name = lab.spec.lab.clone();
        return about(lab, &node, |m| {
            if let Sight::Beat { beat } = sight {
                wipe::told(m, beat, &name, at.since_start);
            }
            record::sight(m, at, sight, room);
            record::note_install(m);
            if let Some(generation) = tried {
                trial::note(m, generation);
            }
        });
    }
    if let Sight::Discover { client, .. } | Sight::Solicit { client, .. } = sight {
        lab.strangers.retain(|s| s.mac != mac);
        if lab.strangers.len() >= STRANGERS_KEPT {
            lab.strangers.remove(0);
        }
        lab.strangers.push(Stranger { mac, client: *client, seen: at });
    }
    Touched::Lab
}

fn issued(lab: &mut Lab, id: CommandId, command: &Command, at: Moment) -> Touched {
    let given = Order::new(id, at.since_start);
    match command {
        Command::Power { node, order, .. } => about(lab, node, |machine| {
            machine.in_flight = Some((id, *order, at.since_start));
            machine.press_wanted = machine.press_wanted.filter(|_| *order != PowerOrder::Press);
            machine.refused = None;
            machine.ordered = Some((id, *order));
            if *order == PowerOrder::On {
                machine.tries = machine.tries.saturating_add(1);
            }
        }),
        Command::Push { node, proof, .. } => about(lab, node, |machine| {
            record::step(machine, at.since_start, TalosStep::Given);
            machine.talos.push = Some(given);
            machine.talos.proof = Some(*proof);
            machine.talos.pushes = machine.talos.pushes.saturating_add(1);
        }),
        Command::Offer { node, .. } => about(lab, node, |machine| {
            machine.talos.push = Some(given);
            // Who asks is known by its word and its address; no key of it was seen.
            machine.talos.proof = Some(Proof::Address);
            machine.talos.pushes = machine.talos.pushes.saturating_add(1);
            machine.talos.offered.get_or_insert(at.since_start);
        }),
        Command::Reset { node } => about(lab, node, |machine| machine.talos.reset = Some(given)),
        Command::Switch { port, on } => cuts::issued(lab, (id, port, *on), at.since_start),
        Command::Mint { .. } => {
            if let Some(run) = &mut lab.run {
                run.cluster.mint = Some(given);
            }
            Touched::Lab
        }
        Command::Apply { .. } => {
            if let Some(run) = &mut lab.run {
                run.cluster.apply = Some(given);
            }
            Touched::Lab
        }
        Command::Bootstrap { node } => {
            if let Some(run) = &mut lab.run {
                run.cluster.bootstrap = Some((node.clone(), given));
            }
            Touched::Lab
        }
    }
}

fn finished(lab: &mut Lab, id: CommandId, outcome: &Outcome, at: Moment) -> Touched {
    if lab.run.as_mut().is_some_and(|run| run.cluster.end(id, outcome, at.since_start)) {
        return Touched::Lab;
    }
    if let Some(touched) = cuts::finished(lab, id, outcome, at.since_start) {
        return touched;
    }
    let asked = |m: &Machine| m.talos.orders().any(|order| order.id == id && order.ended.is_none());
    let found =
        lab.machines.values_mut().find(|m| m.in_flight.is_some_and(|(flying, ..)| flying == id) || asked(m));
    let Some(machine) = found.map(Arc::make_mut) else { return Touched::Lab };
    if machine.talos.reset.as_mut().is_some_and(|reset| reset.end(id, outcome, at.since_start)) {
        return Touched::Machine(machine.node.clone());
    }
    if machine.talos.push.as_mut().is_some_and(|push| push.end(id, outcome, at.since_start)) {
        // What it was before it took a config says nothing about what it is now.
        if !matches!(outcome, Outcome::Failed { .. }) {
            machine.talos.look_anew(at.since_start);
        }
        return Touched::Machine(machine.node.clone());
    }
    let Some((_, order, issued)) = machine.in_flight.take() else { return Touched::Lab };
    power::record::pressed(machine, order, outcome, at.since_start);
    // A driver may see the result before it says that it is done; then nothing is left to be seen.
    let since = machine.power_seen.is_some_and(|at| at.since_start >= issued);
    // Nothing certain is to be seen after a press.
    let seen = order.result().is_none_or(|result| machine.power == result && since);
    match outcome {
        Outcome::Done | Outcome::Unknown if seen => {
            // Seen in the same millisecond as it was ordered, maybe before: it is not ordered again and again.
            machine.off_wanted = machine.off_wanted.filter(|_| machine.power != PowerState::Off);
        }
        Outcome::Done | Outcome::Unknown => machine.carried_out = Some((order, at.since_start)),
        Outcome::Failed { why, .. } => machine.refused = Some((order, why.clone(), at.since_start)),
    }
    Touched::Machine(machine.node.clone())
}

fn person(machine: &mut Machine, order: PowerOrder, at: Moment) {
    if order == PowerOrder::Press {
        machine.press_wanted = Some(at.since_start);
        return;
    }
    machine.person = Some(order);
    machine.park = None;
    // Whoever saw to it may have seen to what failed, too.
    machine.jumps.failed = None;
    machine.off_wanted = (order != PowerOrder::On && machine.may_run()).then_some(at.since_start);
    forget_trouble(machine);
    // A hypervisor that gave a guest up begins anew with the next order.
    machine.guest = machine.guest.take().filter(|seen| !seen.state.is_given_up());
}

fn faulted(machine: &mut Machine, fault: &Fault, bad: bool, at: Moment) {
    if park::is_jump(machine) && machine.rung == Rung::Fetched {
        park::jump_failed(machine, &fault.text, at);
    }
    machine.fault = Some(fault.clone());
    machine.bad = bad;
    // The next boot has another nonce.
    machine.clash = None;
    // What failed is started again from cold, unless it is given up.
    machine.off_wanted = match (bad, machine.power) {
        (true, _) | (_, PowerState::Off) => None,
        (false, PowerState::On | PowerState::Changing | PowerState::Unknown) => {
            machine.off_wanted.or(Some(at.since_start))
        }
    };
    // Where nothing tells that it went off, its next ask is all that shows the next boot.
    if machine.power == PowerState::Unknown && !bad {
        machine.running = false;
    }
    machine.carried_out = None;
    machine.refused = None;
}

pub(crate) fn power_seen(machine: &mut Machine, state: PowerState, at: Moment, room: Room) {
    let before = machine.power;
    machine.power = state;
    machine.power_seen = Some(at);
    match state {
        PowerState::On => {
            // A machine that was booting before its power could be seen goes on with that boot. Its ask
            // shows it; a lone report after "off" is the last word of the boot before.
            let asked = |boot: &Boot| boot.marks.iter().any(|m| record::asker(&m.what).is_some());
            let goes_on = match before {
                PowerState::On => true,
                PowerState::Changing | PowerState::Unknown => machine.live_boot().is_some(),
                // An order to wipe that was taken since is a second word: that boot goes on, whatever was seen.
                PowerState::Off => {
                    machine.live_boot().is_some_and(asked)
                        || machine.may_be_wiping().is_some_and(|wipe| wipe.given.is_some())
                }
            };
            if !goes_on {
                record::begin(machine, at, before == PowerState::Off, room);
            }
            if machine.person == Some(PowerOrder::On) {
                machine.person = None;
            }
            if matches!(machine.carried_out, Some((PowerOrder::On, _))) {
                machine.carried_out = None;
            }
        }
        PowerState::Off => {
            machine.running = false;
            machine.silent = None;
            wipe::boot_ended(machine, "its power went off", at.since_start);
            machine.agent = None;
            machine.system = None;
            machine.port = None;
            machine.talos.look_anew(at.since_start);
            // Seen off while an order "on" is on its way proves nothing about what comes.
            if !matches!(machine.in_flight, Some((_, PowerOrder::On, _))) {
                machine.off_wanted = None;
            }
            if matches!(machine.carried_out, Some((PowerOrder::Off | PowerOrder::Soft, _))) {
                machine.carried_out = None;
            }
        }
        PowerState::Changing | PowerState::Unknown => {}
    }
}

fn entered_rung(lab: &mut Lab, node: &NodeName, rung: Rung, at: Moment) -> Touched {
    let good = ready_with(lab, node, rung);
    about(lab, node, |m| entered(m, (rung, good), at))
}

/// What a machine booted that is ready now. An installer is none of it: its machine is ready once it runs what was
/// installed.
fn ready_with(lab: &Lab, node: &NodeName, rung: Rung) -> Option<Vec<Digest>> {
    let is_own = |machine: &&Arc<Machine>| rung == Rung::Ready && machine.install.is_none();
    let machine = lab.machines.get(node).filter(is_own)?;
    let image = lab.image_of(machine).filter(|image| !image.is_disk())?;
    Some(image.for_efi().map(|asset| asset.digest).collect())
}

fn entered(machine: &mut Machine, (rung, good): (Rung, Option<Vec<Digest>>), at: Moment) {
    machine.rung = rung;
    machine.entered = at;
    if rung != Rung::Ready {
        return;
    }
    if let Some(good) = good {
        machine.good = good;
    }
    machine.tries = 0;
    machine.fault = None;
    machine.before_use.cleared = true;
    let first =
        machine.live_boot().is_some_and(|boot| !boot.marks.iter().any(|m| matches!(m.what, MarkKind::Ready)));
    if !first {
        return;
    }
    record::mark(machine, at.since_start, MarkKind::Ready);
    if let Some(fall) = waterfall(machine, at.since_start) {
        // A firmware bar that began with the first packet has no length, which would be a lie later.
        let powered = machine.boot.as_ref().is_some_and(|boot| boot.powered);
        let told = |bar: &&Bar| powered || bar.stage != Stage::Firmware;
        let stages = fall.bars.iter().filter(told).map(|bar| (bar.stage, bar.took_ms));
        let boot = PastBoot::new((fall.number, fall.firmware, fall.total_ms), stages);
        past::keep_times(&mut machine.past, boot);
    }
}
