//! Reads one line of a story after the other: the words people use, and what they call.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::sync::Arc;

use lifecycle::{
    Machine, Refusal, Request, Verdict, admit_disks, explain, lab_view, machine_view, waterfall,
};
use model::{
    AgentBeat, AgentClash, AgentKey, AgentReport, BootAnswer, Carrier, ClientKind, Command, CommandId, Fact,
    FileRole, Inventory, Kexec, LabTime, LoaderStep, MacAddr, NodeName, Notice, Origin, Outcome, PowerOrder,
    PowerState, ScriptAnswer, Sight, Span,
};

use crate::cluster::named;
use crate::setup::Setup;
use crate::unwell::Body;
use crate::world::{Built, World};

pub(crate) fn text(error: impl Display) -> String {
    error.to_string()
}

pub(crate) fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number"))
}

/// `12` or `12.5` seconds.
fn seconds(word: &str) -> Result<Span, String> {
    let (whole, part) = word.split_once('.').unwrap_or((word, "0"));
    let millis = number(&format!("{part:0<3}"))?;
    Ok(Span(number(whole)? * 1000 + millis))
}

#[expect(clippy::needless_pass_by_value, reason = "what is compared is made for it")]
fn same<T: PartialEq + Display>(expected: T, actual: T) -> Result<(), String> {
    if expected == actual {
        return Ok(());
    }
    Err(format!("expected: {expected}\n    actual: {actual}"))
}

fn holds(expected: &str, actual: &str) -> Result<(), String> {
    if actual.contains(expected) {
        return Ok(());
    }
    Err(format!("expected: ..{expected}..\n    actual: {actual}"))
}

fn client(word: &str) -> Result<ClientKind, String> {
    Ok(match word {
        "bios" => ClientKind::BiosPxe,
        "pxe" => ClientKind::UefiPxe,
        "http" => ClientKind::UefiHttp,
        "ipxe" => ClientKind::Ipxe,
        "agent" => ClientKind::Agent,
        "stick" => ClientKind::Loader,
        "system" => ClientKind::Other,
        _ => return Err(format!("`{word}` is none of bios, pxe, http, ipxe, stick, agent, system")),
    })
}

fn by_stick(step: LoaderStep) -> Sight {
    Sight::LoaderSaid { severity: 6, text: "loader 0.1.0".to_owned(), error: None, step: Some(step) }
}

fn role(word: &str) -> Result<FileRole, String> {
    Ok(match word {
        "loader" => FileRole::Loader,
        "kernel" => FileRole::Kernel,
        "initrd" => FileRole::Initrd,
        "uki" => FileRole::Uki,
        "script" => FileRole::Script,
        _ => return Err(format!("`{word}` is none of loader, kernel, initrd, uki, script")),
    })
}

fn discover(client: ClientKind) -> Sight {
    Sight::Discover { client, arch: None, secs: 0, uuid: None, version: String::new() }
}

/// Tells a story to the judgment.
#[derive(Debug)]
pub(crate) struct Teller {
    pub(crate) world: World,
    began: LabTime,
    /// The last order of each machine.
    orders: BTreeMap<NodeName, (CommandId, PowerOrder)>,
    /// The last order by its name in the story.
    named: BTreeMap<String, CommandId>,
    /// Agents that are alive, by their boot.
    pub(crate) agents: BTreeMap<NodeName, String>,
    /// How they feel, and who watches it.
    pub(crate) bodies: BTreeMap<NodeName, Body>,
    next_beat: LabTime,
    /// Events that were written when `? writes` was asked last.
    written: usize,
    /// Commands that no `=` line has named yet.
    unnamed: BTreeSet<String>,
    /// A request that was not simply accepted, until a `?` line names its answer.
    untold: Option<String>,
    told: Option<Result<Verdict, Refusal>>,
}

