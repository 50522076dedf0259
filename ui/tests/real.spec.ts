// The page against a real controller. LABINATOR_URL is the link it printed, with the token.
import { expect, test } from "@playwright/test";

const link = process.env["LABINATOR_URL"];

test("the board turns up with the machines the controller tells of", async ({ page }) => {
  test.skip(!link, "LABINATOR_URL is not set");
  const foreign: string[] = [];
  const origin = new URL(link ?? "http://localhost").origin;
  page.on("request", (request) => {
    if (!request.url().startsWith(origin)) foreign.push(request.url());
  });
  await page.goto(link ?? "");
  await expect(page).toHaveURL(`${origin}/`);
  const cells = page.locator('[role="gridcell"]:not([aria-label="empty"])');
  await expect(cells.first()).toBeVisible({ timeout: 10_000 });
  const told = (await (await page.request.get(`${origin}/v1/snapshot`)).json()) as {
    machines: { node: string }[];
    lab: { name: string };
  };
  await expect(cells).toHaveCount(told.machines.length);
  for (const { node } of told.machines)
    await expect(page.getByRole("gridcell", { name: new RegExp(`^${node}\\b`) })).toBeVisible();
  await expect(page.locator("header h1")).toHaveText(told.lab.name);
  await expect(page.locator("header .fresh")).toHaveText("live");
  await cells.first().click();
  await expect(page.getByRole("dialog").getByText("wanted", { exact: true })).toBeVisible();
  await page.keyboard.press("Escape");
  await page.screenshot({ path: "test-results/shots/real.png" });
  expect(foreign).toEqual([]);
});
