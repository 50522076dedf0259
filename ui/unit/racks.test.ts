// A large board: what stands where, what is drawn, where keys lead.
import { describe, expect, test } from "vitest";
import { counts, lines, matching, step, tops, window } from "../src/racks";
import type { MachineView, NodeWord } from "../src/types";

function machine(n: number, word: NodeWord = "ready", zone: number | null = null): MachineView {
  return {
    node: `n${n}`,
    cell: { column: (n % 120) + 1, row: Math.floor(n / 120) + 1 },
    zone,
    mac: `02:46:00:00:${(n >> 8).toString(16).padStart(2, "0")}:${(n & 255).toString(16).padStart(2, "0")}`,
    ip: `10.77.${1 + (n >> 8)}.${n & 255}`,
    word,
  } as MachineView;
}

const fleet = Array.from({ length: 13_500 }, (_, n) => machine(n, n === 7_000 ? "bad" : "ready"));

describe("racks", () => {
  test("those in trouble come first, and stay where they stand as well", () => {
    const all = lines(fleet, 40);
    expect(all[0]).toMatchObject({ kind: "heading", title: "a person is needed" });
    expect(all[1]).toMatchObject({ kind: "cells", machines: [{ node: "n7000" }] });
    expect(all[2]).toMatchObject({ kind: "heading", title: "rows 1–10" });
    const drawn = all.flatMap((line) => (line.kind === "cells" ? line.machines : []));
    expect(drawn.length).toBe(13_501);
  });

  test("zones make the headings where there are some", () => {
    const all = lines([machine(0, "ready", 2), machine(1, "bad", 1), machine(2, "off", 2)], 40);
    const headings = all.flatMap((line) => (line.kind === "heading" ? line.title : []));
    expect(headings).toEqual(["a person is needed", "zone 2", "zone 1"]);
  });

  test("only what is in sight is drawn, a screen more at both ends", () => {
    const found = tops(lines(fleet, 40));
    const [from, to] = window(found, 5_000, 600);
    expect(found[from] ?? 0).toBeLessThanOrEqual(4_400);
    expect(found[to] ?? 0).toBeGreaterThanOrEqual(6_200);
    expect(to - from).toBeLessThan(80);
    expect(window(found, 0, 600)[0]).toBe(0);
  });

  test("a search finds names and addresses, a word its machines", () => {
    const names = (text: string, word: NodeWord | null = null) => matching(fleet, { text, word }).map((m) => m.node);
    expect(names("n13499")).toEqual(["n13499"]);
    expect(names("10.77.2.0")).toEqual(["n256"]);
    expect(names("02:46:00:00:00:05")).toEqual(["n5"]);
    expect(names("", "bad")).toEqual(["n7000"]);
    expect(counts(fleet)).toEqual([
      { word: "ready", count: 13_499 },
      { word: "bad", count: 1 },
    ]);
  });

  test("keys walk along the cells and stop at the ends", () => {
    expect(step(fleet, "n5", "ArrowRight", 40)?.node).toBe("n6");
    expect(step(fleet, "n5", "ArrowDown", 40)?.node).toBe("n45");
    expect(step(fleet, "n5", "ArrowUp", 40)?.node).toBe("n0");
    expect(step(fleet, "n5", "End", 40)?.node).toBe("n13499");
    expect(step(fleet, "n5", "x", 40)).toBeUndefined();
  });
});
