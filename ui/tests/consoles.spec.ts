// Consoles and screens in the sheet of a machine, in a browser against a server that says each thing on purpose.
import axe from "axe-core";
import { expect, type Page, test as base } from "@playwright/test";
import { machine, snapshot } from "./demo";
import { ScriptedLab } from "./server";

const test = base.extend<{ lab: ScriptedLab; faults: string[] }>({
  lab: async ({}, use) => {
    const board = snapshot();
    board.machines = board.machines.map((m) =>
      m.node === "node2" ? machine("node2", 2, 1, "ready", { has_console: true }) : m,
    );
    const lab = new ScriptedLab(board);
    await use(lab);
    await lab.close();
  },
  faults: [
    async ({ page, lab }, use) => {
      const faults: string[] = [];
      page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
      page.on("console", (said) => {
        if (/Content Security Policy|Refused to/i.test(said.text())) faults.push(said.text());
      });
      page.on("request", (request) => {
        if (!request.url().startsWith(lab.origin())) faults.push(`foreign request: ${request.url()}`);
      });
      await use(faults);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

const BOOT =
  "\x1bc\x1b[2J\x1b[H\x1b[1mSeaBIOS\x1b[0m (version 1.16.2)\r\n\r\niPXE \x1b[36minitialising devices\x1b[0m...ok\r\n" +
  Array.from({ length: 60 }, (_, n) => `[    ${n}.000000] \x1b[32mdriver ${n}\x1b[0m is there\r\n`).join("") +
  "\x1b[33mwarning\x1b[0m: the clock was wrong\r\n\x1b[31merror\x1b[0m: \x1b[7mnothing\x1b[0m is broken\r\nnode2 login: ";

const logOf = (page: Page) => page.getByRole("log", { name: "What node2 said on its serial port" });
const typed = (lab: ScriptedLab) =>
  lab.posted
    .filter((post) => post.path.endsWith("/console"))
    .map((post) => Buffer.from((post.body as { bytes: string }).bytes, "base64").toString())
    .join("");

async function opened(page: Page, lab: ScriptedLab): Promise<void> {
  await page.goto(await lab.open());
  await page.getByRole("gridcell", { name: /^node2\b/ }).click();
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const viewport of [
    { width: 1280, height: 900 },
    { width: 360, height: 740 },
  ]) {
    test(`a console at ${viewport.width} in ${colorScheme} can be read, and its screen looked at`, async ({
      page,
      lab,
    }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      lab.says("node2", BOOT);
      await opened(page, lab);
      await expect(logOf(page)).toContainText("node2 login:");
      const shots = process.env["SHOTS"];
      const name = `${viewport.width}-${colorScheme}`;
      await logOf(page).scrollIntoViewIfNeeded();
      if (shots) await page.screenshot({ path: `${shots}/console-${name}.png` });
      await page.getByRole("button", { name: "Screen" }).click();
      await expect(page.getByText("Click into it to use keyboard and mouse")).toBeVisible();
      await page.getByText("Click into it to use keyboard and mouse").scrollIntoViewIfNeeded();
      if (shots) await page.screenshot({ path: `${shots}/screen-${name}.png` });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide, "nothing sticks out to the right").toBeLessThanOrEqual(viewport.width);
      await page.evaluate(axe.source);
      const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
      expect(violations.map((v) => `${v.id}: ${v.nodes[0]?.html}`)).toEqual([]);
    });
  }
}

test("a machine without a console has no pane, and nothing of it is fetched before one is opened", async ({
  page,
  lab,
}) => {
  const fetched: string[] = [];
  page.on("request", (request) => fetched.push(new URL(request.url()).pathname));
  await page.goto(await lab.open());
  await page.getByRole("gridcell", { name: /^node1\b/ }).click();
  await expect(page.getByRole("dialog", { name: "node1" })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Console" })).toHaveCount(0);
  const parts = () => fetched.filter((path) => /\/(Console|xterm|rfb)[^/]*\.(js|css)$/.test(path));
  expect(parts()).toEqual([]);
  await page.keyboard.press("Escape");
  await page.getByRole("gridcell", { name: /^node2\b/ }).click();
  await expect(page.getByText("Nothing came of it yet.")).toBeVisible();
  // The terminal is there, the screen's viewer not yet.
  expect(parts().map((path) => /Console|xterm|rfb/.exec(path)?.[0])).not.toContain("rfb");
  expect(parts().length).toBeGreaterThan(2);
  lab.says("node2", "hello\r\n");
  await expect(logOf(page)).toContainText("hello");
});

test("a console is live, keeps its look and its bounds, and stays where its reader is", async ({ page, lab }) => {
  lab.says("node2", BOOT);
  await opened(page, lab);
  const log = logOf(page);
  await expect(log).toContainText("node2 login:");
  await expect(log.locator(".f1", { hasText: "error" })).toHaveCount(1);
  await expect(log.locator(".turned")).toHaveText("nothing");
  await expect(log.locator(".bold")).toHaveText("SeaBIOS");
  // No escape sequence is shown as text.
  expect(await log.innerText()).not.toMatch(/\x1b|\[3\dm/);
  const left = () => log.evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight);
  await expect.poll(left).toBeLessThan(24);

  // A reader who went back is not moved, and is told.
  await log.evaluate((e) => (e.scrollTop = 100));
  await expect(page.getByRole("button", { name: "To the end" })).toBeVisible();
  lab.says("node2", "root\r\nwelcome\r\n");
  await expect(page.getByRole("button", { name: "2 new lines, to the end" })).toBeVisible();
  expect(await log.evaluate((e) => e.scrollTop)).toBe(100);
  await page.getByRole("button", { name: /to the end/ }).click();
  await expect.poll(left).toBeLessThan(24);
  // A line that is written over is one line.
  lab.says("node2", "10 %\r20 %\r30 %\r\n");
  await expect(log).toContainText("30 %");
  await expect(log).not.toContainText("20 %");

  // As much as it says, so much is kept; and what is kept are the last lines, in order, each once.
  for (let part = 0; part < 10; part++)
    lab.says("node2", Array.from({ length: 500 }, (_, n) => `line ${part * 500 + n}.\r\n`).join(""));
  await expect(log).toContainText("line 4999.", { timeout: 15_000 });
  const lines = (await log.locator(".paper > div").allInnerTexts()).filter((line) => line.startsWith("line "));
  expect(lines.length).toBeGreaterThan(1_900);
  expect(lines.length).toBeLessThan(2_100);
  const first = 5_000 - lines.length;
  expect(lines.map((line) => line.trim())).toEqual(lines.map((_, n) => `line ${first + n}.`));

  // The core began anew: so does the console.
  lab.forgets("node2", "another core\r\n");
  await expect(log).toContainText("another core");
  await expect(log).not.toContainText("line 4999.");
});

test("what is selected stays until it is copied", async ({ page, lab }) => {
  lab.says("node2", "one\r\ntwo\r\n");
  await opened(page, lab);
  const log = logOf(page);
  await expect(log).toContainText("two");
  await log.locator(".paper > div").first().selectText();
  lab.says("node2", "\x1b[2J\x1b[Hthree\r\n");
  // The next answer has been asked for, so this one was taken.
  await expect.poll(() => lab.asked("node2")).toBe(lab.length("node2"));
  expect(await page.evaluate(() => String(getSelection()))).toContain("one");
  await expect(log).toContainText("one");
  await page.evaluate(() => getSelection()?.removeAllRanges());
  await expect(log).toContainText("three");
  await expect(log).not.toContainText("two");
});

test("keys go to a machine only after a click, and Control and ] gives them back", async ({ page, lab }) => {
  lab.says("node2", "login: ");
  await opened(page, lab);
  await expect(logOf(page)).toContainText("login:");
  await logOf(page).focus();
  await page.keyboard.type("abc");
  expect(typed(lab)).toBe("");

  await page.getByRole("button", { name: "Type into it" }).click();
  await expect(page.getByText("Keys go to node2")).toBeVisible();
  await page.keyboard.type("root");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Control+c");
  await page.keyboard.press("Escape");
  await expect.poll(() => typed(lab)).toBe("root\r\t\x1b[A\x03\x1b");
  // Escape and Tab were the machine's: the sheet is open, and the keyboard still there.
  await expect(page.getByRole("dialog", { name: "node2" })).toBeVisible();
  await expect(page.getByText("Keys go to node2")).toBeVisible();
  await page.keyboard.press("Control+]");
  await expect(logOf(page)).toBeFocused();
  await page.keyboard.type("xyz");
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog", { name: "node2" })).toHaveCount(0);
  expect(typed(lab)).toBe("root\r\t\x1b[A\x03\x1b");

  // What is refused is said.
  lab.refuses = { code: "unreached", message: "node2: it is not running", advice: "" };
  await page.getByRole("gridcell", { name: /^node2\b/ }).click();
  await page.getByRole("button", { name: "Type into it" }).click();
  await page.keyboard.type("x");
  await expect(page.getByText("node2: it is not running")).toBeVisible();
});

test("a screen takes keys while it has the keyboard, and ends with its button", async ({ page, lab }) => {
  lab.says("node2", "x");
  await opened(page, lab);
  await page.getByRole("button", { name: "Screen" }).click();
  await expect(page.getByText("Click into it to use keyboard and mouse")).toBeVisible();
  const canvas = page.locator(".target canvas");
  await canvas.click();
  await page.keyboard.press("a");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Escape");
  await expect.poll(() => lab.keys).toEqual([0x61, 0xff09, 0xff1b]);
  await expect(page.getByRole("dialog", { name: "node2" })).toBeVisible();
  await page.keyboard.press("Control+]");
  await expect(page.getByRole("button", { name: "Ctrl+Alt+Del" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect.poll(() => lab.keys.slice(-3)).toEqual([0xffe3, 0xffe9, 0xffff]);
  await page.getByRole("button", { name: "Close the screen" }).click();
  await expect.poll(() => lab.screens).toBe(0);
});
