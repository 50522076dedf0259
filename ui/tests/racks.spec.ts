// A fleet in a browser: thousands of machines stay small, quick and searchable.
import { expect, type Page, test as base } from "@playwright/test";
import { machine, moment, NOW, snapshot } from "./demo";
import { ScriptedLab } from "./server";
import type { MachineView, NodeWord } from "../src/types";

const MACHINES = 13_500;

/** Machine `n` of the hall, counted from 0. */
function one(n: number, word: NodeWord): MachineView {
  const hex = (byte: number) => byte.toString(16).padStart(2, "0");
  return machine(`n${n}`, (n % 120) + 1, Math.floor(n / 120) + 1, word, {
    zone: Math.floor((n % 120) / 40) + 1,
    mac: `02:46:00:00:${hex(n >> 8)}:${hex(n & 255)}`,
    ip: `10.77.${1 + (n >> 8)}.${n & 255}`,
    since: moment(NOW - 4_000),
  });
}

function wordOf(n: number): NodeWord {
  if (n === 7_000) return "bad";
  return n % 9 === 0 ? "image" : n % 4 === 0 ? "dhcp" : "ready";
}

const test = base.extend<{ lab: ScriptedLab; page: Page }>({
  lab: async ({}, use) => {
    const picture = snapshot();
    picture.machines = Array.from({ length: MACHINES }, (_, n) => one(n, wordOf(n)));
    picture.lab = { ...picture.lab, columns: 120, rows: 113 };
    const lab = new ScriptedLab(picture);
    await use(lab);
    await lab.close();
  },
});

const cells = (page: Page) => page.locator(".racks [role=option]");

test("a hall shows who needs a person first, and draws only what is in sight", async ({ lab, page }) => {
  await page.goto(await lab.open());
  await expect(page.locator(".racks h2").first()).toContainText("a person is needed");
  await expect(cells(page).first()).toHaveAttribute("data-node", "n7000");
  const drawn = await cells(page).count();
  expect(drawn).toBeGreaterThan(100);
  expect(drawn).toBeLessThan(4_000);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide, "nothing sticks out to the right").toBeLessThanOrEqual(1024);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: "test-results/shots/racks.png" });
  await page.locator(".racks .list").evaluate((list) => (list.scrollTop = list.scrollHeight));
  // The last machine of zone 3, which is the last heading.
  await expect(page.locator('.racks [data-node="n13439"]')).toBeVisible();
  await expect(page.locator('.racks [data-node="n0"]')).toHaveCount(0);
  await page.screenshot({ path: "test-results/shots/racks-end.png" });
});

test("a search and a word find one machine among thousands, and it opens", async ({ lab, page }) => {
  await page.goto(await lab.open());
  await page.getByRole("button", { name: /1 bad/ }).click();
  await expect(cells(page)).toHaveCount(2);
  await page.getByRole("button", { name: /1 bad/ }).click();
  await page.getByRole("searchbox", { name: "Search machines" }).fill("10.77.53.187");
  await expect(cells(page)).toHaveCount(1);
  await expect(cells(page)).toHaveAttribute("data-node", "n13499");
  await cells(page).click();
  await expect(page.getByRole("dialog")).toContainText("n13499");
});

test("a change reaches its cell and the heading while the others stay", async ({ lab, page }) => {
  await page.goto(await lab.open());
  await expect(cells(page).first()).toHaveAttribute("data-node", "n7000");
  const next = { ...one(7_000, "ready"), zone: 3 };
  const change = { through: lab.snapshot.through, at: lab.at(), lab: null, machines: [next] };
  lab.say({ event: "change", data: change });
  await expect(page.locator(".racks h2").first()).toContainText("zone 1");
  await expect(page.getByRole("button", { name: /bad/ })).toHaveCount(0);
});

test("keys walk through a hall", async ({ lab, page }) => {
  await page.goto(await lab.open());
  await page.locator(".racks .list").focus();
  await page.keyboard.press("End");
  await expect(page.locator('.racks [data-node="n13499"]')).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toContainText("n13499");
});
