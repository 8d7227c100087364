// Chromium as the tests start it: headless, with a profile of its own, and no talk of its own.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { chromium } from "playwright-core";

export async function launch(options = {}) {
  const profile = await mkdtemp(path.join(tmpdir(), "session-profile-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    javaScriptEnabled: false,
    viewport: { width: 1200, height: 900 },
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
      // A name for this machine that is none of its own, for cookies with a domain.
      "--host-resolver-rules=MAP shop.test 127.0.0.1",
    ],
    ...options,
  });
  browser.on("close", () => rm(profile, { recursive: true, force: true }).catch(() => {}));
  return browser;
}
