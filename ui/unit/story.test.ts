// What visitors are told, and what a few letters find.
import { expect, test } from "vitest";
import { restAfter } from "../src/kiosk";
import { commands, matching } from "../src/palette";
import { tell } from "../src/story";
import type { Phase } from "../src/types";
import { machine, NOW, snapshot, waterfall } from "../tests/demo";

const taking = waterfall(
  "uefi-pxe",
  NOW - 20_000,
  [
    ["firmware", 9_000, 8_000],
    ["image", 11_000, 21_000, undefined, 61e6, 95e6],
  ],
  true,
);

test("a tale says who does what, against what is usual, and why it is done", () => {
  const lab = { ...snapshot().lab, phase: "booting" as Phase };
  const tale = tell(lab, [machine("node1", 1, 1, "ready"), machine("node3", 2, 1, "image", { boot: taking })], NOW);
  expect(tale.headline).toBe("1 of 2 machines are ready.");
  expect(tale.acts.map((act) => act.node)).toEqual(["node3"]);
  expect(tale.acts[0]?.text.replaceAll("\u00a0", " ")).toMatch(
    /^takes its operating system over the cable, for [\d.]+ s; 61 of 95 MB; usually 21 s\.$/,
  );
  expect(tale.why).toContain("checked byte by byte");
});

test.each(["idle", "powering-down", "booting", "ready", "degraded", "failed", "stopping"] as const)(
  "a lab that is %s has a headline and a reason though nobody does anything",
  (phase) => {
    const tale = tell({ ...snapshot().lab, phase }, [machine("node1", 1, 1, "off")], NOW);
    expect(tale.acts).toEqual([]);
    expect(tale.headline.length).toBeGreaterThan(8);
    expect(tale.why.length).toBeGreaterThan(40);
  },
);

test("of many that are busy only some are told, and the last that began comes first", () => {
  const many = Array.from({ length: 9 }, (_, i) =>
    machine(`node${i}`, 1 + i, 1, "dhcp", {
      boot: waterfall("bios-pxe", NOW - 1_000 * (i + 1), [["dhcp", 900 * (i + 1), 3_000]], true),
    }),
  );
  const { acts } = tell(snapshot().lab, many, NOW);
  expect(acts.map((act) => act.node)).toEqual(["node0", "node1", "node2", "node3"]);
});

const none = { open: () => {}, openNode: () => {}, startOf: () => {}, filter: () => {}, clean: () => {} };

test("the palette has every machine and scenario, and the best match first", () => {
  const { lab, machines } = snapshot();
  const all = commands(lab, machines, none);
  for (const m of machines) expect(matching(all, m.node)[0]?.text.startsWith(m.node)).toBe(true);
  for (const scenario of lab.scenarios) {
    expect(matching(all, `start ${scenario.name}`)[0]?.text).toBe(`Start ${scenario.name}`);
  }
  expect(matching(all, "sto")[0]?.text).toBe("Stop");
  expect(matching(all, "no such thing")).toEqual([]);
  expect(matching(all, "  ")).toEqual(all);
});

test("without a lab the palette offers nothing that needs one", () => {
  expect(commands(null, [], none).some((command) => /start|stop/i.test(command.text))).toBe(false);
});

test("only a link that says so makes a kiosk", () => {
  expect(restAfter("")).toBeNull();
  expect(restAfter("?kiosk")).toBe(300_000);
  expect(restAfter("?kiosk=0.5")).toBe(30_000);
  expect(restAfter("?kiosk=never")).toBe(300_000);
});
