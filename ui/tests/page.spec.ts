// What the page promises, tried in a browser against a server that says each thing on purpose.
import { expect, type Page } from "@playwright/test";
import { broken, cell, test } from "./bench";
import { certificates, machine, moment, NOW, snapshot, stock, waterfall } from "./demo";
import type { MachineView, NodeWord } from "../src/types";

const boxes = (page: Page) =>
  page.locator('[role="gridcell"]').evaluateAll((cells) =>
    cells.map((c) => {
      const { x, y, width, height } = c.getBoundingClientRect();
      return [x, y, width, height].join(" ");
    }),
  );

const WORDS: NodeWord[] = [
  "off",
  "starting",
  "dhcp",
  "waiting",
  "loader",
  "image",
  "kernel",
  "ready",
  "degraded",
  "stopping",
  "bad",
  "unknown",
];

/** Numbers that look random and are the same in each run (mulberry32). */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A machine in any state at all, with a name of any allowed length. */
function anything(at: MachineView, roll: () => number): MachineView {
  const pick = <T>(from: readonly T[]) => from[Math.floor(roll() * from.length)] as T;
  const long = (most: number) => "a-word-of-any-length ".repeat(8).slice(0, 1 + Math.floor(roll() * most));
  const word = pick(WORDS);
  const size = Math.floor(roll() * 5e9);
  const name = "wwwwwwwwwwwwwwwwwwwwwwww".slice(0, 1 + Math.floor(roll() * 24));
  const limit = Math.floor(roll() * 900_000);
  return machine(`${name.slice(0, -1)}${at.cell.column}`.slice(0, 24), at.cell.column, at.cell.row, word, {
    mac: at.mac,
    waiting:
      roll() < 0.6
        ? { what: long(160), since: NOW - Math.floor(roll() * 1e6), until: NOW + limit, then: long(80) }
        : null,
    power: {
      state: pick(["on", "off", "unknown"] as const),
      evidence: long(60),
      seen: null,
      port: { driver: "d", port: "1" },
    },
    boot:
      roll() < 0.7
        ? waterfall(
            pick(["bios-pxe", "uefi-http", "other"] as const),
            NOW - Math.floor(roll() * 4e6),
            [
              ["firmware", Math.floor(roll() * 9e4), 4_000],
              ["image", 900, 800, long(90), Math.floor(size * roll()), size],
            ],
            roll() < 0.7,
          )
        : null,
    fault: roll() < 0.4 ? { code: "never-asked", text: long(160) } : null,
    tries: 1 + Math.floor(roll() * 3),
  });
}

for (const viewport of [
  { width: 1920, height: 1080 },
  { width: 1024, height: 600 },
  { width: 800, height: 480 },
  { width: 360, height: 740 },
]) {
  test(`no cell moves over 40 random states at ${viewport.width}`, async ({ page, lab, link }) => {
    await page.setViewportSize(viewport);
    await page.goto(link);
    await expect(cell(page, "node6")).toBeVisible();
    const before = await boxes(page);
    expect(before).toHaveLength(6);
    const roll = dice(viewport.width);
    for (let i = 0; i < 40; i += 1) {
      const machines = lab.snapshot.machines.map((m) => anything(m, roll));
      lab.snapshot = { ...lab.snapshot, through: lab.snapshot.through + 1, machines };
      lab.snapshot.lab = {
        ...lab.snapshot.lab,
        notices: roll() < 0.5 ? [] : [{ notice: "ledger-full", why: "No space left on device" }],
      };
      lab.say({ event: "snapshot", data: { ...lab.snapshot, at: lab.at() } });
      await expect(
        page.locator(`[data-at="1-1"][data-node="${machines[0]?.node}"][data-word="${machines[0]?.word}"]`),
      ).toBeVisible();
      expect(await boxes(page)).toEqual(before);
    }
    await page.screenshot({ path: `test-results/shots/random-${viewport.width}.png` });
  });
}

