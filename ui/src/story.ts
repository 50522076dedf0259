// What happens, told for people who have never seen such a lab: by facts alone, a headline, who does what, and why.
import { totalOf } from "./lanes";
import type { Bar, LabView, MachineView, Phase, Stage } from "./types";
import { about, bytesOf, many, span } from "./units";

/** What is told now. */
export interface Tale {
  headline: string;
  /** One sentence for each machine that does something, the one that began last first. */
  acts: { node: string; text: string }[];
  /** What that is, and why it is done. */
  why: string;
}

/** Acts that are told at once; more are not read. */
const TOLD = 4;

const DOES: Record<Stage, string> = {
  power: "is switched on",
  firmware: "checks its memory and looks for something to start",
  dhcp: "asks the network for an address",
  loader: "takes a small program that can fetch the rest",
  ipxe: "asks the boss what it shall become",
  wait: "waits until somebody chooses a scenario",
  image: "takes its operating system over the cable",
  kernel: "starts the kernel of its operating system",
  agent: "tells the boss that it is there",
  maintenance: "runs Talos Linux, and waits for its configuration",
  installing: "writes its system onto its disk",
  joining: "joins the cluster",
};

const WHY: Record<Stage, string> = {
  power:
    "These machines have no remote control. A relay presses their power button, and the boss believes in it only when it sees the machine wake.",
  firmware:
    "Before an operating system runs, the machine's firmware tests the hardware. It takes the longest of all, and nobody outside can shorten it.",
  dhcp: "The machine knows nothing yet, not even its own address. It calls into the network, and the boss answers with an address and the name of a file.",
  loader:
    "Firmware can fetch files, but slowly. So it first takes a program of some hundred kilobytes that does it better.",
  ipxe: "The same machine can become many things. What it becomes is decided now, on the boss, and not on its disk.",
  wait: "A machine that was switched on before anybody chose is asked to wait politely, and goes on at once when the choice is made.",
  image:
    "Nothing is installed on these machines: at each start their system comes over the network, and is checked byte by byte.",
  kernel: "The kernel finds the hardware, unpacks a small file system in memory, and starts the first program.",
  agent:
    "Only what is seen counts: a machine is ready when a program inside it has said so, not when it was told to be.",
  maintenance:
    "Talos Linux has no shell and no password. It waits until its configuration is handed to it over an encrypted line.",
  installing: "The system is written to the disk, so that the machine keeps its part of the cluster's memory.",
  joining: "The machines agree who belongs to the cluster and who leads it. From then on work can run on any of them.",
};

const AT_REST: Record<Phase, string> = {
  idle: "Choose a scenario, and the machines on the board become what it says: a cluster, virtual machines, or a system of your own.",
  "powering-down":
    "Before a new start every machine is seen to be off. Seen, not believed: a relay that clicked proves nothing.",
  booting: "The boss waits for the machines, and knows of each what it waits for and for how long.",
  ready:
    "Everything is as it was wanted. Pull a cable or press a power button: the lab sees it, says so, and repairs what it can.",
  degraded:
    "Something that was ready is silent. The lab repairs it by the same steps as at a start, for that machine alone.",
  failed:
    "It did not come up within its limits. What was waited for, and what was seen last, is on the sheet of each machine.",
  stopping: "The machines are asked to end well first, and switched off only when they do not.",
};

const open = (machine: MachineView): Bar | undefined =>
  machine.boot?.open ? machine.boot.bars.findLast((bar) => bar.open) : undefined;

/** The tale of this picture at lab time `now`. */
export function tell(lab: LabView, machines: readonly MachineView[], now: number): Tale {
  const busy = machines
    .flatMap((machine) => {
      const bar = open(machine);
      return bar && machine.boot ? [{ machine, bar, began: machine.boot.began.since_start + bar.from_ms }] : [];
    })
    .sort((one, other) => other.began - one.began);
  const acts = busy.slice(0, TOLD).map(({ machine, bar, began }) => ({
    node: machine.node,
    text: act(machine, bar, now - began, now),
  }));
  const stage = most(busy.map(({ bar }) => bar.stage));
  return { headline: headline(lab, machines, now), acts, why: stage ? WHY[stage] : AT_REST[lab.phase] };
}

function act(machine: MachineView, bar: Bar, passed: number, now: number): string {
  const parts = [`${DOES[bar.stage]}, for ${span(passed)}`];
  if (bar.size > 0) parts.push(bytesOf(bar.bytes, bar.size));
  if (bar.median_ms != null) parts.push(`usually ${about(bar.median_ms)}`);
  else if (machine.boot?.median_ms != null)
    parts.push(`${about(totalOf(machine.boot, now))} of usually ${about(machine.boot.median_ms)} in all`);
  return `${parts.join("; ")}.`;
}

/** The stage that most machines are in; among equals the one that was begun last. */
function most(stages: readonly Stage[]): Stage | undefined {
  const times = (stage: Stage) => stages.filter((other) => other === stage).length;
  return stages.reduce<Stage | undefined>(
    (best, stage) => (best === undefined || times(stage) > times(best) ? stage : best),
    undefined,
  );
}

function headline(lab: LabView, machines: readonly MachineView[], now: number): string {
  const ready = machines.filter((m) => m.word === "ready").length;
  const of = `${ready} of ${many(machines.length, "machine", "machines")}`;
  const since = about(now - lab.phase_since.since_start);
  switch (lab.phase) {
    case "idle":
      return "The lab is off.";
    case "powering-down":
      return "First, everything goes off.";
    case "booting":
      return ready === 0 ? "From cold metal." : `${of} are ready.`;
    case "ready":
      return `Ready for ${since}.`;
    case "degraded":
      return `Something is missing: ${of} are ready.`;
    case "failed":
      return "This start failed.";
    case "stopping":
      return "The lab goes off.";
  }
}
