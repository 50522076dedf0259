// A large board as lines of small cells: which machines, under which heading, on which line.
import type { MachineView, NodeWord } from "./types";
import { WORDS } from "./word";

/** Machines a board shows as large cells; of more it shows racks. */
export const RACKS_FROM = 60;
/** Board rows under one heading, where there are no zones. */
const ROWS = 10;

/** What a person looks at first. */
export const TROUBLE: readonly NodeWord[] = ["bad", "degraded"];

/** How many machines have which word, in the order of a boot. */
export interface Count {
  word: NodeWord;
  count: number;
}

/** A line of the list: a heading, or cells beside each other. */
export type Line =
  | { kind: "heading"; key: string; title: string; counts: Count[] }
  | { kind: "cells"; key: string; machines: MachineView[] };

/** Which machines are shown. */
export interface Filter {
  /** A part of the name, the MAC or the IP address; empty for all. */
  text: string;
  /** Only with this word; null for all. */
  word: NodeWord | null;
}

/** Machines by their word, words that nobody has left out. */
export function counts(machines: readonly MachineView[]): Count[] {
  const known = new Map<NodeWord, number>();
  for (const machine of machines) known.set(machine.word, (known.get(machine.word) ?? 0) + 1);
  return WORDS.flatMap((word) => (known.has(word) ? { word, count: known.get(word) ?? 0 } : []));
}

/** The machines that a filter lets through. */
export function matching(machines: readonly MachineView[], filter: Filter): MachineView[] {
  const text = filter.text.trim().toLowerCase();
  return machines.filter(
    (m) =>
      (filter.word === null || m.word === filter.word) &&
      (text === "" || m.node.includes(text) || m.mac.includes(text) || m.ip.includes(text)),
  );
}

/** Under which heading a machine stands: its zone, or some rows of the board. */
function place(machine: MachineView): string {
  if (machine.zone != null) return `zone ${machine.zone}`;
  const first = Math.floor((machine.cell.row - 1) / ROWS) * ROWS + 1;
  return `rows ${first}–${first + ROWS - 1}`;
}

/** The lines, machines in trouble first under a heading of their own; `wide` cells fit beside each other. */
export function lines(machines: readonly MachineView[], wide: number): Line[] {
  const trouble = machines.filter((m) => TROUBLE.includes(m.word));
  const groups = new Map<string, MachineView[]>();
  for (const machine of machines) {
    const title = place(machine);
    const group = groups.get(title);
    if (group) group.push(machine);
    else groups.set(title, [machine]);
  }
  const all: Line[] = [];
  const put = (title: string, group: MachineView[]) => {
    all.push({ kind: "heading", key: title, title, counts: counts(group) });
    for (let at = 0; at < group.length; at += wide) {
      all.push({ kind: "cells", key: `${title} ${at}`, machines: group.slice(at, at + wide) });
    }
  };
  if (trouble.length > 0) put("a person is needed", trouble);
  for (const [title, group] of groups) put(title, group);
  return all;
}

/** Heights of the two kinds of lines, in pixels. */
export const HEADING = 36;
export const CELL = 26;

/** Where each line begins, and where the last one ends. */
export function tops(all: readonly Line[]): number[] {
  const found = [0];
  for (const line of all) found.push((found.at(-1) ?? 0) + (line.kind === "heading" ? HEADING : CELL));
  return found;
}

/** The lines to draw: from the first to before the second, a screen more at both ends. */
export function window(found: readonly number[], top: number, high: number): [number, number] {
  const from = Math.max(0, below(found, top - high) - 1);
  const to = Math.min(found.length - 1, below(found, top + 2 * high) + 1);
  return [from, to];
}

/** How many lines begin before `at`. */
function below(found: readonly number[], at: number): number {
  let low = 0;
  let high = found.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((found[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The machine an arrow key leads to. */
export function step(
  machines: readonly MachineView[],
  from: string,
  key: string,
  wide: number,
): MachineView | undefined {
  const at = machines.findIndex((m) => m.node === from);
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: wide, ArrowUp: -wide }[key];
  if (key === "Home") return machines[0];
  if (key === "End") return machines.at(-1);
  return by === undefined ? undefined : machines[Math.min(machines.length - 1, Math.max(0, at + by))];
}
