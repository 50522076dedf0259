// Events as sentences: one function from a fact to what a person would say.
import type {
  Ailment,
  ClientKind,
  Fact,
  FileRole,
  LabEvent,
  LabView,
  MachineView,
  Notice,
  PodCounts,
  PowerOrder,
  Sighted,
} from "./types";
import { bytes, count, span } from "./units";

/** What an event looks like in the list. */
export interface Line {
  /** Whose event it is; empty for the lab's. */
  who: string;
  /** What happened. */
  text: string;
  /** How loud it is. */
  tone: "plain" | "care" | "bad" | "well";
}

/** What is known besides the event itself. */
export interface Known {
  /** Name of the machine with this Ethernet address. */
  nameOf(mac: string): string | undefined;
  /** What was asked with the command of this number. */
  orderOf(id: number): { node: string; order: PowerOrder } | undefined;
}

/** Programs that ask, as people call them. */
export const CLIENT: Record<ClientKind, string> = {
  "bios-pxe": "BIOS PXE",
  "uefi-pxe": "UEFI PXE",
  "uefi-http": "UEFI HTTP",
  ipxe: "iPXE",
  "raspberry-pi": "a Raspberry Pi",
  "u-boot": "U-Boot",
  agent: "the agent",
  loader: "our loader",
  kexec: "what ran before, which starts the next by kexec,",
  "unknown-firmware": "unknown firmware",
  other: "a DHCP client",
};

const ROLE: Record<FileRole, string> = {
  loader: "loader",
  script: "script",
  kernel: "kernel",
  initrd: "initramfs",
  uki: "image",
  seed: "seed",
  other: "file",
};

const BY = {
  page: "from the page",
  cli: "from the command line",
  demo: "by the demo",
  scenario: "by the scenario",
  pdudaemon: "by another program (pdudaemon)",
} as const;

const plain = (who: string, text: string): Line => ({ who, text, tone: "plain" });