test("a name of 24 characters is shown in full", async ({ page, lab, link }) => {
  const name = "hypervisor-rack2-left-07";
  expect(name).toHaveLength(24);
  lab.snapshot.machines = lab.snapshot.machines.map((m, i) => ({ ...m, node: `${name.slice(0, -1)}${i}` }));
  for (const width of [1920, 1024, 800, 360]) {
    await page.setViewportSize({ width, height: 600 });
    await page.goto(link);
    const label = page.locator(".name strong").first();
    await expect(label).toHaveText(`${name.slice(0, -1)}0`);
    const cut = await label.evaluate(
      (e) => e.scrollWidth > e.clientWidth || e.scrollHeight > (e.parentElement?.clientHeight ?? 0) + 4,
    );
    expect(cut, `cut at ${width}`).toBe(false);
  }
});

test("what changes is on the screen within a quarter of a second, at the best of five", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(cell(page, "node6")).toBeVisible();
  const took: number[] = [];
  for (const word of ["bad", "off", "ready", "bad", "off"] as const) {
    const began = Date.now();
    const seen = page.waitForFunction(
      (w) => document.querySelector(`[data-node="node6"][data-word="${w}"]`) !== null,
      word,
    );
    lab.change([machine("node6", 2, 3, word)]);
    await seen;
    took.push(Date.now() - began);
  }
  expect(Math.min(...took)).toBeLessThan(250);
});

for (const colorScheme of ["light", "dark"] as const) {
  test(`no rule of accessibility is broken in ${colorScheme}, on the page and in its sheets`, async ({
    page,
    lab,
    link,
  }) => {
    lab.snapshot.lab.notices = [{ notice: "malformed", protocol: "DHCP", count: 3 }];
    lab.snapshot.machines[3] = machine("node4", 2, 2, "bad", {
      fault: { code: "never-asked", text: "no DISCOVER in 90 s" },
    });
    await page.emulateMedia({ colorScheme });
    await page.goto(link);
    await expect(page.getByText("Was offered 10.77.0.16.")).toHaveCount(1);
    expect(await broken(page)).toEqual([]);
    for (const [key, title] of [
      ["?", "Help"],
      ["s", "Start"],
      ["x", "Stop"],
      ["v", "What happens here"],
      ["Control+k", "Go to"],
    ] as const) {
      await page.keyboard.press(key);
      await expect(page.getByRole("dialog", { name: title })).toBeVisible();
      expect(await broken(page), title).toEqual([]);
      await page.keyboard.press("Escape");
      await expect(page.getByRole("dialog")).toHaveCount(0);
    }
    await cell(page, "node4").click();
    await expect(page.getByText("never-asked")).toBeVisible();
    expect(await broken(page), "node4").toEqual([]);
  });
}

test("a silent line looks stale after five seconds, keeps its picture, and is fresh again after a beat", async ({
  page,
  lab,
  link,
}) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  lab.fallSilent();
  await expect(page.locator("main.stale")).toBeVisible({ timeout: 8_000 });
  await expect(page.locator("header").getByText(/last seen \d+ s ago/)).toBeVisible();
  await expect(cell(page, "node1")).toBeVisible();
  await expect(page).toHaveTitle(/^stale/);
  const clock = page.locator("header .clock");
  const stood = await clock.textContent();
  await page.screenshot({ path: "test-results/shots/stale.png" });
  await expect(page.locator("header").getByText(/last seen [7-9] s ago/)).toBeVisible({ timeout: 8_000 });
  expect(await clock.textContent(), "no clock runs on what is not known").toBe(stood);
  lab.say({ event: "beat", data: lab.at() });
  await expect(page.locator("main.stale")).toHaveCount(0);
});

