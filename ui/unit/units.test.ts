// Quantities read as a person would say them.
import { describe, expect, test } from "vitest";
import * as units from "../src/units";

/** The units keep number and unit on one line; here they are compared as they look. */
const plain =
  <A extends unknown[]>(write: (...of: A) => string) =>
  (...of: A) =>
    write(...of).replaceAll("\u00a0", " ");
const [about, against, brief, bytesOf, memory, span] = [
  plain(units.about),
  plain(units.against),
  plain(units.brief),
  plain(units.bytesOf),
  plain(units.memory),
  plain(units.span),
];
const bytes = (n: number) => units.bytes(n).replaceAll("\u00a0", " ");
const { clock, count, many } = units;

describe("time", () => {
  test("a span reads like on the command line", () => {
    expect(span(9_140)).toBe("9.1 s");
    expect(span(119_990)).toBe("119.9 s");
    expect(span(171_000)).toBe("2 min 51 s");
    expect(span(7_500_000)).toBe("2 h 5 min");
    expect(span(-5)).toBe("0.0 s");
  });
  test("a span is cut, not rounded: a clock never shows time that has not passed", () =>
    expect(span(9_199)).toBe("9.1 s"));
  test("in a cell a span is brief", () => {
    expect(brief(9_140)).toBe("9.1 s");
    expect(brief(171_000)).toBe("2:51 min");
    expect(brief(7_500_000)).toBe("2:05 h");
  });
  test("what is roughly known has no tenths", () => {
    expect(about(31_200)).toBe("31 s");
    expect(about(171_000)).toBe("2 min 51 s");
  });
  test("a wait is told against its limit, with a unit", () => {
    expect(against(12_900, 90_000)).toBe("12 of 90 s");
    expect(against(72_000, 900_000)).toBe("1:12 of 15:00 min");
    expect(against(3_700_000, 9_000_000)).toBe("1:01 of 2:30 h");
    expect(against(-400, 90_000)).toBe("0 of 90 s");
  });
  test("a clock has hours, minutes and seconds", () => {
    expect(clock(2_530_000)).toBe("00:42:10");
    expect(clock(360_000_000)).toBe("100:00:00");
  });
});

describe("amounts", () => {
  test("thousands are separated", () => {
    expect([0, 999, 4000, 989423, 12345678].map(count)).toEqual(["0", "999", "4,000", "989,423", "12,345,678"]);
  });
  test("bytes have a unit that fits", () => {
    expect([0, 812, 1_400, 192_000, 95_100_000, 1_400_000_000].map(bytes)).toEqual([
      "0 bytes",
      "812 bytes",
      "1.4 KB",
      "192 KB",
      "95 MB",
      "1.4 GB",
    ]);
  });
  test("progress is told in the unit of the whole", () => {
    expect(bytesOf(61_300_000, 95_100_000)).toBe("61 of 95 MB");
    expect(bytesOf(0, 95_100_000)).toBe("0 of 95 MB");
    expect(bytesOf(95_700_000, 95_700_000)).toBe("96 of 96 MB");
    expect(bytesOf(950, 1_400_000)).toBe("0.0 of 1.4 MB");
  });
  test("memory is binary", () => {
    expect(memory(462)).toBe("462 MiB");
    expect(memory(7_885)).toBe("7.7 GiB");
  });
  test("one is not many", () => {
    expect(many(1, "box", "boxes")).toBe("1 box");
    expect(many(1_200, "box", "boxes")).toBe("1,200 boxes");
  });
});
