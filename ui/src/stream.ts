// The stream of server-sent events, read with fetch: unlike EventSource it shows a refusal's status and
// lets us say ourselves where we stopped (`Last-Event-ID`).
//
//   waiting → connecting → open → (broken | silent) → waiting …      401 → refused, until asked again
import { backOff } from "./clock";
import type { StreamItem } from "./types";

/** One frame of the stream: WHATWG HTML, section 9.2.6 "Interpreting an event stream". */
export interface Frame {
  event: string;
  data: string;
  id: string | null;
}

/** Cuts a stream of text into frames, whatever the pieces it arrives in. */
export class FrameReader {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id: string | null = null;

  /** Takes a piece in and gives the frames that are complete with it. */
  push(text: string): Frame[] {
    const frames: Frame[] = [];
    let rest = this.#rest + text;
    for (;;) {
      const cut = rest.search(/\r\n|\n|\r(?!$)/);
      if (cut < 0) break;
      const line = rest.slice(0, cut);
      rest = rest.slice(cut + (rest.startsWith("\r\n", cut) ? 2 : 1));
      if (line === "") {
        if (this.#event !== "" || this.#data.length > 0) {
          frames.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
        }
        this.#event = "";
        this.#data = [];
        this.#id = null;
      } else this.#field(line);
    }
    this.#rest = rest;
    return frames;
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#id = value;
  }
}

/** The item in a frame; null for a frame this version does not know. */
export function itemOf(frame: Frame): StreamItem | null {
  switch (frame.event) {
    case "snapshot":
    case "change":
    case "event":
    case "beat":
      return { event: frame.event, data: JSON.parse(frame.data) } as StreamItem;
    case "start-over":
      return { event: "start-over" };
    default:
      return null;
  }
}

/** Where the line to the controller stands. */
export type LineState = "connecting" | "open" | "broken" | "refused";

/** Who listens to the stream. */
export interface Listener {
  item(item: StreamItem): void;
  line(state: LineState): void;
}

/** Silence after which a connection is given up: two beats missed and some more, in milliseconds. */
const SILENCE = 7_000;

/** Reads the stream until `stop` is called, connecting again whenever it breaks. */
export function spawnStream(listener: Listener): { stop(): void; again(): void } {
  let lastId: string | null = null;
  let attempt = 0;
  let stopped = false;
  let current: AbortController | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const connect = async () => {
    clearTimeout(timer);
    const mine = new AbortController();
    current = mine;
    listener.line("connecting");
    let refused = false;
    let silence = setTimeout(() => mine.abort(), SILENCE);
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (lastId !== null) headers["Last-Event-ID"] = lastId;
      const answer = await fetch("/v1/stream", { headers, signal: mine.signal, cache: "no-store" });
      refused = answer.status === 401;
      if (!answer.ok || answer.body === null) throw new Error(`status ${answer.status}`);
      listener.line("open");
      const frames = new FrameReader();
      const text = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await text.read();
        if (done || stopped) break;
        clearTimeout(silence);
        silence = setTimeout(() => mine.abort(), SILENCE);
        for (const frame of frames.push(value)) {
          if (frame.id !== null) lastId = frame.id;
          const item = itemOf(frame);
          if (item === null) continue;
          attempt = 0;
          listener.item(item);
        }
      }
    } catch {
      // A broken line needs no words of its own: the page says how old its picture is.
    }
    clearTimeout(silence);
    if (stopped || current !== mine) return;
    listener.line(refused ? "refused" : "broken");
    timer = setTimeout(connect, refused ? 5_000 : backOff(attempt, Math.random()));
    attempt += 1;
  };

  const again = () => {
    if (stopped) return;
    attempt = 0;
    current?.abort();
    void connect();
  };
  void connect();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      current?.abort();
    },
    again,
  };
}
