// The board, its zones, its arrows; lanes on their axis; what a screen reader hears.
import { expect, test } from "vitest";
import { grid, neighbour, zoneLabels } from "../src/board";
import { fold, nothing } from "../src/fold";
import { axisEnd, barText, lane, ticks, WAIT_SHOWN } from "../src/lanes";
import { Announcer, PAUSE } from "../src/live";
import { machine, NOW, snapshot, waterfall } from "../tests/demo";

const gapped = [
  machine("a", 1, 1, "off"),
  machine("b", 3, 1, "off"),
  machine("c", 2, 2, "off"),
  machine("d", 3, 2, "off"),
];
const go = (from: string, key: string, far = false) => {
  const start = gapped.find((m) => m.node === from);
  return start && neighbour(grid(gapped, 3, 2), start, key, far).node;
};

test("places without a machine stay empty", () => {
  expect(grid(gapped, 3, 2).map((row) => row.map((m) => m?.node ?? "."))).toEqual([
    ["a", ".", "b"],
    [".", "c", "d"],
  ]);
});

test("arrows pass over empty places, and stop at the end", () => {
  expect(go("a", "ArrowRight")).toBe("b");
  expect(go("b", "ArrowRight")).toBe("c");
  expect(go("d", "ArrowRight")).toBe("d");
  expect(go("c", "ArrowLeft")).toBe("b");
  expect(go("c", "ArrowUp")).toBe("c");
  expect(go("d", "ArrowUp")).toBe("b");
  expect(go("d", "Home")).toBe("c");
  expect(go("d", "Home", true)).toBe("a");
  expect(go("a", "End", true)).toBe("d");
});

test("zones label the columns only if they follow them", () => {
  const zoned = (zones: (number | null)[]) =>
    zoneLabels(
      grid(
        gapped.map((m, i) => ({ ...m, zone: zones[i] ?? null })),
        3,
        2,
      ),
    );
  expect(zoned([1, 2, 2, 2])).toEqual([
    { zone: 1, wide: 1 },
    { zone: 2, wide: 2 },
  ]);
  expect(zoned([1, 2, 1, 3])).toBeNull();
  expect(zoned([null, null, null, null])).toBeNull();
});

test("an open bar grows with the clock, a closed boot does not", () => {
  const open = waterfall(
    "uefi-pxe",
    NOW - 10_000,
    [
      ["firmware", 4_000, 4_000],
      ["dhcp", 6_000, 4_000],
    ],
    true,
  );
  expect(lane(open, NOW + 500).segments.map((s) => [s.from, s.to])).toEqual([
    [0, 4_000],
    [4_000, 10_500],
  ]);
  const over = waterfall("uefi-pxe", NOW - 90_000, [["firmware", 4_000, 4_000]], false);
  expect(lane(over, NOW).end).toBe(4_000);
});

test("an hour of waiting for a scenario does not squeeze the rest", () => {
  const parked = waterfall(
    "uefi-pxe",
    NOW - 3_612_000,
    [
      ["firmware", 4_000, 4_000],
      ["wait", 3_600_000, 0],
      ["image", 8_000, 3_000],
    ],
    true,
  );
  const { segments, end, hidden } = lane(parked, NOW);
  expect(segments.map((s) => s.cut)).toEqual([false, true, false]);
  expect(segments[2]?.from).toBe(4_000 + WAIT_SHOWN);
  expect(end).toBe(4_000 + WAIT_SHOWN + 8_000);
  expect(end + hidden).toBe(3_612_000);
});

test("the axis ends at a round number and carries a few ticks", () => {
  const of = (ms: number) => axisEnd([lane(waterfall("other", NOW, [["firmware", ms, 1]], false), NOW)]);
  expect([0, 9_000, 9_700, 16_000, 200_000].map(of)).toEqual([10_000, 10_000, 15_000, 20_000, 240_000]);
  for (const end of [10_000, 15_000, 30_000, 45_000, 90_000, 600_000, 7_200_000]) {
    expect(ticks(end).length).toBeGreaterThanOrEqual(3);
    expect(ticks(end).length).toBeLessThanOrEqual(8);
  }
});

test("a bar says its stage, time, median, bytes and reason", () => {
  const { segments } = lane(
    waterfall("uefi-pxe", NOW, [["image", 1_100, 1_050, "86 MB/s", 95_000_000, 95_000_000]], false),
    NOW,
  );
  expect(segments[0] && barText(segments[0]).replaceAll("\u00a0", " ")).toBe(
    "image 1.1 s · median 1.0 s · 95 of 95 MB: 86 MB/s",
  );
});

test("a screen reader hears changes together and not too often, and none of them is lost", () => {
  const announcer = new Announcer();
  let picture = fold(nothing(), { event: "snapshot", data: snapshot() });
  const change = (node: string, column: number, row: number, word: "ready" | "bad") => {
    picture = fold(picture, {
      event: "change",
      data: {
        through: 599,
        at: { since_start: NOW, wall: 0 },
        lab: null,
        machines: [machine(node, column, row, word)],
      },
    });
  };
  expect(announcer.hear(picture, 0)).toBe("");
  change("node2", 2, 1, "ready");
  expect(announcer.hear(picture, 10)).toBe("node2 ready.");
  change("node3", 1, 2, "ready");
  expect(announcer.hear(picture, 20)).toBe("");
  change("node5", 1, 3, "bad");
  expect(announcer.hear(picture, 10 + PAUSE)).toBe("node3 ready; node5 bad.");
  expect(announcer.hear(picture, 20 + 2 * PAUSE)).toBe("");
});