test("a broken line is taken up again where it stopped", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(page.getByText("Was offered 10.77.0.16.")).toHaveCount(1);
  lab.happen({ fact: "entered", node: "node2", rung: "ready" });
  await expect(page.getByText("node2 Now ready.")).toBeVisible();
  const seq = lab.snapshot.through;
  lab.taking = false;
  lab.drop();
  await expect.poll(() => lab.streams.length, { timeout: 10_000 }).toBeGreaterThan(3);
  lab.happen({ fact: "entered", node: "node3", rung: "ready" });
  lab.onResume = (lastId) => {
    expect(lastId).toBe(`8f3a:${seq}`);
    return lab.events.filter((e) => e.seq > seq).map((data) => ({ event: "event" as const, data }));
  };
  lab.taking = true;
  await expect(page.getByText("node3 Now ready.")).toBeVisible({ timeout: 10_000 });
  await expect(page.getByText("node2 Now ready.")).toHaveCount(1);
  await expect(page.getByText(/missing here/)).toHaveCount(0);
  expect(lab.streams.at(-1)?.["last-event-id"]).toBe(`8f3a:${seq}`);
  expect(lab.streams[0]?.["last-event-id"]).toBeUndefined();
});

test("a gap is shown in its place", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(page.getByText("Was offered 10.77.0.16.")).toHaveCount(1);
  const seq = lab.snapshot.through;
  lab.drop();
  lab.snapshot.through = seq + 30;
  lab.events = [];
  lab.happen({ fact: "entered", node: "node3", rung: "ready" });
  lab.onResume = () => [{ event: "start-over" }];
  await expect(page.getByText(`30 events are missing here (${seq + 1} to ${seq + 30}).`)).toBeVisible({
    timeout: 10_000,
  });
  await expect(page.locator(".event").last()).toContainText("node3 Now ready.");
});

test("another core is said to be another one, and its numbers may start again", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(page.getByText("Was offered 10.77.0.16.")).toHaveCount(1);
  lab.drop();
  lab.snapshot = { ...lab.snapshot, epoch: "aaaa", through: 0 };
  lab.events = [];
  lab.happen({ fact: "counter-seen", up: true });
  await expect(page.getByText("The controller is another one than before")).toBeVisible({ timeout: 10_000 });
  await expect(page.getByText("The boot counter is connected.")).toBeVisible();
});

test("without a token the page says which link to open", async ({ page, lab, link }) => {
  expect(link).toContain("token=");
  await page.goto(lab.origin());
  await expect(page.getByText("Open the link that labinator printed").first()).toBeVisible();
});

test("names that try to be markup stay text", async ({ page, lab, link }) => {
  const bait = '<img src=x onerror="document.title=1">';
  const turned = "\u202egnp.exe\u2066";
  lab.snapshot.machines[0] = machine(bait, 1, 1, "bad", {
    fault: { code: "never-asked", text: `${turned}<script>alert(1)</script>` },
  });
  lab.snapshot.machines[1] = machine(turned, 2, 1, "ready", { zone: null });
  lab.snapshot.lab.name = bait;
  lab.snapshot.lab.scenario = turned;
  lab.snapshot.lab.notices = [{ notice: "ledger-full", why: bait }];
  await page.goto(link);
  await expect(page.locator(".name strong").first()).toHaveText(bait);
  lab.happen({ fact: "faulted", node: bait, code: "never-asked", text: bait, bad: true });
  await expect(page.locator(".event").last()).toContainText(bait);
  await page.locator('[role="gridcell"]').first().click();
  await expect(page.getByRole("dialog")).toContainText("<script>alert(1)</script>");
  expect(await page.locator("img, main script").count()).toBe(0);
  await page.screenshot({ path: "test-results/shots/hostile.png" });
});

