// The picture is what the stream said, in order, with gaps shown and nothing twice.
import { expect, test } from "vitest";
import { fold, LINES_KEPT, nothing, type Picture, withPage } from "../src/fold";
import { machine, moment, NOW, snapshot } from "../tests/demo";
import type { LabEvent, StreamItem } from "../src/types";

const shot = (): StreamItem => ({ event: "snapshot", data: snapshot() });
const entered = (seq: number, node = "node1"): LabEvent => ({
  seq,
  at: moment(NOW),
  fact: { fact: "entered", node, rung: "ready" },
});
const event = (data: LabEvent): StreamItem => ({ event: "event", data });
const after = (...items: StreamItem[]): Picture => items.reduce(fold, nothing());
const texts = (picture: Picture) => picture.rows.map((r) => r.line.text.replaceAll("\u00a0", " "));

test("a snapshot is the whole picture, in the board's order whatever the server's", () => {
  const data = snapshot();
  data.machines.reverse();
  expect(fold(nothing(), { event: "snapshot", data }).machines.map((m) => m.node)).toEqual([
    "node1",
    "node2",
    "node3",
    "node4",
    "node5",
    "node6",
  ]);
});

test("a change replaces the machines it names and nothing else", () => {
  const before = after(shot());
  const picture = fold(before, {
    event: "change",
    data: { through: 541, at: moment(NOW), lab: null, machines: [machine("node6", 2, 3, "bad")] },
  });
  expect(picture.machines[5]?.word).toBe("bad");
  expect(picture.machines.slice(0, 5)).toEqual(before.machines.slice(0, 5));
  expect(picture.lab).toBe(before.lab);
  expect(before.machines[5]?.word).toBe("dhcp");
});

test("a change that is older than the picture is passed over", () => {
  const picture = after(shot(), {
    event: "change",
    data: { through: 3, at: moment(NOW), lab: null, machines: [machine("node6", 2, 3, "bad")] },
  });
  expect(picture.machines[5]?.word).toBe("dhcp");
});

test("an event that comes twice is shown once", () => {
  expect(texts(after(shot(), event(entered(541)), event(entered(541)), event(entered(542))))).toHaveLength(2);
});

test("missing events leave a mark in their place", () => {
  expect(texts(after(shot(), event(entered(541)), event(entered(544)), event(entered(546))))).toEqual([
    "Now ready.",
    "2 events are missing here (542 to 543).",
    "Now ready.",
    "1 event is missing here (545).",
    "Now ready.",
  ]);
});

test("a page of earlier events closes a gap that start-over announced", () => {
  const lost = after(shot(), event(entered(541)), { event: "start-over" });
  expect(lost.lost).toBe(true);
  const picture = withPage(lost, { epoch: "8f3a", oldest: 1, events: [entered(542), entered(543)] });
  expect(picture.lost).toBe(false);
  expect(texts(picture)).toEqual(["Now ready.", "Now ready.", "Now ready."]);
});

test("a page of another core is not mixed in", () => {
  expect(withPage(after(shot()), { epoch: "zzzz", oldest: 1, events: [entered(1)] }).rows).toEqual([]);
});

test("another epoch starts its numbers anew and says so", () => {
  const other = snapshot();
  other.epoch = "next";
  other.through = 2;
  const picture = after(shot(), event(entered(541)), { event: "snapshot", data: other }, event(entered(3)));
  expect(texts(picture)).toEqual([
    "Now ready.",
    "The controller is another one than before; what came in between is not known here.",
    "Now ready.",
  ]);
  expect(picture.rows[1]?.gap).toBe(true);
});

test("progress of one file is one line that moves on", () => {
  const moved = (seq: number, bytes: number): LabEvent => ({
    seq,
    at: moment(NOW),
    fact: { fact: "sighted", mac: "52:54:00:4c:541:05", sight: "file-moved", name: "node.efi", bytes },
  });
  expect(
    texts(after(shot(), event(moved(541, 1e6)), event(entered(542)), event(moved(543, 9e6)), event(moved(544, 2e7)))),
  ).toEqual(["Now ready.", "Has taken 20 MB of node.efi."]);
});

test("an answer is told with its question", () => {
  const issued: LabEvent = {
    seq: 541,
    at: moment(NOW),
    fact: {
      fact: "issued",
      id: 9,
      command: "power",
      node: "node4",
      port: { driver: "virtual", port: "node4" },
      order: "off",
    },
  };
  const failed: LabEvent = {
    seq: 542,
    at: moment(NOW),
    fact: { fact: "finished", id: 9, outcome: "failed", code: "busy", why: "the port is held" },
  };
  const last = after(shot(), event(issued), event(failed)).rows.at(-1)?.line;
  expect(last).toEqual({ who: "node4", text: "Power off failed: the port is held.", tone: "bad" });
});

test("the list keeps its newest lines only", () => {
  let picture = after(shot());
  for (let seq = 541; seq < 541 + LINES_KEPT + 20; seq += 1) picture = fold(picture, event(entered(seq)));
  expect(picture.rows).toHaveLength(LINES_KEPT);
  expect(new Set(picture.rows.map((r) => r.key)).size).toBe(LINES_KEPT);
});
