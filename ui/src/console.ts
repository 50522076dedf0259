// A machine's serial console: what it says, piece by piece, and what is typed into it, one request after the other.
import { ask, request, type Answer } from "./ask";
import type { ConsolePart } from "./types";

/** Longest time the controller waits for something new, and some for the way. */
const PATIENCE = 20_000;
/** Pause before a console is asked for again that was refused or unreachable. */
const AGAIN = 2_000;
/** Bytes that the controller takes at once. */
const MOST = 4096;

/** Who listens to a console. */
export interface Listener {
  /** It said this. */
  said(bytes: Uint8Array): void;
  /** Some of it was lost, or it begins anew. */
  gap(begins: boolean): void;
  /** Why nothing comes; empty once something can. */
  trouble(text: string): void;
}

const path = (node: string) => `/v1/nodes/${encodeURIComponent(node)}/console`;

/** The bytes behind base64. */
export const decoded = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
/** Base64 of these bytes. */
export const encoded = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));

/** Tells all of a console that is kept, and what comes, until it is called off. */
export async function follow(node: string, listener: Listener, signal: AbortSignal): Promise<void> {
  let [from, lost] = [0, -1];
  while (!signal.aborted) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)]);
    const answer = await ask<ConsolePart>(`${path(node)}?from=${from}&wait=true`, { signal: limit });
    if (signal.aborted) return;
    if (!answer.ok) {
      listener.trouble(answer.error.code === "no_console" ? "Nothing came of it yet." : answer.error.message);
      await new Promise((done) => setTimeout(done, AGAIN));
      continue;
    }
    const part = answer.value;
    listener.trouble("");
    if (part.from < from) listener.gap(true);
    else if ((from > 0 && part.from > from) || (lost >= 0 && part.lost !== lost)) listener.gap(false);
    [from, lost] = [part.next, part.lost];
    if (part.bytes !== "") listener.said(decoded(part.bytes));
  }
}

/** Types into a console: what comes while a request is on its way goes with the next one. */
export class Typist {
  #waiting: number[] = [];
  #busy = false;

  constructor(
    readonly node: string,
    /** Told why something was not typed; what waited behind it is dropped. */
    readonly refused: (why: string) => void,
    readonly send: (node: string, bytes: Uint8Array) => Promise<Answer<unknown>> = typeInto,
  ) {}

  /** Types this. */
  type(text: string): void {
    this.#waiting.push(...new TextEncoder().encode(text));
    if (!this.#busy) void this.#go();
  }

  async #go(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const answer = await this.send(this.node, Uint8Array.from(this.#waiting.splice(0, MOST)));
      if (!answer.ok) {
        this.#waiting = [];
        this.refused(`${answer.error.message} ${answer.error.advice}`.trim());
      }
    }
    this.#busy = false;
  }
}

const typeInto = (node: string, bytes: Uint8Array) => request<unknown>(path(node), { bytes: encoded(bytes) });

/** Keys that a terminal of the kind VT220 has (ECMA-48; the names are those of UI Events). */
const KEYS: Readonly<Record<string, string>> = {
  Enter: "\r",
  Backspace: "\x7f",
  Tab: "\t",
  Escape: "\x1b",
  ArrowUp: "\x1b[A",
  ArrowDown: "\x1b[B",
  ArrowRight: "\x1b[C",
  ArrowLeft: "\x1b[D",
  Home: "\x1b[H",
  End: "\x1b[F",
  Insert: "\x1b[2~",
  Delete: "\x1b[3~",
  PageUp: "\x1b[5~",
  PageDown: "\x1b[6~",
  F1: "\x1bOP",
  F2: "\x1bOQ",
  F3: "\x1bOR",
  F4: "\x1bOS",
  F5: "\x1b[15~",
  F6: "\x1b[17~",
  F7: "\x1b[18~",
  F8: "\x1b[19~",
  F9: "\x1b[20~",
  F10: "\x1b[21~",
  F11: "\x1b[23~",
  F12: "\x1b[24~",
};

/** A key as it was pressed. */
export interface Press {
  key: string;
  ctrlKey: boolean;
  altKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
}

/** The key that gives the keyboard back to the page. */
export const leaves = (press: Press) => press.ctrlKey && !press.altKey && press.key === "]";

/** What a key sends to a serial port; nothing where the browser shall make text of it, or keep it. */
export function sequence(press: Press): string {
  if (press.metaKey) return "";
  if (press.key === "Tab" && press.shiftKey) return "\x1b[Z";
  const known = KEYS[press.key];
  if (known !== undefined) return (press.altKey ? "\x1b" : "") + known;
  if ([...press.key].length !== 1) return "";
  // Copy and paste stay the browser's.
  if (press.ctrlKey && press.shiftKey) return "";
  if (press.ctrlKey && !press.altKey) {
    const code = press.key === " " || press.key === "@" ? 0 : press.key.toUpperCase().charCodeAt(0) - 64;
    return code >= 0 && code < 32 ? String.fromCharCode(code) : "";
  }
  // AltGr makes letters on many keyboards, and tells Ctrl with it.
  return press.altKey && !press.ctrlKey ? `\x1b${press.key}` : "";
}