test("the keyboard reaches everything, in the order of the board", async ({ page, link }) => {
  await page.goto(link);
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("data-node") ?? "");
  await expect(cell(page, "node1")).toBeVisible();
  for (let i = 0; i < 12 && (await focused()) !== "node1"; i += 1) await page.keyboard.press("Tab");
  const order: string[] = [];
  for (let i = 0; i < 6; i += 1) {
    order.push(await focused());
    await page.keyboard.press("ArrowRight");
  }
  expect(order).toEqual(["node1", "node2", "node3", "node4", "node5", "node6"]);
  expect(
    await page.locator('[role="gridcell"]').evaluateAll((all) => all.map((c) => c.getAttribute("data-node"))),
  ).toEqual(order);
  await page.keyboard.press("Home");
  expect(await focused()).toBe("node5");
  await page.keyboard.press("ArrowUp");
  expect(await focused()).toBe("node3");
  await page.keyboard.press("End");
  expect(await focused()).toBe("node4");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: "node4" })).toBeVisible();
  for (let i = 0; i < 9; i += 1) {
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.closest("dialog") !== null), "focus stays inside").toBe(
      true,
    );
  }
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toHaveCount(0);
  expect(await focused()).toBe("node4");
  for (const [key, title] of [
    ["?", "Help"],
    ["s", "Start"],
    ["x", "Stop"],
  ] as const) {
    await page.keyboard.press(key);
    await expect(page.getByRole("dialog", { name: title })).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
  await page.keyboard.press("/");
  await page.keyboard.type("node6");
  await expect(page.locator(".event")).toHaveCount(4);
  await page.keyboard.press("Escape");
  await expect(page.locator(".event").nth(10)).toBeVisible();
  expect(await page.locator('[role="gridcell"][tabindex="0"]').count(), "one tab stop").toBe(1);
});

test("stop happens only after 1.5 s of holding, by pointer", async ({ page, lab, link }) => {
  await page.goto(link);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await expect(page.getByText("6 machines of demo will be switched off")).toBeVisible();
  const hold = page.getByRole("button", { name: /Stop the lab/ });
  await hold.hover();
  await page.mouse.down();
  await expect(hold).toContainText("keep holding");
  await page.screenshot({ path: "test-results/shots/hold.png" });
  await page.mouse.up();
  await expect(hold).toContainText("hold for 1.5 s");
  expect(lab.posted).toEqual([]);
  const began = Date.now();
  await page.mouse.down();
  await expect.poll(() => lab.posted.length).toBe(1);
  expect(Date.now() - began).toBeGreaterThanOrEqual(1_450);
  await page.mouse.up();
  expect(lab.posted[0]).toMatchObject({
    path: "/v1/stop",
    body: { by: "page" },
    headers: { "x-labinator": "1", "content-type": "application/json" },
  });
  await expect(page.getByRole("dialog")).toHaveCount(0);
});

test("power off happens only after 1.5 s of holding, by key", async ({ page, lab, link }) => {
  await page.goto(link);
  await cell(page, "node2").click();
  await page.getByRole("button", { name: /Power off/ }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByText("hold for 1.5 s")).toBeVisible();
  expect(lab.posted).toEqual([]);
  await page.keyboard.down(" ");
  await expect.poll(() => lab.posted.length).toBe(1);
  await page.keyboard.up(" ");
  expect(lab.posted[0]).toMatchObject({ path: "/v1/nodes/node2/power", body: { order: "off", by: "page" } });
  await expect(page.getByText("Power off is asked for; it is done when it is seen.")).toBeVisible();
});

test("what a person saw of a machine's power is told after 1.5 s of holding, and an answer is shown", async ({
  page,
  lab,
  link,
}) => {
  await page.goto(link);
  await cell(page, "node3").click();
  const group = page.getByRole("group", { name: "What you saw of its power" });
  await group.getByRole("button", { name: "off", exact: false }).focus();
  await page.keyboard.press("Enter");
  expect(lab.posted).toEqual([]);
  await page.keyboard.down(" ");
  await expect.poll(() => lab.posted.length).toBe(1);
  await page.keyboard.up(" ");
  expect(lab.posted[0]).toMatchObject({ path: "/v1/nodes/node3/power/seen", body: { state: "off", by: "page" } });
  await expect(page.getByText("node3 is off, as you saw it.")).toBeVisible();
  await group.getByRole("button", { name: "not to be told" }).focus();
  await page.keyboard.down(" ");
  await expect.poll(() => lab.posted.length).toBe(2);
  await page.keyboard.up(" ");
  expect(lab.posted[1]).toMatchObject({ path: "/v1/nodes/node3/power/seen", body: { state: "unknown", by: "page" } });
  await expect(page.getByText("Nobody knows now whether node3 runs.")).toBeVisible();
});