/** The sentence for an event, or null for one that says nothing new to a person. */
export function sentence(event: LabEvent, known: Known): Line | null {
  const { fact } = event;
  switch (fact.fact) {
    case "core-started":
      return plain("", `The controller started, version ${fact.version}, with the lab ${fact.spec.lab}.`);
    case "images-found":
      return imagesFound(fact);
    case "counter-seen":
      return fact.up
        ? plain("", "The boot counter is connected.")
        : { who: "", text: "The boot counter is gone: nothing is seen of the machines.", tone: "bad" };
    case "noticed":
      return { who: "", text: noticed(fact), tone: fact.notice === "ledger-well" ? "well" : "care" };
    case "start-accepted":
      return plain("", `Start of ${fact.scenario} was asked for ${BY[fact.by]}: run ${count(fact.run)}.`);
    case "adopt-accepted":
      return plain(
        "",
        `Taking over the cluster ${fact.scenario} was asked for ${BY[fact.by]}: run ${count(fact.run)}.`,
      );
    case "stop-accepted":
      return plain("", `Stop was asked for ${BY[fact.by]}.`);
    case "power-accepted":
      return plain(fact.node, `Power ${fact.order} was asked for ${BY[fact.by]}.`);
    case "cut-accepted":
      return plain("", `${portsOf(fact.ports)} to be disabled for ${span(fact.span)}, asked for ${BY[fact.by]}.`);
    case "cut-ended":
      return plain(
        "",
        `${portsOf(fact.ports)} to be enabled again, ${fact.by ? `asked for ${BY[fact.by]}` : "as the time is over"}.`,
      );
    case "install-accepted":
      return plain(fact.node, `Another installation was asked for ${BY[fact.by]}.`);
    case "wipe-accepted":
      return plain(fact.node, `Wiping disk ${fact.disk.name} was asked for ${BY[fact.by]}.`);
    case "candidates-found":
      return null;
    case "trial-counted":
      return fact.good
        ? { who: fact.node, text: `A good start of generation ${fact.generation} of ${fact.image}.`, tone: "well" }
        : {
            who: "",
            text: `Generation ${fact.generation} of ${fact.image} is given up: ${fact.because}`,
            tone: "care",
          };
    case "loader-silent":
      return plain(fact.node, "Its loader waited, and asks no more.");
    case "park-ended":
      return plain(fact.node, `Parked no longer: ${fact.because}.`);
    case "wipe-given-up":
      return plain(fact.node, `The wipe is given up: ${fact.why}.`);
    case "disk-loader-changed":
      return plain(fact.node, `Our loader on its disk, asked for ${BY[fact.by]}: ${fact.done.join("; ")}.`);
    case "port-seen":
      return plain(
        fact.node,
        fact.open ? `Port ${fact.port} accepts connections.` : `Port ${fact.port} accepts no connections.`,
      );
    case "issued":
      return issued(fact);
    case "secrets-ready":
      return plain("", `The secrets of run ${count(fact.run)} are kept: ${fact.fingerprint.slice(0, 12)}.`);
    case "talos-seen":
      return talosSeen(fact);
    case "member-seen":
      return memberSeen(fact);
    case "manifests-read":
      return fact.mistakes.length === 0
        ? plain("", `The manifests of ${fact.scenario} were read: ${count(fact.files.length)}.`)
        : {
            who: "",
            text: stop(`The manifests of ${fact.scenario} are wrong: ${fact.mistakes.join("; ")}`),
            tone: "bad",
          };
    case "pods-seen":
      return podsSeen(fact);
    case "node-pods-seen":
      return {
        who: fact.node,
        text: stop([`${podsOf(fact.counts)} are ready or done`, ...fact.troubles].join("; ")),
        tone: fact.troubles.length > 0 ? "care" : "plain",
      };
    case "finished":
      return finished(fact, known);
    case "power-seen":
      return plain(
        fact.node,
        `Seen ${fact.state === "unknown" ? "neither on nor off" : fact.state}: ${fact.evidence}.`,
      );
    case "power-confirmed":
      return plain(
        fact.node,
        `${fact.state === "unknown" ? "Neither on nor off" : fact.state}, as told ${BY[fact.by]}.`,
      );
    // What follows from these is told when it is judged.
    case "port-read":
    case "link-seen":
      return null;
    case "standby-learned":
      return plain(
        fact.node,
        fact.mbit === 0 ? "Off, it has no link." : `Off, its link has ${count(fact.mbit)} Mbit/s.`,
      );
    case "device-seen":
      return deviceSeen(fact);
    case "sighted":
      return sighted(fact, known);
    case "published":
      return plain("", `Boot table ${count(fact.table)} was handed to the counter.`);
    case "entered":
      return { who: fact.node, text: `Now ${fact.rung}.`, tone: fact.rung === "ready" ? "well" : "plain" };
    case "faulted":
      return { who: fact.node, text: `${stop(fact.text)}${fact.bad ? " Given up for this run." : ""}`, tone: "bad" };
    case "phase-entered":
      return {
        who: "",
        text: `The lab is ${fact.phase === "powering-down" ? "powering down" : fact.phase}${fact.because ? `: ${fact.because}` : ""}`.replace(
          /\.?$/,
          ".",
        ),
        tone:
          fact.phase === "ready"
            ? "well"
            : fact.phase === "failed"
              ? "bad"
              : fact.phase === "degraded"
                ? "care"
                : "plain",
      };
  }
  // A newer controller may know facts that this page does not.
  fact satisfies never;
  return plain("", `Something this page has no words for: ${(fact as { fact: string }).fact}.`);
}

function deviceSeen(fact: Extract<Fact, { fact: "device-seen" }>): Line {
  const device = `Device ${fact.driver}`;
  switch (fact.device) {
    case "answers":
      return { who: "", text: `${device} answers.`, tone: "well" };
    case "restarted":
      return { who: "", text: stop(`${device} began anew: ${fact.how}`), tone: "care" };
    case "lost":
      return { who: "", text: stop(`${device} is lost: ${fact.why}`), tone: "bad" };
  }
}

function imagesFound({ images, missing }: Extract<Fact, { fact: "images-found" }>): Line {
  const here = Object.keys(images).sort();
  const lacks = Object.keys(missing).sort();
  const found = here.length > 0 ? `Images are here for ${here.join(", ")}.` : "No scenario has its images here.";
  const lost = lacks.length > 0 ? ` Missing for ${lacks.join(", ")}: the start sheet says what.` : "";
  return { who: "", text: found + lost, tone: lacks.length > 0 ? "care" : "plain" };
}

