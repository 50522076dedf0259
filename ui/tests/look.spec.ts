// How the page looks, how one gets about on it, and what a screen that anybody may touch needs.
import { expect, type Page } from "@playwright/test";
import { broken, cell, test } from "./bench";
import { machine, NOW, waterfall } from "./demo";

const paper = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const sheet = (page: Page, name: string) => page.getByRole("dialog", { name });

async function look(page: Page, ...choices: string[]) {
  await page.getByRole("button", { name: "Look" }).click();
  for (const choice of choices) await page.getByRole("radio", { name: choice }).check();
  await page.keyboard.press("Escape");
}

test("colours and size can be chosen and are kept", async ({ page, link }) => {
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  const size = () => page.evaluate(() => getComputedStyle(document.documentElement).fontSize);
  const [light, normal] = [await paper(page), await size()];
  await look(page, "dark", "projector");
  const [dark, large] = [await paper(page), await size()];
  expect(dark).not.toBe(light);
  expect(Number.parseInt(large)).toBeGreaterThan(1.5 * Number.parseInt(normal));
  await page.reload();
  await expect(cell(page, "node1")).toBeVisible();
  expect([await paper(page), await size()]).toEqual([dark, large]);
  await look(page, "system", "normal");
  expect([await paper(page), await size()]).toEqual([light, normal]);
});

test("a device that asks for more contrast gets it without a choice", async ({ page, link }) => {
  await page.emulateMedia({ contrast: "more" });
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  expect(await paper(page)).toBe("rgb(255, 255, 255)");
});

for (const viewport of [
  { width: 1920, height: 1080 },
  { width: 1280, height: 720 },
  { width: 800, height: 480 },
  { width: 360, height: 740 },
]) {
  test(`high contrast and projector keep everything in sight and every rule at ${viewport.width}`, async ({
    page,
    lab,
    link,
  }) => {
    lab.snapshot.machines[3] = machine("node4", 2, 2, "bad", {
      fault: { code: "never-asked", text: "no DISCOVER in 90 s" },
    });
    await page.setViewportSize(viewport);
    await page.goto(link);
    await expect(cell(page, "node6")).toBeVisible();
    await look(page, "contrast", "projector");
    await page.evaluate(() => document.fonts.ready);
    expect(await broken(page)).toEqual([]);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(wide, "nothing sticks out to the right").toBeLessThanOrEqual(viewport.width);
    await page.screenshot({ path: `test-results/shots/projector-${viewport.width}.png` });
    await page.getByRole("button", { name: "Look" }).click();
    expect(await broken(page), "Look").toEqual([]);
    await page.screenshot({ path: `test-results/shots/look-${viewport.width}.png` });
  });
}

test("a few letters lead anywhere, by keys alone, and switch nothing", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  await page.keyboard.press("Control+k");
  const line = page.getByRole("combobox", { name: "What to do or open" });
  await expect(line).toBeFocused();
  await line.fill("node3");
  await page.keyboard.press("Enter");
  await expect(sheet(page, "node3")).toBeVisible();
  await page.keyboard.press("Escape");

  const other = lab.snapshot.lab.scenarios.at(-1)?.name ?? "";
  await page.keyboard.press("Control+k");
  await line.fill(`start ${other}`);
  await expect(page.getByRole("option", { name: `Start ${other}` })).toHaveAttribute("aria-selected", "true");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("radio", { name: new RegExp(`^${other}`) })).toBeChecked();
  await page.keyboard.press("Escape");

  await page.keyboard.press("Control+k");
  await line.fill("zzz");
  await expect(page.getByText("Nothing has these words.")).toBeVisible();
  await page.keyboard.press("Enter");
  await expect(sheet(page, "Go to")).toBeVisible();
  await line.fill("");
  await page.keyboard.press("ArrowUp");
  await expect(page.getByRole("option").last()).toHaveAttribute("aria-selected", "true");
  await page.screenshot({ path: "test-results/shots/palette.png" });
  await page.keyboard.press("Home");
  await expect(page.getByRole("option").first()).toHaveAttribute("aria-selected", "true");
  expect(lab.posted).toEqual([]);
});

test("a screen that is cleaned does nothing for half a minute, whatever touches it", async ({ page, link }) => {
  await page.clock.install();
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  await page.getByRole("button", { name: "Look" }).click();
  await page.getByRole("button", { name: "Lock the screen for cleaning" }).click();
  const cover = sheet(page, "Locked for cleaning");
  await expect(cover).toBeVisible();
  for (const key of ["s", "x", "Escape", "Enter", "Tab"]) await page.keyboard.press(key);
  await page.mouse.click(200, 200);
  await page.clock.runFor(20_000);
  await expect(cover).toBeVisible();
  await expect(page.getByRole("dialog")).toHaveCount(1);
  expect(await broken(page)).toEqual([]);
  await page.clock.runFor(11_000);
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.keyboard.press("s");
  await expect(sheet(page, "Start")).toBeVisible();
});

test("a kiosk that rested is woken by the first touch, which presses nothing", async ({ page, lab, link }) => {
  await page.clock.install();
  await page.goto(link);
  await page.goto(`${lab.origin()}/?kiosk=2`);
  await expect(cell(page, "node1")).toBeVisible();
  const box = await cell(page, "node1").boundingBox();
  await page.clock.runFor(90_000);
  await page.mouse.click(2, 2);
  await page.clock.runFor(90_000);
  await expect(page.getByRole("dialog"), "it was touched meanwhile").toHaveCount(0);
  await page.clock.runFor(40_000);
  await expect(sheet(page, "Resting")).toBeVisible();
  expect(await broken(page)).toEqual([]);
  await page.screenshot({ path: "test-results/shots/rest.png" });
  await page.mouse.click((box?.x ?? 0) + 20, (box?.y ?? 0) + 20);
  await expect(page.getByRole("dialog")).toHaveCount(0);
  await page.mouse.click((box?.x ?? 0) + 20, (box?.y ?? 0) + 20);
  await expect(sheet(page, "node1")).toBeVisible();
});

test("visitors are told what happens, in large type, as it happens", async ({ page, lab, link }) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  await page.keyboard.press("v");
  await expect(sheet(page, "What happens here")).toBeVisible();
  const boot = waterfall("bios-pxe", NOW - 5_000, [["firmware", 4_000, 3_000]], true);
  lab.change([machine("node6", 2, 3, "dhcp", { boot })]);
  await expect(page.getByText("checks its memory and looks for something to start").first()).toBeVisible();
  await page.screenshot({ path: "test-results/shots/story.png" });
  lab.change(
    lab.snapshot.machines.map((m) => machine(m.node, m.cell.column, m.cell.row, "ready")),
    { phase: "ready" },
  );
  await expect(page.getByText(/^Ready for /)).toBeVisible();
});

test("on paper there is the board, and nothing that could be pressed", async ({ page, link }) => {
  await page.goto(link);
  await expect(cell(page, "node1")).toBeVisible();
  await page.emulateMedia({ media: "print" });
  await expect(cell(page, "node6")).toBeVisible();
  await expect(page.getByRole("button", { name: "Start" })).toBeHidden();
  await page.screenshot({ path: "test-results/shots/print.png", fullPage: true });
});
