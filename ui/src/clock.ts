// The lab's clock as seen from here: what the server said last, carried on by this machine's own clock.

/** Silence after which the picture is shown as stale, in milliseconds. */
export const STALE_AFTER = 5_000;
/** A sample this far from what was expected means that the lab's clock, or this machine, made a step. */
const STEP = 2_000;
/** How fast an old, luckier sample is forgotten: milliseconds for each millisecond passed. */
const FORGET = 0.001;

/**
 * Keeps the offset between the local clock and the lab's. A sample can only arrive late, never early,
 * so the largest offset seen is the truest; it fades slowly, because two clocks drift.
 */
export class LabClock {
  #offset: number | null = null;
  #sampled = 0;
  #last: { lab: number; wall: number } | null = null;

  /** Takes in what the server said (`lab`, `wall`) at local time `local`. */
  hear(lab: number, wall: number, local: number): void {
    const sample = lab - local;
    const known = this.#offset === null ? null : this.#offset - (local - this.#sampled) * FORGET;
    this.#offset = known === null || Math.abs(sample - known) > STEP ? sample : Math.max(sample, known);
    this.#sampled = local;
    this.#last = { lab, wall };
  }

  /** Forgets everything: another core is another clock. */
  reset(): void {
    this.#offset = null;
    this.#last = null;
  }

  /** The lab's time at local time `local`; held at `until`, if that is earlier, so that a stale clock stands. */
  at(local: number, until = Number.POSITIVE_INFINITY): number {
    return this.#offset === null ? 0 : Math.min(local, until) + this.#offset;
  }

  /** The boss's wall time for a lab time. */
  wallOf(lab: number): number | null {
    return this.#last === null ? null : this.#last.wall + (lab - this.#last.lab);
  }
}

/** Wait before attempt number `attempt` (from 0) to connect: 0.25 s doubled up to 5 s, with up to a third of jitter. */
export function backOff(attempt: number, chance: number): number {
  const base = Math.min(5_000, 250 * 2 ** Math.min(attempt, 10));
  return Math.round(base * (1 - chance / 3));
}