function stop(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

const portsOf = (ports: { driver: string; port: string }[]) =>
  `Switch ${ports.length === 1 ? "port" : "ports"} ${ports.map((port) => `${port.driver}/${port.port}`).join(", ")}`;

type Issued = Extract<Fact, { fact: "issued" }>;

function issued(fact: Issued): Line {
  switch (fact.command) {
    case "power":
      return plain(fact.node, `Power ${fact.order} sent to ${fact.port.driver}/${fact.port.port}.`);
    case "switch":
      return plain("", `${fact.port.driver}/${fact.port.port} is asked to be ${fact.on ? "enabled" : "disabled"}.`);
    case "mint":
      return plain("", `The secrets of run ${count(fact.run)} are to be made.`);
    case "push":
      return plain(fact.node, "Its config is pushed, to the key that was seen to wait.");
    case "apply":
      return plain("", `The manifests of run ${count(fact.run)} are to be applied.`);
    case "reset":
      return plain(fact.node, "Its Talos forgets its cluster and starts again by kexec, to wait for the next start.");
    case "offer":
      return plain(fact.node, "Its config is laid ready for it to fetch in this boot.");
    case "bootstrap":
      return plain(fact.node, "Etcd is to begin on it, and on no other machine.");
  }
}

type TalosSeen = Extract<Fact, { fact: "talos-seen" }>;

function talosSeen(fact: TalosSeen): Line {
  switch (fact.talos) {
    case "silent":
      return plain(fact.node, "Its Talos is silent.");
    case "maintenance":
      return plain(fact.node, "Its Talos waits for a config.");
    case "locked":
      return { who: fact.node, text: "Its Talos has a config of which nothing is known.", tone: "care" };
    case "foreign":
      return { who: fact.node, text: "Its Talos belongs to another cluster.", tone: "bad" };
    case "known": {
      const etcd = fact.etcd ? ", with etcd" : "";
      const unmet = fact.unmet.length > 0 ? `; not well: ${fact.unmet.join(", ")}` : "";
      return plain(fact.node, stop(`Its Talos ${fact.version} is ${fact.stage}${etcd}${unmet}`));
    }
  }
}

type MemberSeen = Extract<Fact, { fact: "member-seen" }>;

function memberSeen(fact: MemberSeen): Line {
  switch (fact.member) {
    case "absent":
      return { who: fact.node, text: "The cluster does not know it.", tone: "care" };
    case "not-ready":
      return { who: fact.node, text: stop(`The cluster gives it no work: ${fact.why}`), tone: "care" };
    case "ready":
      return { who: fact.node, text: "The cluster gives it work.", tone: "well" };
  }
}

/** How many pods are where they should be. */
export function podsOf(counts: PodCounts): string {
  const done = counts.ready + counts.succeeded;
  const all = done + counts.starting + counts.crash_loop + counts.pending + counts.failed;
  return `${count(done)} of ${count(all)} ${all === 1 ? "pod" : "pods"}`;
}

function podsSeen(fact: Extract<Fact, { fact: "pods-seen" }>): Line {
  if (fact.away) return { who: "", text: stop(`The Kubernetes API is not heard: ${fact.away}`), tone: "bad" };
  const short = fact.short[0];
  const missing = short ? `; ${short.workload} has ${count(short.done)} of ${count(short.wanted)}, ${short.why}` : "";
  const wanted = fact.wanted > 0 ? `${count(fact.done)} of ${count(fact.wanted)} pods of the manifests, ` : "";
  return {
    who: "",
    text: stop(`${wanted}${podsOf(fact.counts)} of the cluster are ready or done${missing}`),
    tone: short ? "care" : "plain",
  };
}

type Finished = Extract<Fact, { fact: "finished" }>;

function finished(fact: Finished, known: Known): Line | null {
  const asked = known.orderOf(fact.id);
  const what = asked ? `Power ${asked.order}` : `Command ${count(fact.id)}`;
  const who = asked?.node ?? "";
  switch (fact.outcome) {
    case "done":
      return plain(who, `${what}: the driver says done.`);
    case "failed":
      return { who, text: `${what} failed: ${stop(fact.why)}`, tone: "bad" };
    case "unknown":
      return {
        who,
        text: `${what}: nobody knows whether it was done; the controller was started again meanwhile.`,
        tone: "care",
      };
  }
}

function sighted(fact: Sighted, known: Known): Line | null {
  const who = known.nameOf(fact.mac) ?? fact.mac;
  switch (fact.sight) {
    case "frame":
      return plain(who, "First frame after silence.");
    case "discover":
      return plain(
        who,
        `${asker(fact.client)} asks for an address${fact.secs > 0 ? `, for ${count(fact.secs)} s already` : ""}${fact.version ? ` (version ${fact.version})` : ""}.`,
      );
    case "offer":
      return fact.address === "0.0.0.0"
        ? plain(who, "Was offered a boot file; the address is another server's to give.")
        : plain(who, `Was offered ${fact.address}.`);
    case "request":
      return plain(who, `${asker(fact.client)} takes the address.`);
    case "ack":
      return plain(who, `Has the address ${fact.address}.`);
    case "nak":
      return { who, text: "Asked for an address it cannot have, and was told so.", tone: "care" };
    case "solicit":
      return plain(
        who,
        `${asker(fact.client)} asks for an IPv6 address${fact.elapsed_ms >= 1000 ? `, for ${count(Math.floor(fact.elapsed_ms / 1000))} s already` : ""}.`,
      );
    case "advertise":
      return plain(who, `Was offered ${fact.address}.`);
    case "request6":
      return plain(who, `${asker(fact.client)} takes the IPv6 address.`);
    case "reply":
      return plain(who, fact.address ? `Has the address ${fact.address}.` : "Was told about IPv6 here.");
    case "router-asked":
      return plain(
        who,
        fact.answered
          ? "Asked for an IPv6 router and was answered: none to wait for."
          : "Asked for an IPv6 router; not answered.",
      );
    case "file-asked":
      return plain(
        who,
        `Asks for the ${ROLE[fact.role]} ${fact.name}, ${bytes(fact.size)}, over ${fact.carrier.toUpperCase()}.`,
      );
    case "file-agreed":
      return plain(
        who,
        `${fact.name} goes in blocks of ${count(fact.terms.block)} bytes, ${count(fact.terms.window)} at a time.`,
      );
    case "file-moved":
      return plain(who, `Has taken ${bytes(fact.bytes)} of ${fact.name}.`);
    case "file-served":
      return plain(
        who,
        `Took ${fact.name}, ${bytes(fact.bytes)}${fact.repeats ? `, ${count(fact.repeats)} sent again` : ""}.`,
      );
    case "file-broken":
      return { who, text: `Broke off ${fact.name} after ${bytes(fact.bytes)}: ${stop(fact.why)}`, tone: "bad" };
    case "file-repeated":
      return { who, text: `${bytes(fact.bytes)} of ${fact.name} went out again.`, tone: "care" };
    case "packets-saved":
      return plain(who, `The heads of its last ${count(fact.frames)} packets were saved as ${fact.file}.`);
    case "script-asked":
      return plain(
        who,
        {
          wait: "Was told to wait: nothing is decided yet.",
          boot: "Was told to boot.",
          disk: "Was told to boot its own disk.",
          stranger: "Is not on the board, and was told so.",
        }[fact.answer],
      );
    case "ipxe-told":
      return plain(who, `Runs iPXE ${fact.version}${fact.features.length ? ` with ${fact.features.join(" ")}` : ""}.`);
    case "logged":
      return fact.error
        ? { who, text: `Its iPXE says: ${stop(fact.error)}`, tone: "bad" }
        : plain(who, `Its iPXE says: ${stop(fact.text)}`);
    case "talos-said":
      return plain(
        who,
        `Says that its Talos is ${fact.said.stage}${fact.said.phase ? `, in phase ${fact.said.phase} of ${fact.said.sequence}` : ""}.`,
      );
    case "talos-logged":
      return plain(who, `Its ${fact.service ?? "kernel"} says: ${stop(fact.text)}`);
    case "deferred":
      return { who, text: `The counter was full: ${fact.name} later.`, tone: "care" };
    case "config-asked":
      return typeof fact.bytes === "number"
        ? plain(who, `Fetched its config, ${bytes(fact.bytes)}.`)
        : plain(who, "Asks for its config, which is not laid ready yet.");
    case "done":
      return plain(who, "Its system says that it is done.");
    case "agent":
      return plain(
        who,
        `Its agent reports ${span(fact.report.uptime_ms)} after its kernel started: ${fact.report.inventory.product || "a machine"}, kernel ${fact.report.kernel}.`,
      );
    case "beat":
      return null;
    case "loader-said":
      return fact.error
        ? { who, text: `Its loader refuses: ${fact.error}.`, tone: "bad" }
        : plain(who, `Its loader says: ${fact.text}.`);
    case "wipe-given":
      return plain(who, "Its agent was given the order to wipe a disk.");
    case "agent-clash":
      return {
        who,
        text: `An agent at ${fact.clash.from} showed another key than the one that claimed this boot${fact.clash.claimed_from ? ` from ${fact.clash.claimed_from}` : ""}.`,
        tone: "bad",
      };
    case "guest": {
      const { guest } = fact;
      const end = guest.state === "running" ? null : guest.ended;
      const why = end ? `${end.cause.replaceAll("-", " ")}: ${end.evidence}` : guest.evidence;
      const givenUp = guest.state === "refused" || guest.state === "crash-looping";
      return {
        who,
        text: `${guest.host} has it ${guest.state} (${why}).`,
        tone: givenUp ? "bad" : end && end.cause !== "ordered" ? "care" : "plain",
      };
    }
    case "ailing":
      return { who, text: `${ails(fact)}.`, tone: "care" };
  }
  fact satisfies never;
  return plain(who, `Something this page has no words for: ${(fact as { sight: string }).sight}.`);
}

/** What became worse. */
function ails(what: Ailment): string {
  const on = (cpu: number | null | undefined) => (cpu == null ? "" : `, most on processor ${cpu}`);
  switch (what.ailment) {
    case "frames-dropped":
      return `Its kernel began to drop frames: ${count(what.count)}${on(what.cpu)}`;
    case "rounds-cut":
      return `Its kernel began to leave frames for later: ${count(what.count)} rounds cut short${on(what.cpu)}`;
    case "datagrams-lost":
      return `${count(what.count)} datagrams found their socket full`;
    case "oom-kill":
      return `Its kernel killed ${what.victim ?? "a program"} for want of memory`;
    case "disk-failing":
      return `Disk ${what.disk} expects to fail${what.why ? `: ${what.why}` : ""}`;
    case "link-slow":
      return `${what.nic} came up with ${what.mbps} Mbit/s and can ${what.fastest}`;
    case "hot":
      return `${what.sensor} is at ${what.celsius} °C, and ${what.critical} °C is critical`;
  }
}

function asker(client: ClientKind): string {
  const name = CLIENT[client];
  return name.startsWith("i") ? name : name.charAt(0).toUpperCase() + name.slice(1);
}

/** A notice as a sentence: what is wrong with the segment or the boss. */
export function noticed(notice: Notice): string {
  switch (notice.notice) {
    case "foreign-dhcp":
      return `Another DHCP server answers on this segment: ${notice.server} (${notice.mac}).`;
    case "foreign-choice":
      return `${notice.mac} follows another DHCP server: ${notice.server}.`;
    case "foreign-dhcp6":
      return `Another DHCPv6 server answers on this segment: ${notice.address} (${notice.mac}).`;
    case "foreign-choice6":
      return `${notice.mac} follows another DHCPv6 server: DUID ${notice.duid}.`;
    case "other-controller":
      return notice.same
        ? `Two controllers drive this lab: this one and ${notice.server} (${notice.mac}). Stop one of them.`
        : `Another controller, of the lab ${notice.lab}, serves this segment: ${notice.server} (${notice.mac}).`;
    case "foreign-router":
      return notice.names_dns
        ? `Another router advertises name servers (${notice.address}, ${notice.mac}): old iPXE will fail behind it.`
        : `Another router advertises itself (${notice.address}, ${notice.mac}).`;
    case "flooding":
      return `${notice.mac} asks without end; ${count(notice.count)} of its messages were left unread.`;
    case "loader-missing":
      return `Firmware asks for which there is no loader: put ${notice.names.join(" or ")} into the loader folder.`;
    case "ledger-full":
      return `The ledger cannot be written, no new address is given: ${stop(notice.why)}`;
    case "ledger-well":
      return "The ledger can be written again.";
    case "malformed":
      return `${count(notice.count)} ${notice.protocol} packets could not be read.`;
    case "clock-stepped":
      return `The boss's clock was set by ${notice.seconds} s while it served time.`;
    case "merged":
      return `${count(notice.count)} sightings were merged: the core was too slow to take each.`;
  }
  notice satisfies never;
  return `Something this page has no words for: ${(notice as { notice: string }).notice}.`;
}

/** How loud a notice is. */
export function noticeTone(notice: Notice): "plain" | "care" | "bad" {
  if (notice.notice === "ledger-full") return "bad";
  return notice.notice === "ledger-well" || notice.notice === "merged" ? "plain" : "care";
}

/** One sentence about the lab, for the live region and the title. */
export function labLine(lab: LabView, machines: readonly MachineView[]): string {
  const ready = machines.filter((m) => m.word === "ready").length;
  const phase = lab.phase === "powering-down" ? "powering down" : lab.phase;
  return `${lab.name} is ${phase}, ${count(ready)} of ${count(machines.length)} ready`;
}
