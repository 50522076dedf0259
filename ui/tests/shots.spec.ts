// Pictures of the page at every size and in both themes, for people to look at. With README_SHOT they go to docs/.
import { expect, test } from "@playwright/test";
import { diagnosis, explanations, plans, snapshot, stock, story, traces } from "./demo";
import { ScriptedLab } from "./server";

const SIZES = [
  { width: 1920, height: 1080 },
  { width: 1024, height: 600 },
  { width: 800, height: 480 },
  { width: 360, height: 740 },
];

async function demo(): Promise<{ lab: ScriptedLab; link: string }> {
  const lab = new ScriptedLab(snapshot());
  lab.events = story();
  lab.plans = plans();
  lab.explanations = explanations();
  lab.diagnosis = diagnosis();
  lab.stock = stock();
  lab.traces = traces();
  return { lab, link: await lab.open() };
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const viewport of SIZES) {
    test(`the page at ${viewport.width} in ${colorScheme}`, async ({ browser }) => {
      const { lab, link } = await demo();
      const page = await browser.newPage({ viewport, colorScheme });
      await page.goto(link);
      await expect(page.getByRole("gridcell", { name: /^node6\b/ })).toBeVisible();
      await expect(page.getByText("Was offered 10.77.0.16.")).toHaveCount(1);
      await page.evaluate(() => document.fonts.ready);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      expect(wide, "nothing sticks out to the right").toBeLessThanOrEqual(viewport.width);
      const name = `${viewport.width}-${colorScheme}`;
      await page.screenshot({ path: `test-results/shots/${name}.png` });
      if (viewport.width === 360)
        await page.screenshot({ path: `test-results/shots/${name}-long.png`, fullPage: true });
      await page.getByRole("gridcell", { name: /^node6\b/ }).click();
      await expect(page.getByText("4 s, whatever the server does").first()).toBeVisible();
      await page.screenshot({ path: `test-results/shots/${name}-node.png` });
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: /^boss: / }).click();
      await expect(page.getByText("frames dropped").first()).toBeVisible();
      await page.screenshot({ path: `test-results/shots/${name}-boss.png` });
      await page.getByText("bookworm").scrollIntoViewIfNeeded();
      await page.screenshot({ path: `test-results/shots/${name}-stock.png` });
      await page.keyboard.press("Escape");
      await page.keyboard.press("s");
      await expect(page.getByText("What will happen")).toBeVisible();
      await page.screenshot({ path: `test-results/shots/${name}-start.png` });
      await page.close();
      await lab.close();
    });
  }
}

test("the picture for the README", async ({ browser }) => {
  test.skip(!process.env["README_SHOT"], "only on request: it writes into docs/");
  const { lab, link } = await demo();
  const page = await browser.newPage({
    viewport: { width: 1280, height: 720 },
    deviceScaleFactor: 1.5,
    colorScheme: "light",
  });
  await page.goto(link);
  await expect(page.getByRole("gridcell", { name: /^node6\b/ })).toBeVisible();
  await page.evaluate(() => document.fonts.ready);
  await page.locator(".lane").nth(2).locator(".bar.dhcp").hover();
  await page.screenshot({ path: "../docs/page.png" });
  await lab.close();
});