test("a start that destroys nothing is one tap; one that does is held; a refusal has no button", async ({
  page,
  lab,
  link,
}) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  await page.keyboard.press("s");
  await expect(page.getByText("switched off first: node1, node4")).toBeVisible();
  await page.getByRole("button", { name: /Switch 2 machines off/ }).click();
  expect(lab.posted).toEqual([]);
  await page.getByRole("radio", { name: /rescue/ }).check();
  await expect(page.getByText("The rescue image is not here.")).toBeVisible();
  await expect(page.getByRole("dialog").getByRole("button")).toHaveCount(1);
  await page.getByRole("radio", { name: /one-each/ }).check();
  await expect(page.getByText("About 26 s, from earlier boots.")).toBeVisible();
  await page.getByRole("button", { name: "Start one-each" }).click();
  await expect.poll(() => lab.posted.length).toBe(1);
  expect(lab.posted[0]).toMatchObject({ path: "/v1/scenarios/one-each/start", body: { by: "page" } });
});

test("a notice and a stranger appear in their own place and open a sheet", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  const before = await boxes(page);
  lab.change([], {
    notices: [
      { notice: "malformed", protocol: "DHCP", count: 1204 },
      { notice: "foreign-dhcp", mac: "02:00:00:00:00:01", server: "192.168.122.1" },
    ],
    strangers: [{ mac: "02:00:00:00:00:09", client: "uefi-pxe", seen: moment(NOW) }],
  });
  await expect(page.getByText("Another DHCP server answers on this segment: 192.168.122.1")).toBeVisible();
  expect(await boxes(page)).toEqual(before);
  await page.getByRole("button", { name: "1 more notice · 1 machine not on the board" }).click();
  await expect(page.getByText("1,204 DHCP packets could not be read.")).toBeVisible();
  await expect(page.getByText("02:00:00:00:00:09")).toBeVisible();
  await page.screenshot({ path: "test-results/shots/notices.png" });
});

test("every button is at least 44 by 44 pixels where fingers are used", async ({ browser, lab, link }) => {
  const context = await browser.newContext({ viewport: { width: 800, height: 480 }, hasTouch: true, isMobile: true });
  const page = await context.newPage();
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  for (const key of ["", "x"]) {
    if (key) await page.keyboard.press(key);
    const small = await page.locator("button:visible, input:visible, [role='gridcell']:visible").evaluateAll((all) =>
      all.flatMap((e) => {
        const { width, height } = e.getBoundingClientRect();
        return width < 44 || height < 44 ? [`${e.textContent} ${width}x${height}`] : [];
      }),
    );
    expect(small).toEqual([]);
  }
  expect(lab.posted).toEqual([]);
  await page.keyboard.press("Escape");
  await page.screenshot({ path: "test-results/shots/touch.png" });
  await context.close();
});

test("figures are equally wide, so that numbers do not jump", async ({ page, link }) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  const widths = await page.evaluate(() => {
    const probe = document.createElement("span");
    document.body.append(probe);
    return [..."0123456789"].map((digit) => {
      probe.textContent = digit.repeat(20);
      return probe.getBoundingClientRect().width;
    });
  });
  expect(new Set(widths).size).toBe(1);
  expect(await page.evaluate(() => [...document.fonts].some((f) => f.status === "loaded"))).toBe(true);
});

