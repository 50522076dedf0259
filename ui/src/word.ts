// Fifteen words for a machine's state, each with its own shape and one of four hues or plain ink.
import type { NodeWord, Phase } from "./types";

/** What a colour means. `plain` is ink on paper. */
export type Hue = "plain" | "busy" | "well" | "care" | "bad";

/** The hue of each word. */
export const HUE: Record<NodeWord, Hue> = {
  off: "plain",
  parked: "plain",
  unknown: "plain",
  starting: "busy",
  dhcp: "busy",
  loader: "busy",
  image: "busy",
  kernel: "busy",
  maintenance: "busy",
  joining: "busy",
  stopping: "busy",
  ready: "well",
  waiting: "care",
  degraded: "care",
  bad: "bad",
};

/** What each word means, for the legend. */
export const MEANING: Record<NodeWord, string> = {
  off: "seen off, and may be",
  starting: "being switched on, or on and silent",
  dhcp: "asking for an address",
  waiting: "its loader waits for a decision",
  parked: "its loader or its live image waits for the next start",
  loader: "taking its loader",
  image: "taking its image",
  kernel: "its kernel starts",
  maintenance: "its Talos waits for a config",
  joining: "it has its config and joins the cluster",
  ready: "as wanted",
  degraded: "was ready; it is silent, or gets no work",
  stopping: "being switched off",
  bad: "given up for this run",
  unknown: "nothing tells",
};

/** All words, in the order of a boot. */
export const WORDS = Object.keys(MEANING) as NodeWord[];

/** The hue of a phase of the lab. */
export const PHASE_HUE: Record<Phase, Hue> = {
  idle: "plain",
  "powering-down": "busy",
  booting: "busy",
  ready: "well",
  degraded: "care",
  failed: "bad",
  stopping: "busy",
};

/** The word whose shape a phase borrows. */
export const PHASE_SHAPE: Record<Phase, NodeWord> = {
  idle: "off",
  "powering-down": "stopping",
  booting: "loader",
  ready: "ready",
  degraded: "degraded",
  failed: "bad",
  stopping: "stopping",
};

/** A phase in words. */
export function phaseText(phase: Phase): string {
  return phase === "powering-down" ? "powering down" : phase;
}