impl Teller {
    /// Starts a core on the board of the `with` lines.
    pub(crate) fn new(setup: &Setup) -> Result<Self, String> {
        let world = World::new(setup.board()?)?;
        let began = world.now;
        Ok(Self {
            world,
            began,
            orders: BTreeMap::new(),
            named: BTreeMap::new(),
            agents: BTreeMap::new(),
            bodies: BTreeMap::new(),
            next_beat: began,
            written: 0,
            unnamed: BTreeSet::new(),
            untold: None,
            told: None,
        })
    }

    /// One line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), String> {
        let (kind, rest) = line.split_once(' ').ok_or("a line begins with >, =, ?, @ or * and a space")?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        match kind {
            "@" => {
                self.all_named()?;
                let [until] = words.as_slice() else { return Err("`@ SECONDS`".to_owned()) };
                self.pass(seconds(until)?)
            }
            ">" => {
                self.all_told()?;
                self.happens(&words)?;
                self.collect();
                Ok(())
            }
            "*" => {
                let (times, line) = rest.split_once(' ').ok_or("`* TIMES > ..`")?;
                (0..number(times)?).try_for_each(|_| self.line(line))
            }
            "=" => self.asked(rest),
            "?" if words.first() == Some(&"writes") => self.writes(&words),
            "?" => self.look(&words),
            _ => Err("a line begins with >, =, ?, @ or *".to_owned()),
        }
    }

    /// What must hold when the story is over.
    pub(crate) fn end(&self) -> Result<(), String> {
        self.all_named()?;
        self.all_told()?;
        if self.world.replayed(|_| true) != self.world.lab {
            return Err("reading all events again gives another lab".to_owned());
        }
        self.world.rule_of_the_checkpoint(|_| true)?;
        self.world.rule_of_the_journal()
    }

    /// Starts the core again: before anything was seen, nothing is switched on, and no order is
    /// repeated. Only an "off" that waited behind an "on" may follow: that is safe either way.
    pub(crate) fn restart_asks_nothing_again(&mut self) -> Result<(), String> {
        let before = self.orders.clone();
        self.world.restart()?;
        for (_, command) in &self.world.asked {
            let again = match command {
                Command::Power { node, order, .. } => {
                    *order == PowerOrder::On || before.get(node).map(|(_, order)| order) == Some(order)
                }
                // A port is told again until its switch has answered.
                Command::Switch { .. } => false,
                // Before anything is seen of the machine, nobody knows whether it took its config.
                // Nor whether it was reset.
                Command::Push { .. } | Command::Offer { .. } | Command::Reset { .. } => {
                    self.named.contains_key(&named(command))
                }
                // Secrets that were kept are found again, and whoever begins etcd looks first.
                Command::Mint { .. } | Command::Bootstrap { .. } | Command::Apply { .. } => false,
            };
            if again {
                return Err(format!("after a restart here: asked {}, unseen", named(command)));
            }
        }
        Ok(())
    }

    fn all_named(&self) -> Result<(), String> {
        if self.unnamed.is_empty() {
            return Ok(());
        }
        let asked: Vec<&str> = self.unnamed.iter().map(String::as_str).collect();
        Err(format!("expected: nothing more to be asked\n    actual: {}", asked.join(", ")))
    }

    fn all_told(&self) -> Result<(), String> {
        self.untold
            .as_ref()
            .map_or(Ok(()), |answer| Err(format!("the lab answered `{answer}`, unexpectedly")))
    }

    fn collect(&mut self) {
        for (id, command) in std::mem::take(&mut self.world.asked) {
            let name = named(&command);
            self.unnamed.insert(name.clone());
            self.named.insert(name, id);
            if let Command::Power { node, order, .. } = command {
                self.orders.insert(node, (id, order));
            }
        }
    }

    /// Time passes; living agents are heard every three seconds.
    fn pass(&mut self, until: Span) -> Result<(), String> {
        let until = self.began.after(until);
        if until < self.world.now {
            return Err("time does not go back".to_owned());
        }
        while self.next_beat <= until {
            self.world.pass(self.next_beat.max(self.world.now))?;
            self.collect();
            self.next_beat = self.next_beat.after(Span::secs(3));
            for (node, boot) in self.agents.clone() {
                self.beat(&node, &boot)?;
            }
        }
        self.world.pass(until)?;
        self.collect();
        Ok(())
    }

    /// The number of the last order of this name.
    pub(crate) fn order(&self, name: &str) -> Option<CommandId> {
        self.named.get(name).copied()
    }

    /// The run that goes on.
    pub(crate) fn run(&self) -> Option<u32> {
        self.world.lab.run.as_ref().map(|run| run.number)
    }

    /// Something becomes known.
    pub(crate) fn told(&mut self, fact: Fact) -> Result<(), String> {
        self.world.happens(fact)
    }

    pub(crate) fn node(&self, word: &str) -> Result<NodeName, String> {
        let name: NodeName = word.parse().map_err(text)?;
        self.machine(&name).map(|_| name.clone())
    }

    fn machine(&self, name: &NodeName) -> Result<&Machine, String> {
        let machine = self.world.lab.machines.get(name).map(AsRef::as_ref);
        machine.ok_or_else(|| format!("there is no machine {name}"))
    }

    pub(crate) fn see(&mut self, node: &NodeName, sight: Sight) -> Result<(), String> {
        let mac = self.world.lab.node(node).ok_or("no such machine")?.mac;
        self.world.happens(Fact::Sighted { mac, sight })
    }

    fn beat(&mut self, node: &NodeName, boot: &str) -> Result<(), String> {
        let mac = self.world.lab.node(node).ok_or("no such machine")?.mac;
        let beat = AgentBeat {
            mac,
            boot_id: boot.to_owned(),
            uptime_ms: 0,
            load_milli: 0,
            memory_available_mib: 400,
            ..AgentBeat::default()
        };
        self.see(node, Sight::Beat { beat })
    }

    fn happens(&mut self, words: &[&str]) -> Result<(), String> {
        if let Some(done) = self.cluster(words) {
            return done;
        }
        if let Some(done) = self.guest(words) {
            return done;
        }
        match words {
            ["restart"] => self.world.restart(),
            ["images", "are", "read"] => self.world.finds_images(),
            ["the", "candidate", "is", "built"] => self.world.candidate(Built::ToBeTried),
            ["the", "candidate", "is", "given", "up"] => self.world.candidate(Built::No),
            ["the", "candidate", "is", "in", "use"] => self.world.candidate(Built::InUse),
            ["counter", "up"] => self.world.happens(Fact::CounterSeen { up: true }),
            ["counter", "down"] => self.world.happens(Fact::CounterSeen { up: false }),
            ["start", scenario] => {
                self.request(&Request::Start { scenario: (*scenario).to_owned(), by: Origin::Cli })
            }
            ["adopts", scenario] => self.request(&Request::Adopt {
                scenario: (*scenario).to_owned(),
                run: self.run().unwrap_or(0) + 1,
                fingerprint: "5ec7e7".to_owned(),
                by: Origin::Cli,
            }),
            ["stop"] => self.request(&Request::Stop { by: Origin::Cli }),
            ["on", node] => self.switch(node, PowerOrder::On),
            ["off", node] => self.switch(node, PowerOrder::Off),
            ["done", node] => self.finish(node, Outcome::Done),
            ["fails", node, why @ ..] => {
                self.finish(node, Outcome::Failed { code: "refused".to_owned(), why: why.join(" ") })
            }
            ["sees", node, state] => self.sees(node, state),
            ["stranger", mac, "asks", "its", "script"] => {
                let (mac, answer) = (mac.parse().map_err(text)?, ScriptAnswer::Stranger);
                self.world.happens(Fact::Sighted { mac, sight: Sight::ScriptAsked { answer } })
            }
            ["stranger", mac, "discovers", kind] => {
                let (mac, sight) = (mac.parse::<MacAddr>().map_err(text)?, discover(client(kind)?));
                self.world.happens(Fact::Sighted { mac, sight })
            }
            ["wipe", node, rest @ ..] => self.wipes(node, rest),
            ["install", node] => {
                self.request(&Request::Install { node: (*node).to_owned(), by: Origin::Cli })
            }
            ["finds", node, "port", state] => {
                let (node, open) = (self.node(node)?, *state == "open");
                self.world.happens(Fact::PortSeen { node, port: 22, open })
            }
            ["notice", notice @ ..] => self.notice(notice),
            [node, what @ ..] => {
                let node = self.node(node)?;
                self.boots(&node, what)
            }
            [] => Err("nothing happens".to_owned()),
        }
    }

    pub(crate) fn request(&mut self, request: &Request) -> Result<(), String> {
        let answer = self.world.request(request)?;
        self.untold = match &answer {
            Ok(Verdict::Record(_)) => None,
            Ok(Verdict::Already) => Some("already".to_owned()),
            Err(refusal) => Some(format!("{}: {refusal}; {}", refusal.code(), refusal.advice())),
        };
        self.told = Some(answer);
        Ok(())
    }

    fn switch(&mut self, node: &str, order: PowerOrder) -> Result<(), String> {
        self.request(&Request::Power { node: node.to_owned(), order, by: Origin::Page })
    }

    fn finish(&mut self, node: &str, outcome: Outcome) -> Result<(), String> {
        let node = self.node(node)?;
        let (id, _) = *self.orders.get(&node).ok_or("its driver was asked for nothing")?;
        self.world.happens(Fact::Finished { id, outcome })
    }

    fn sees(&mut self, node: &str, state: &str) -> Result<(), String> {
        let node = self.node(node)?;
        let state = match state {
            "on" => PowerState::On,
            "off" => PowerState::Off,
            "unknown" => PowerState::Unknown,
            _ => return Err(format!("`{state}` is none of on, off, unknown")),
        };
        if state == PowerState::Off {
            self.agents.remove(&node);
        }
        self.world.happens(Fact::PowerSeen { node, state, evidence: "its driver says so".to_owned() })
    }

    fn notice(&mut self, words: &[&str]) -> Result<(), String> {
        let notice = match words {
            ["foreign-dhcp", mac] => {
                Notice::ForeignDhcp { mac: mac.parse().map_err(text)?, server: Ipv4Addr::new(10, 0, 0, 254) }
            }
            ["foreign-router", mac] => {
                let address = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
                Notice::ForeignRouter { mac: mac.parse().map_err(text)?, address, names_dns: true }
            }
            ["foreign-choice", mac] => {
                let server = Ipv4Addr::new(10, 0, 0, 254);
                Notice::ForeignChoice { mac: mac.parse().map_err(text)?, server }
            }
            ["foreign-dhcp6", mac] => {
                let address = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
                Notice::ForeignDhcp6 { mac: mac.parse().map_err(text)?, address, duid: "0001".to_owned() }
            }
            ["foreign-choice6", mac, duid] => {
                Notice::ForeignChoice6 { mac: mac.parse().map_err(text)?, duid: (*duid).to_owned() }
            }
            ["other-controller", mac] => Notice::OtherController {
                mac: mac.parse().map_err(text)?,
                server: Ipv4Addr::new(10, 0, 0, 253),
                lab: "bench".to_owned(),
                same: true,
            },
            ["flooding", mac, count] => {
                Notice::Flooding { mac: mac.parse().map_err(text)?, count: count.parse().map_err(text)? }
            }
            ["loader-missing", arch] => Notice::LoaderMissing {
                arch: arch.parse().map_err(text)?,
                names: vec!["snponly-arm64.efi".to_owned()],
            },
            ["ledger-full"] => Notice::LedgerFull { why: "no space left on device".to_owned() },
            ["ledger-well"] => Notice::LedgerWell,
            ["malformed", protocol, count] => {
                Notice::Malformed { protocol: (*protocol).to_owned(), count: number(count)? }
            }
            ["clock-stepped", seconds] => Notice::ClockStepped { seconds: seconds.parse().map_err(text)? },
            ["merged", count] => Notice::Merged { count: number(count)? },
            _ => return Err("nobody knows this notice".to_owned()),
        };
        self.world.happens(Fact::Noticed { notice })
    }

    /// What a machine does that can start the next kernel by itself, or cannot.
    fn parks(&mut self, node: &NodeName, words: &[&str]) -> Option<Result<(), String>> {
        let able = |kexec| (None, Some(kexec));
        Some(match words {
            ["waits", "in", "its", "image"] => {
                self.agents.remove(node);
                self.see(node, by_stick(LoaderStep::Parks)).and_then(|()| {
                    let answer = self.script(node)?;
                    self.see(node, Sight::ScriptAsked { answer })
                })
            }
            ["cannot", "kexec"] => self.see(node, by_stick(LoaderStep::Fails)),
            ["reports", boot, "able", "to", "kexec"] => self.report(node, boot, able(Kexec::Possible)),
            ["reports", boot, "unable", "to", "kexec:", why @ ..] => {
                self.report(node, boot, able(Kexec::Impossible { why: why.join(" ") }))
            }
            _ => return None,
        })
    }

    /// What a machine does on the wire.
    fn boots(&mut self, node: &NodeName, words: &[&str]) -> Result<(), String> {
        let more = self.talos(node, words).or_else(|| self.wiping(node, words));
        if let Some(done) = more.or_else(|| self.parks(node, words)) {
            return done;
        }
        let address = self.world.lab.node(node).ok_or("no such machine")?.ip;
        let name = |word: &str| word.to_owned();
        let sight = match words {
            ["shows", "a", "frame"] => Sight::Frame,
            ["discovers", kind] => discover(client(kind)?),
            ["is", "offered"] => Sight::Offer { address },
            ["requests", kind] => Sight::Request { client: client(kind)? },
            ["gets", "its", "address", "as", kind] => Sight::Ack { address, client: client(kind)? },
            ["is", "refused"] => Sight::Nak,
            ["asks", "for", "a", "router"] => Sight::RouterAsked { answered: true },
            ["asks", "its", "script"] => Sight::ScriptAsked { answer: self.script(node)? },
            ["asks", "from", "a", "stick"] => by_stick(LoaderStep::Asks),
            ["asks", what, file, size] => Sight::FileAsked {
                role: role(what)?,
                name: name(file),
                carrier: Carrier::Http,
                size: number(size)?,
            },
            ["has", bytes, "of", file] => Sight::FileMoved { name: name(file), bytes: number(bytes)? },
            ["took", file] => Sight::FileServed { name: name(file), bytes: 1_000_000, repeats: 0 },
            ["breaks", "off", file, why @ ..] => {
                Sight::FileBroken { name: name(file), bytes: 1000, why: why.join(" ") }
            }
            ["is", "asked", "to", "come", "back", "for", file] => Sight::Deferred { name: name(file) },
            ["runs", "ipxe", version] => Sight::IpxeTold { version: name(version), features: Vec::new() },
            ["logs", "error", what @ ..] => {
                Sight::Logged { severity: 6, text: "Could not boot".to_owned(), error: Some(what.join(" ")) }
            }
            ["logs", words @ ..] => Sight::Logged { severity: 6, text: words.join(" "), error: None },
            ["starts", "its", "kernel"] => by_stick(LoaderStep::Starts),
            ["reports", boot] => return self.report(node, boot, (None, None)),
            ["reports", boot, "by", "key", key] => {
                return self.report(node, boot, (Some(agent_key(key)?), None));
            }
            ["is", "claimed", "by", "key", claimed, "and", "by", shown] => clash(claimed, shown)?,
            ["asks", "its", "config"] => Sight::ConfigAsked { bytes: None },
            ["takes", "its", "config"] => Sight::ConfigAsked { bytes: Some(4000) },
            ["says", "done"] => Sight::Done,
            ["falls", "silent"] => {
                self.agents.remove(node).ok_or("its agent was not alive")?;
                return Ok(());
            }
            ["is", "heard", "as", boot] => {
                self.agents.insert(node.clone(), name(boot));
                return self.beat(node, boot);
            }
            ["takes", "its", "address", "as", kind] => return self.takes_address(node, kind),
            ["takes", "its", "image"] => return self.takes_image(node),
            ["boots", boot] => return self.boots_through(node, boot),
            _ => return self.feels(node, words),
        };
        self.see(node, sight)
    }

    /// What the boot table would make the counter answer.
    fn script(&self, node: &NodeName) -> Result<ScriptAnswer, String> {
        let entry = self.world.answer(node).ok_or("the boot table does not know it")?;
        Ok(match entry.answer {
            BootAnswer::Wait { .. } => ScriptAnswer::Wait,
            BootAnswer::Run { .. } => ScriptAnswer::Boot,
            BootAnswer::Disk { .. } => ScriptAnswer::Disk,
        })
    }

    fn takes_address(&mut self, node: &NodeName, kind: &str) -> Result<(), String> {
        self.boots(node, &["discovers", kind])?;
        self.boots(node, &["is", "offered"])?;
        self.boots(node, &["requests", kind])?;
        self.boots(node, &["gets", "its", "address", "as", kind])
    }

    fn takes_image(&mut self, node: &NodeName) -> Result<(), String> {
        self.boots(node, &["asks", "its", "script"])?;
        for (what, file) in [("kernel", "vmlinuz"), ("initrd", "initrd")] {
            self.boots(node, &["asks", what, file, "1000000"])?;
            self.boots(node, &["took", file])?;
        }
        Ok(())
    }

    /// A whole boot at once, for stories that are about something else.
    fn boots_through(&mut self, node: &NodeName, boot: &str) -> Result<(), String> {
        self.takes_address(node, "ipxe")?;
        self.takes_image(node)?;
        self.report(node, boot, (None, None))
    }

    fn report(
        &mut self,
        node: &NodeName,
        boot: &str,
        (key, kexec): (Option<AgentKey>, Option<Kexec>),
    ) -> Result<(), String> {
        let spec = self.world.lab.node(node).ok_or("no such machine")?;
        let report = AgentReport {
            mac: spec.mac,
            boot_id: boot.to_owned(),
            nonce: None,
            address: Some(spec.ip.into()),
            version: "0.1.0".to_owned(),
            kernel: "6.12.0".to_owned(),
            uptime_ms: 900,
            inventory: Inventory::default(),
            key,
            build: None,
            kexec,
        };
        self.agents.insert(node.clone(), boot.to_owned());
        self.see(node, Sight::Agent { report: Arc::new(report) })
    }

    fn asked(&mut self, rest: &str) -> Result<(), String> {
        let actual: Vec<String> = std::mem::take(&mut self.unnamed).into_iter().collect();
        let mut expected: Vec<&str> = rest.split(',').map(str::trim).filter(|w| *w != "nothing").collect();
        expected.sort_unstable();
        let shown = |list: String| if list.is_empty() { "nothing".to_owned() } else { list };
        same(shown(expected.join(", ")), shown(actual.join(", ")))
    }

    /// How many events were written since this was asked last, or only that it is asked.
    fn writes(&mut self, words: &[&str]) -> Result<(), String> {
        let written = self.world.events.len() - self.world.fleeting.len();
        let since = written - std::mem::replace(&mut self.written, written);
        match words {
            [_] => Ok(()),
            [_, count] => same(number(count)?, u64::try_from(since).map_err(text)?),
            _ => Err("`? writes` or `? writes COUNT`".to_owned()),
        }
    }

    fn look(&mut self, words: &[&str]) -> Result<(), String> {
        let lab = &self.world.lab;
        match words {
            ["lab", "rests"] => match lab_view(lab).waiting {
                None => Ok(()),
                Some(waiting) => Err(format!("it waits for {}", waiting.what)),
            },
            ["lab", "waits", rest @ ..] => {
                let waiting = lab_view(lab).waiting.ok_or("it waits for nothing")?;
                let words = match rest {
                    ["until", time, "for", words @ ..] => {
                        same(seconds(time)?.to_string(), waiting.until.since(self.began).to_string())?;
                        words
                    }
                    ["for", words @ ..] => words,
                    _ => return Err("it waits [until T] for ..".to_owned()),
                };
                holds(&words.join(" "), &waiting.what)
            }
            ["phase", "because", because @ ..] => holds(&because.join(" "), &lab.phase_because),
            ["phase", phase @ ..] => same(phase.join(" "), lab.phase.to_string()),
            ["run", run] => same(number(run)?, u64::from(lab.runs)),
            ["told", code, words @ ..] => {
                let actual = match self.told.as_ref().ok_or("nobody asked for anything")? {
                    Ok(Verdict::Record(_)) => "yes".to_owned(),
                    Ok(Verdict::Already) => "already".to_owned(),
                    Err(refusal) => format!("{}: {refusal}; {}", refusal.code(), refusal.advice()),
                };
                self.untold = None;
                let (said, _) = actual.split_once(':').unwrap_or((&actual, ""));
                same((*code).to_owned(), said.to_owned())?;
                holds(&words.join(" "), &actual)
            }
            ["notices", n] => same(number(n)?, u64::try_from(lab.notices.len()).map_err(text)?),
            ["strangers", n] => same(number(n)?, u64::try_from(lab.strangers.len()).map_err(text)?),
            ["last", "stranger", mac, kind] => {
                let last = lab.strangers.last().ok_or("there is no stranger")?;
                same(format!("{mac} {}", client(kind)?), format!("{} {}", last.mac, last.client))
            }
            ["trial", words @ ..] => holds(&words.join(" "), &trial(lab)),
            ["plan", scenario, words @ ..] => self.look_at_plan(scenario, &words.join(" ")),
            ["explain", node, words @ ..] => {
                let machine = self.machine(&self.node(node)?)?;
                let waiting = self.world.decision.waits.get(&machine.node);
                let said = explain(lab, machine, waiting, self.world.moment());
                holds(&words.join(" "), &format!("{said:?}"))
            }
            ["bar", node, stage, words @ ..] => {
                let machine = self.machine(&self.node(node)?)?;
                let fall = waterfall(machine, self.world.now).ok_or("it never booted")?;
                let bar = fall.bars.iter().find(|bar| bar.stage.to_string() == *stage);
                let bar = bar.ok_or_else(|| format!("there is no such bar in {:?}", fall.bars))?;
                holds(&words.join(" "), bar.note.as_deref().unwrap_or_default())
            }
            [what, node, words @ ..] => {
                let node = self.node(node)?;
                self.look_at(what, &node, words)
            }
            _ => Err("nobody knows this question".to_owned()),
        }
    }

    fn look_at(&self, what: &str, node: &NodeName, words: &[&str]) -> Result<(), String> {
        let machine = self.machine(node)?;
        let wait = self.world.decision.waits.get(node);
        let since_began = |at: LabTime| at.since(self.began);
        match (what, words) {
            ("rung", [rung]) => same((*rung).to_owned(), machine.rung.to_string()),
            ("word", [word]) => {
                let view = machine_view(&self.world.lab, machine, wait, self.world.moment(), None);
                same((*word).to_owned(), view.ok_or("it is not on the board")?.word.to_string())
            }
            ("waits", ["until", until, "for", what @ ..]) => {
                let wait = wait.ok_or("actual: it waits for nothing")?;
                same(seconds(until)?, since_began(wait.until))
                    .map_err(|why| format!("{why} ({})", wait.what))?;
                holds(&what.join(" "), &wait.what)
            }
            ("waits", ["for", what @ ..]) => {
                holds(&what.join(" "), &wait.ok_or("actual: it waits for nothing")?.what)
            }
            ("then", then) => holds(&then.join(" "), &wait.ok_or("actual: it waits for nothing")?.then),
            ("rests", []) => {
                wait.map_or(Ok(()), |w| Err(format!("expected: to wait for nothing\n    actual: {}", w.what)))
            }
            ("fault", ["none"]) => {
                machine.fault.as_ref().map_or(Ok(()), |f| Err(format!("actual: {} ({})", f.code, f.text)))
            }
            ("fault", [code, words @ ..]) => {
                let fault = machine.fault.as_ref().ok_or("actual: it has no fault")?;
                same((*code).to_owned(), fault.code.to_string())?;
                holds(&words.join(" "), &fault.text)
            }
            ("heard", [boot]) => {
                let heard = machine.agent.as_ref().map_or("none", |agent| agent.report.boot_id.as_str());
                same(*boot, heard)
            }
            ("bad", []) => same(true, machine.bad),
            ("good", []) => same(false, machine.bad),
            ("tries", [n]) => same(number(n)?, u64::from(machine.tries)),
            ("boots", [n]) => same(number(n)?, u64::from(machine.boots)),
            ("answer", [answer, because @ ..]) => self.look_at_answer(node, answer, &because.join(" ")),
            ("alone", [may]) => {
                let entry = self.world.answer(node).ok_or("the boot table does not know it")?;
                same((*may).to_owned(), if entry.good.is_empty() { "no" } else { "yes" }.to_owned())
            }
            ("wish", [order]) => same((*order).to_owned(), self.wish(node)?.to_string()),
            ("disks", [word]) => {
                let free = admit_disks(&self.world.lab, node.as_str());
                same((*word).to_owned(), free.map_or_else(|refusal| refusal.code(), |_| "free").to_owned())
            }
            ("wipes", order) => same(order.join(" "), self.order_to_wipe(node)?),
            ("off-at", [when]) => same((*when).to_owned(), self.off_at(node)?),
            ("order", [order]) => {
                let entry = self.world.answer(node).ok_or("the boot table does not know it")?;
                let told = if entry.parks { "park".to_owned() } else { format!("{:?}", entry.order) };
                same(format!("{order:?}").replace(['-', '"'], ""), told.to_lowercase())
            }
            _ => Err("nobody knows this question".to_owned()),
        }
    }

    /// When its loader switches it off by itself: the boss's kernel began with the story.
    fn off_at(&self, node: &NodeName) -> Result<String, String> {
        let entry = self.world.answer(node).ok_or("the boot table does not know it")?;
        Ok(entry.off_at.map_or_else(|| "never".to_owned(), |ms| (ms / 1000).to_string()))
    }

    fn look_at_answer(&self, node: &NodeName, answer: &str, because: &str) -> Result<(), String> {
        let entry = self.world.answer(node).ok_or("the boot table does not know it")?;
        let actual = match entry.answer {
            BootAnswer::Wait { .. } => "wait",
            BootAnswer::Run { .. } => "run",
            BootAnswer::Disk { .. } => "disk",
        };
        same(answer, actual)?;
        let args = match &entry.answer {
            BootAnswer::Run { args, .. } => args.as_str(),
            BootAnswer::Wait { .. } | BootAnswer::Disk { .. } => "",
        };
        holds(because, &format!("{} [{args}]", entry.because))
    }

    fn look_at_plan(&self, scenario: &str, expected: &str) -> Result<(), String> {
        let plan = lifecycle::plan(&self.world.lab, &scenario.parse().map_err(text)?);
        let list = |what: &str, nodes: &[NodeName]| {
            let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            (!names.is_empty()).then(|| format!("{what} {}", names.join(" ")))
        };
        let parts = [
            list("off", &plan.switched_off),
            list("release", &plan.released),
            list("on", &plan.switched_on),
            list("hand", &plan.by_hand),
        ];
        same(expected.to_owned(), parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// One key claimed the boot, and another one was shown from elsewhere.
fn clash(claimed: &str, shown: &str) -> Result<Sight, String> {
    let clash = AgentClash {
        claimed: agent_key(claimed)?,
        claimed_from: None,
        shown: Some(agent_key(shown)?),
        from: std::net::IpAddr::from([10, 0, 0, 99]),
    };
    Ok(Sight::AgentClash { clash })
}

/// A key of one digit, repeated.
fn agent_key(digit: &str) -> Result<AgentKey, String> {
    digit.repeat(64).parse().map_err(text)
}

/// How the trial of a later generation stands, in small letters.
fn trial(lab: &lifecycle::Lab) -> String {
    let told = lab_view(lab).trials.into_iter().next();
    let told = told.map(|trial| format!("{:?} {} {}", trial.state, trial.starts, trial.because));
    told.unwrap_or_else(|| "none".to_owned()).to_lowercase()
}