test("changes are told to a screen reader, gathered", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  const said = page.locator("main > [aria-live]");
  lab.change([machine("node5", 1, 3, "ready"), machine("node6", 2, 3, "bad")]);
  await expect(said).toHaveText("node5 ready; node6 bad.");
  lab.change([machine("node2", 2, 1, "ready")], { phase: "ready" });
  await expect(said).toHaveText("node2 ready; the lab is ready.", { timeout: 5_000 });
});

test("guests stand in the cell of the machine that runs them, and their sheets open from there", async ({
  page,
  lab,
  link,
  faults: _,
}) => {
  const guest = (name: string, word: NodeWord, host: string | null): MachineView =>
    machine(name, 2, 1, word, { is_guest: true, host, mac: `52:54:00:00:00:0${name.slice(1)}` });
  const board = snapshot();
  const running = [guest("w1", "ready", "node2"), guest("w2", "kernel", "node2"), guest("w3", "bad", "node2")];
  lab.snapshot = {
    ...board,
    machines: [
      ...board.machines.map((m) => (m.node === "node2" ? machine("node2", 2, 1, "ready") : m)),
      ...running,
      { ...guest("w9", "off", null), power: { ...machine("x", 1, 1, "off").power, state: "off" as const } },
    ],
  };
  await page.goto(link);
  await expect(page.getByRole("gridcell")).toHaveCount(6);
  const host = cell(page, "node2");
  await expect(host.getByRole("button", { name: /w\d/ })).toHaveCount(3);
  // One of another scenario is nowhere.
  await expect(page.getByText("w9")).toHaveCount(0);
  if (process.env["SHOTS"]) await page.screenshot({ path: `${process.env["SHOTS"]}/guests.png` });
  await host.getByRole("button", { name: "w3" }).click();
  await expect(page.getByRole("dialog", { name: "w3" })).toBeVisible();
  await page.keyboard.press("Escape");
  await host.click({ position: { x: 8, y: 8 } });
  const sheet = page.getByRole("dialog", { name: "node2" });
  await sheet.getByRole("button", { name: "w1" }).click();
  await expect(page.getByRole("dialog", { name: "w1" })).toBeVisible();
});

test("the boss's sheet says how old each image, loader and cache is, and how far a trial is", async ({
  page,
  lab,
  link,
}) => {
  lab.stock = stock();
  await page.goto(link);
  await page.getByRole("button", { name: /^boss: / }).click();
  const part = page.getByRole("region", { name: "Images, loaders, caches" });
  await expect(part).toContainText("generation 4, of today, 84 MB, kernel 6.1.0-56-amd64, signed here (boss1)");
  await expect(part).toContainText("node3 tries it: 1 of 3 good starts");
  await expect(part).toContainText("the kernel of node5 was silent for 90 s");
  // What is old says what renews it, what is not says nothing.
  await expect(part.getByText("labinator image update rescue")).toHaveCount(1);
  await expect(part.getByText("labinator update", { exact: true })).toHaveCount(0);
  await expect(part).toContainText("snponly.efi loader, 20 days old");
});

test("the boss's sheet says until when its page is served, and what it waits for instead", async ({
  page,
  lab,
  link,
}) => {
  lab.certificates = certificates();
  await page.goto(link);
  await page.getByRole("button", { name: /^boss: / }).click();
  const section = page.getByRole("region", { name: "Certificates" });
  await expect(section).toContainText("for 19\u00a0h\u00a00\u00a0min more, until 2026-03-15");
  await expect(section).toContainText("made anew in 11\u00a0h\u00a00\u00a0min, by itself");
  await expect(section).toContainText("sha256:3c9e51d0");
  await page.keyboard.press("Escape");
  lab.certificates = certificates(false);
  await page.getByRole("button", { name: /^boss: / }).click();
  await expect(section).toContainText("waiting for a right clock: the clock lies before this program was written");
  await expect(section).not.toContainText("more, until");
  expect(await broken(page)).toEqual([]);
  await page.screenshot({ path: "test-results/shots/certificates.png" });
});
