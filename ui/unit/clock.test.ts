// The lab's clock, guessed from samples that can only be late.
import { expect, test } from "vitest";
import { backOff, LabClock } from "../src/clock";

test("between two samples the lab's time goes on at the local pace", () => {
  const clock = new LabClock();
  clock.hear(10_000, 1_700_000_010_000, 500);
  expect(clock.at(500)).toBe(10_000);
  expect(clock.at(1_500)).toBe(11_000);
});

test("a late sample does not turn the clock back", () => {
  const clock = new LabClock();
  clock.hear(10_000, 0, 500);
  clock.hear(12_000, 0, 2_800);
  expect(clock.at(2_800)).toBeGreaterThanOrEqual(12_290);
});

test("a luckier sample moves the clock on", () => {
  const clock = new LabClock();
  clock.hear(10_000, 0, 900);
  clock.hear(12_000, 0, 2_500);
  expect(clock.at(2_500)).toBe(12_000);
});

test("after a step of either clock the new sample counts", () => {
  const clock = new LabClock();
  clock.hear(10_000, 0, 500);
  clock.hear(70_000, 0, 2_500);
  expect(clock.at(2_500)).toBe(70_000);
  clock.hear(5_000, 0, 4_500);
  expect(clock.at(4_500)).toBe(5_000);
});

test("a stale clock stands", () => {
  const clock = new LabClock();
  clock.hear(10_000, 0, 0);
  expect(clock.at(60_000, 5_000)).toBe(15_000);
});

test("wall time follows from lab time", () => {
  const clock = new LabClock();
  expect(clock.wallOf(9_000)).toBeNull();
  clock.hear(10_000, 1_700_000_010_000, 0);
  expect(clock.wallOf(9_000)).toBe(1_700_000_009_000);
});

test("waits between attempts double from a quarter second to five, with jitter", () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((n) => backOff(n, 0))).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000]);
  expect(backOff(0, 1)).toBe(167);
  expect(backOff(9, 0.999)).toBeGreaterThanOrEqual(3_333);
});
