// What a screen reader is told: changes that matter, gathered, at most one announcement every three seconds.
import { phaseText } from "./word";
import type { Picture } from "./fold";
import type { NodeWord } from "./types";

/** Least time between two announcements, in milliseconds. */
export const PAUSE = 3_000;
/** Machines told by name; of more only how many. */
const NAMED = 8;
const LOUD: readonly NodeWord[] = ["ready", "bad", "degraded", "off", "waiting"];

/** Gathers what changed between pictures and gives it out sparingly. */
export class Announcer {
  #phase = "";
  #words = new Map<string, NodeWord>();
  #told = Number.NEGATIVE_INFINITY;
  #pending = new Set<string>();
  #first = true;

  /** What to say after this picture at local time `local`; empty for nothing. */
  hear(picture: Picture, local: number): string {
    if (picture.lab === null) return "";
    for (const m of picture.machines) {
      if (!this.#first && this.#words.get(m.node) !== m.word && LOUD.includes(m.word)) this.#pending.add(m.node);
      this.#words.set(m.node, m.word);
    }
    const phase = picture.lab.phase;
    const phaseChanged = !this.#first && phase !== this.#phase;
    if (phaseChanged) this.#pending.add("");
    this.#phase = phase;
    this.#first = false;
    if (this.#pending.size === 0 || local - this.#told < PAUSE) return "";
    const said = this.#sentence(picture);
    this.#pending.clear();
    this.#told = local;
    return said;
  }

  #sentence(picture: Picture): string {
    const groups = new Map<NodeWord, string[]>();
    for (const m of picture.machines) {
      if (this.#pending.has(m.node)) groups.set(m.word, [...(groups.get(m.word) ?? []), m.node]);
    }
    const named = (nodes: string[]) => (nodes.length > NAMED ? `${nodes.length} machines` : nodes.join(", "));
    const parts = [...groups].map(([word, nodes]) => `${named(nodes)} ${word}`);
    if (this.#pending.has("") && picture.lab) parts.push(`the lab is ${phaseText(picture.lab.phase)}`);
    return `${parts.join("; ")}.`;
  }
}
