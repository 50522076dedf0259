// The waterfall as geometry: bars on one axis of seconds since each machine's own boot began.
//
// Each boot starts at the left edge, so that equal stages stand under each other and a slow one is seen
// at once. A machine may wait hours for a scenario; such a wait is cut short on the axis and says so.
import type { Bar, Stage, Waterfall } from "./types";
import { bytesOf, span } from "./units";

/** Longest wait for a decision that is drawn to scale, in milliseconds; longer ones are cut to this. */
export const WAIT_SHOWN = 5_000;

/** One bar, placed. `from` and `to` are milliseconds on the axis. */
export interface Segment {
  stage: Stage;
  from: number;
  to: number;
  /** Real length in milliseconds. */
  took: number;
  open: boolean;
  /** True where the bar is shorter than the time it stands for. */
  cut: boolean;
  bar: Bar;
}

/** A machine's lane. */
export interface Lane {
  segments: Segment[];
  /** Right end on the axis. */
  end: number;
  /** Median of earlier boots on the axis, if known. */
  ghost: number | null;
  /** Milliseconds taken out of the axis. */
  hidden: number;
}

/** How long a boot took, or has taken at lab time `now`. */
export function totalOf(boot: Waterfall, now: number): number {
  return boot.open ? Math.max(boot.total_ms, now - boot.began.since_start) : boot.total_ms;
}

/** Places the bars of a boot as they are at lab time `now`: an open bar grows with the clock. */
export function lane(boot: Waterfall, now: number): Lane {
  const passed = now - boot.began.since_start;
  let hidden = 0;
  const segments = boot.bars.map((bar) => {
    const took = bar.open ? Math.max(bar.took_ms, passed - bar.from_ms) : bar.took_ms;
    const from = bar.from_ms - hidden;
    const cut = bar.stage === "wait" && took > WAIT_SHOWN;
    if (cut) hidden += took - WAIT_SHOWN;
    return { stage: bar.stage, from, to: from + (cut ? WAIT_SHOWN : took), took, open: bar.open, cut, bar };
  });
  const last = segments.at(-1);
  const end = Math.max(last ? last.to : 0, totalOf(boot, now) - hidden);
  return { segments, end, ghost: boot.median_ms ?? null, hidden };
}

const ENDS = [10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 3600, 7200];

/** The axis's end in milliseconds: a round number that leaves room, so that bars are not rescaled all the time. */
export function axisEnd(lanes: readonly Lane[]): number {
  const longest = Math.max(0, ...lanes.map((l) => Math.max(l.end, l.ghost ?? 0)));
  const end = ENDS.find((seconds) => seconds * 1000 >= longest * 1.04);
  return (end ?? Math.ceil((longest * 1.04) / 3_600_000) * 3600) * 1000;
}

/** Where the axis carries numbers: four to six round steps. */
export function ticks(end: number): number[] {
  const step =
    [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600].find((s) => end / (s * 1000) <= 6) ?? 7200;
  return Array.from({ length: Math.floor(end / (step * 1000)) + 1 }, (_, i) => i * step * 1000);
}

/** What a bar says when it is asked: stage, time, median, bytes and the reason, if there is one. */
export function barText(segment: Segment): string {
  const { bar } = segment;
  const parts = [`${bar.stage} ${span(segment.took)}${segment.open ? " so far" : ""}`];
  if (bar.median_ms != null) parts.push(`median ${span(bar.median_ms)}`);
  if (bar.size > 0) parts.push(bytesOf(bar.bytes, bar.size));
  return `${parts.join(" · ")}${bar.note ? `: ${bar.note}` : ""}`;
}
