// Signing out empties the jar of a real browser, whatever the cookie's settings are.
//
//   node cookies.mjs <path of the probe binary>
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { launch } from "./chromium.mjs";

const [binary] = process.argv.slice(2);
assert(binary, "usage: node cookies.mjs <path of the probe binary>");

const settings = [
  { name: "__Host-id", arguments: [], expect: { secure: true, sameSite: "Lax", path: "/" } },
  { name: "__Host-id", arguments: ["strict"], expect: { secure: true, sameSite: "Strict" } },
  { name: "sid", arguments: ["name=sid", "path=/sub"], below: "/sub", expect: { path: "/sub" } },
  { name: "__Secure-sid", arguments: ["name=__Secure-sid"], expect: { secure: true } },
  { name: "id", arguments: ["insecure"], expect: { secure: false, httpOnly: true } },
  {
    name: "sid",
    arguments: ["name=sid", "domain=shop.test", "insecure"],
    host: "shop.test",
    expect: { domain: ".shop.test", secure: false },
  },
  { name: "__Host-id", arguments: ["none", "partitioned"], expect: { secure: true, sameSite: "None" } },
];

const browser = await launch();
let checks = 0;
try {
  for (const setting of settings) {
    const folder = await mkdtemp(path.join(tmpdir(), "probe-sessions-"));
    const probe = spawn(binary, [path.join(folder, "sessions"), ...setting.arguments], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    try {
      const address = await new Promise((found, failed) => {
        probe.stdout.once("data", (data) => found(String(data).trim()));
        probe.once("exit", (code) => failed(new Error(`the probe ended with ${code}`)));
      });
      const port = address.split(":").pop();
      const url = `http://${setting.host ?? "127.0.0.1"}:${port}${setting.below ?? ""}`;
      const jar = async () => (await browser.cookies()).filter((cookie) => cookie.name === setting.name);
      const page = await browser.newPage();
      await page.goto(`${url}/login/alice`);
      const [cookie, ...more] = await jar();
      assert(cookie, `${setting.arguments}: Chromium keeps the cookie`);
      assert.equal(more.length, 0);
      for (const [name, value] of Object.entries(setting.expect)) {
        assert.equal(cookie[name], value, `${setting.arguments}: ${name}`);
      }
      await page.goto(`${url}/who`);
      assert.match(await page.locator("body").textContent(), /user=alice/);
      await page.goto(`${url}/logout`);
      assert.deepEqual(await jar(), [], `${setting.arguments}: the jar is empty`);
      await page.goto(`${url}/who`);
      assert.match(await page.locator("body").textContent(), /user=-/);
      await page.close();
      checks += 1;
      console.log(`ok ${checks} - the jar is empty after signing out: ${setting.arguments.join(" ") || "defaults"}`);
    } finally {
      probe.stdin.end();
      await new Promise((done) => (probe.exitCode === null ? probe.once("exit", done) : done()));
      await rm(folder, { recursive: true, force: true });
    }
  }
  console.log(`${checks} settings passed`);
} finally {
  await browser.close();
}
