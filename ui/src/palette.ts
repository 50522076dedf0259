// The command palette: everything that can be done or opened, found by a few letters.
import type { LabView, MachineView } from "./types";

/** One thing that can be chosen. */
export interface Command {
  /** What is shown and searched. */
  text: string;
  /** The key that does the same, where there is one. */
  key?: string;
  /** What it does. */
  run: () => void;
}

/** What the page can do for the palette. */
export interface Acts {
  open(sheet: "start" | "stop" | "help" | "notices" | "doctor" | "look" | "story"): void;
  openNode(node: string): void;
  startOf(scenario: string): void;
  filter(): void;
  clean(): void;
}

/** Everything that can be chosen now. Nothing here switches a machine: what does is asked again in its own sheet. */
export function commands(lab: LabView | null, machines: readonly MachineView[], acts: Acts): Command[] {
  const general: Command[] = [
    { text: "Help: keys and shapes", key: "?", run: () => acts.open("help") },
    { text: "Look: colours and size", run: () => acts.open("look") },
    { text: "Lock the screen for cleaning", run: () => acts.clean() },
  ];
  if (lab === null) return general;
  return [
    { text: "Start", key: "s", run: () => acts.open("start") },
    { text: "Stop", key: "x", run: () => acts.open("stop") },
    ...lab.scenarios.map((of) => ({ text: `Start ${of.name}`, run: () => acts.startOf(of.name) })),
    ...machines.map((m) => ({ text: `${m.node}, ${m.word}`, run: () => acts.openNode(m.node) })),
    { text: "Story: what happens, for visitors", key: "v", run: () => acts.open("story") },
    { text: "Filter the events", key: "/", run: () => acts.filter() },
    { text: "Notices", run: () => acts.open("notices") },
    { text: "Boss: what is wrong with it", run: () => acts.open("doctor") },
    ...general,
  ];
}

/**
 * Those that have every word of what was typed, best first: a word at the start of the text, then at the start of one of
 * its words, then anywhere. Among equals the order stays.
 */
export function matching(all: readonly Command[], typed: string): Command[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const rank = (command: Command): number => {
    const text = command.text.toLowerCase();
    let worst = 0;
    for (const word of words) {
      const at = text.indexOf(word);
      if (at < 0) return Number.POSITIVE_INFINITY;
      const begins = text.split(/[\s,:-]+/).some((part) => part.startsWith(word));
      worst = Math.max(worst, at === 0 ? 0 : begins ? 1 : 2);
    }
    return worst;
  };
  return all
    .map((command) => ({ command, rank: rank(command) }))
    .filter((found) => found.rank < Number.POSITIVE_INFINITY)
    .sort((one, other) => one.rank - other.rank)
    .map((found) => found.command);
}
