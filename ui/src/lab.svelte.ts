// The one live state of the page: the picture, the line to the controller, and the time.
import { events as askEvents } from "./ask";
import { LabClock, STALE_AFTER } from "./clock";
import { fold, LINES_KEPT, nothing, type Picture, withEvents, withPage } from "./fold";
import { Announcer } from "./live";
import { type LineState, spawnStream } from "./stream";
import type { LabEvent, StreamItem } from "./types";

/** Pictures are drawn at most this often, in milliseconds. */
const DRAW_EVERY = 40;
/** Steps of running clocks, in milliseconds. */
const TICK = 100;
/** Steps where less motion is wanted. */
const SLOW_TICK = 1_000;

/** The live lab. One instance per page. */
export class LiveLab {
  /** What is known. */
  picture = $state.raw<Picture>(nothing());
  /** The line to the controller. */
  line = $state<LineState>("connecting");
  /** The lab's time now, in milliseconds; stands still while stale. */
  now = $state(0);
  /** Milliseconds since anything was heard. */
  silence = $state(0);
  /** True when what is shown may be wrong by now. */
  stale = $derived(this.silence > STALE_AFTER);
  /** What a screen reader is told. */
  said = $state("");

  #clock = new LabClock();
  #announcer = new Announcer();
  #latest: Picture = this.picture;
  /** Events that wait for earlier ones; null when nothing is asked for. */
  #held: LabEvent[] | null = null;
  #heard = performance.now();
  #drawing: ReturnType<typeof setTimeout> | undefined;

  /** Wall time of the boss for a lab time; null before anything was heard. */
  wallOf(lab: number): number | null {
    return this.#clock.wallOf(lab);
  }

  /** Connects and runs the clocks; gives back what ends both. */
  run(): () => void {
    const stream = spawnStream({ item: (item) => this.#take(item), line: (state) => (this.line = state) });
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    let timer: ReturnType<typeof setTimeout>;
    const tick = () => {
      this.#tick();
      timer = setTimeout(tick, document.hidden || calm.matches ? SLOW_TICK : TICK);
    };
    tick();
    const wake = () => {
      if (!document.hidden && this.stale) stream.again();
    };
    document.addEventListener("visibilitychange", wake);
    return () => {
      stream.stop();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
    };
  }

  #take(item: StreamItem): void {
    const local = performance.now();
    const before = this.#latest;
    this.#heard = local;
    const at = item.event === "beat" ? item.data : item.event === "start-over" ? null : item.data.at;
    if (item.event === "snapshot" && item.data.epoch !== before.epoch) this.#clock.reset();
    if (at && item.event !== "event") this.#clock.hear(at.since_start, at.wall, local);
    if (item.event === "event" && this.#held !== null) this.#held.push(item.data);
    else this.#latest = fold(before, item);
    if (item.event === "snapshot" && this.#held === null && (this.#latest.lastSeq === null || this.#latest.lost)) {
      void this.#fill(this.#latest.lastSeq ?? 0);
    }
    this.#drawing ??= setTimeout(() => this.#draw(), DRAW_EVERY);
  }

  /** Asks for the events before a snapshot; those that come meanwhile are held back, so that order is kept. */
  async #fill(known: number): Promise<void> {
    this.#held = [];
    const { epoch, through } = this.#latest;
    const answer = await askEvents(Math.max(known, through - LINES_KEPT), LINES_KEPT);
    const held = this.#held;
    this.#held = null;
    if (answer.ok) this.#latest = withPage(this.#latest, answer.value);
    if (this.#latest.epoch === epoch) this.#latest = { ...withEvents(this.#latest, held), lost: false };
    this.#drawing ??= setTimeout(() => this.#draw(), DRAW_EVERY);
  }

  #draw(): void {
    this.#drawing = undefined;
    this.picture = this.#latest;
    this.#tick();
  }

  #tick(): void {
    const local = performance.now();
    this.silence = local - this.#heard;
    this.now = this.#clock.at(local, this.#heard + STALE_AFTER);
    const said = this.#announcer.hear(this.picture, local);
    if (said !== "") this.said = said;
  }
}
