// Browser tests. `scripted` runs against a server of our own that says what each test needs;
// `real` runs against a controller whose link (with its token) is in LABINATOR_URL.
import { defineConfig } from "@playwright/test";

export default defineConfig({
  // A busy machine shows late what it shows; tests that are about time say so themselves.
  expect: { timeout: 20_000 },
  testDir: "tests",
  outputDir: "test-results",
  fullyParallel: true,
  workers: 2,
  reporter: [["list"]],
  timeout: 60_000,
  use: {
    browserName: "chromium",
    launchOptions: { executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] },
    viewport: { width: 1024, height: 600 },
  },
  projects: [
    { name: "scripted", testMatch: /(consoles|look|page|racks|shots)\.spec\.ts/ },
    { name: "real", testMatch: /real\.spec\.ts/ },
  ],
});
