// What the tests of the page stand on: a scripted lab, and a watch over everything that must never happen.
import axe from "axe-core";
import { expect, type Page, test as base } from "@playwright/test";
import { explanations, plans, snapshot, story } from "./demo";
import { ScriptedLab } from "./server";

export const test = base.extend<{ lab: ScriptedLab; link: string; faults: string[] }>({
  lab: async ({}, use) => {
    const lab = new ScriptedLab(snapshot());
    lab.events = story();
    lab.plans = plans();
    lab.explanations = explanations();
    await use(lab);
    await lab.close();
  },
  link: async ({ lab }, use) => use(await lab.open()),
  // Every test fails on an error in the console, on a breach of the policy and on a request to anybody else.
  faults: [
    async ({ page, lab }, use) => {
      const faults: string[] = [];
      page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
      page.on("console", (said) => {
        if (/Content Security Policy|Refused to/i.test(said.text())) faults.push(said.text());
      });
      page.on("dialog", (dialog) => {
        faults.push(`dialog: ${dialog.message()}`);
        void dialog.dismiss();
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

/** The cell of a machine on the board. */
export const cell = (page: Page, name: string) => page.getByRole("gridcell", { name: new RegExp(`^${name}\\b`) });

/** Rules of accessibility that the page breaks as it is. */
export async function broken(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
  return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 120)} ${n.failureSummary ?? ""}`));
}
