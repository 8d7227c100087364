// A whole visit to the shop in headless Chromium, without JavaScript in the page.
//
//   node shop.mjs <path of the shop binary> [folder for screenshots]
//
// Starts the shop on a free port with a fresh folder, and ends every process that it started.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { launch } from "./chromium.mjs";

const [binary, pictures] = process.argv.slice(2);
assert(binary, "usage: node shop.mjs <path of the shop binary> [folder for screenshots]");
const sessions = await mkdtemp(path.join(tmpdir(), "shop-sessions-"));

let shop;
async function open(address = "127.0.0.1:0") {
  const child = spawn(binary, ["--addr", address, "--sessions", sessions, "--payment-delay", "2s"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  shop = child;
  const text = await new Promise((found, failed) => {
    let said = "";
    child.stdout.on("data", (data) => {
      said += data;
      const match = said.match(/http:\/\/([0-9.:]+)/);
      if (match) found(match[1]);
    });
    child.on("exit", (code) => failed(new Error(`the shop ended with ${code}: ${said}`)));
  });
  return text;
}
async function close() {
  if (!shop || shop.exitCode !== null) return;
  const ended = new Promise((done) => shop.on("exit", done));
  shop.kill("SIGTERM");
  await ended;
}

let checks = 0;
function seen(what) {
  checks += 1;
  console.log(`ok ${checks} - ${what}`);
}

const browser = await launch();

const recordsText = async () => {
  const names = (await readdir(sessions)).filter((name) => name.endsWith(".session"));
  const records = await Promise.all(names.map((name) => readFile(path.join(sessions, name))));
  return records.map((record) => record.toString("latin1"));
};

try {
  let address = await open();
  const shopUrl = () => `http://${address}`;
  const picture = async (page, name) => {
    if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`), fullPage: true });
  };
  const cookie = async () =>
    (await browser.cookies(shopUrl())).find((cookie) => cookie.name === "__Host-id");
  const visit = async (id) => {
    const answer = await fetch(`${shopUrl()}/session`, {
      headers: id ? { cookie: `__Host-id=${id}` } : {},
    });
    assert.equal(answer.status, 200);
    return answer.json();
  };

  const page = await browser.newPage();
  await page.goto(shopUrl());
  await picture(page, "desktop-light");
  assert.equal(await cookie(), undefined);
  assert.deepEqual(await recordsText(), []);
  seen("looking around sets no cookie and stores nothing");
  await page.getByRole("button", { name: "Add Jade Sencha" }).click();
  const first = await cookie();
  assert(first, "Chromium keeps the cookie");
  assert.equal(first.value.length, 43);
  assert.equal(first.secure, true);
  assert.equal(first.httpOnly, true);
  assert.equal(first.sameSite, "Lax");
  assert.equal(first.path, "/");
  assert.equal(first.expires, -1);
  assert(!first.domain.startsWith("."), "host-only");
  seen("the cookie's flags as the browser sees them");

  await page.getByRole("button", { name: "Add Hibiscus Night" }).click();
  assert.match(await page.getByRole("status").textContent(), /Hibiscus Night is in your cart/);
  await page.reload();
  assert.equal(await page.getByRole("status").count(), 0);
  seen("a notice after each action, shown once");

  await page.goto(`${shopUrl()}/cart`);
  await page.getByLabel("Quantity").first().fill("3");
  await page.getByRole("button", { name: "Change" }).first().click();
  assert.match(await page.locator(".total").textContent(), /44\.40/);
  await picture(page, "desktop-cart");
  seen("the cart changes");

  const port = address;
  await close();
  address = await open(port);
  await page.goto(`${shopUrl()}/cart`);
  assert.match(await page.locator(".total").textContent(), /44\.40/);
  assert.equal((await cookie()).value, first.value);
  seen("the cart survives a restart of the server");

  await page.getByRole("button", { name: "Sign in to pay" }).click();
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  assert.match(await page.getByRole("alert").textContent(), /wrong/);
  assert.equal((await cookie()).value, first.value);
  await page.getByLabel("Name").fill("ada");
  await page.getByLabel("Password").fill("difference-engine");
  await page.getByRole("button", { name: "Sign in" }).click();
  assert.match(await page.getByRole("status").textContent(), /Welcome, ada/);
  assert.match(page.url(), /cart$/, "back to where the visitor came from");
  await picture(page, "desktop-signed-in");
  const signedIn = await cookie();
  assert.notEqual(signedIn.value, first.value);
  seen("signing in changes the cookie");
  assert.equal((await visit(first.value)).is_new, true);
  assert.equal((await visit(first.value)).user, null);
  assert.equal((await visit(signedIn.value)).user, "ada");
  seen("the old cookie is worthless");

  const told = JSON.stringify(await visit(signedIn.value));
  assert(!told.includes(signedIn.value));
  const stored = (await recordsText()).join() + (await readdir(sessions)).join();
  assert(!stored.includes(signedIn.value) && !stored.includes(first.value));
  seen("neither the page nor the folder holds the id");

  await page.goto(`${shopUrl()}/cart`);
  const foreign = await fetch(`${shopUrl()}/cart/add`, {
    method: "POST",
    headers: {
      cookie: `__Host-id=${signedIn.value}`,
      "content-type": "application/x-www-form-urlencoded",
      origin: "https://evil.example",
    },
    body: "product=1",
    redirect: "manual",
  });
  assert.equal(foreign.status, 403);
  assert.deepEqual((await visit(signedIn.value)).cart, { 2: 3, 6: 1 });
  seen("a foreign form is refused and nothing is lost");

  // The same account in another browser: "where you are signed in", and a new password.
  const elsewhere = await launch();
  try {
    const there = await elsewhere.newPage();
    await there.goto(`${shopUrl()}/sign-in`);
    await there.getByLabel("Name").fill("ada");
    await there.getByLabel("Password").fill("difference-engine");
    await there.getByLabel("Stay signed in").check();
    await there.getByRole("button", { name: "Sign in" }).click();
    const remembered = (await elsewhere.cookies(shopUrl())).find((cookie) => cookie.name === "__Host-id");
    const days = (remembered.expires - Date.now() / 1000) / 86400;
    assert(days > 29.9 && days < 30.1, `${days} days`);
    seen("who wants to be remembered is, for 30 days");
    await page.goto(`${shopUrl()}/account`);
    assert.equal(await page.locator(".place").count(), 2);
    assert.equal(await page.locator(".place", { hasText: "this one" }).count(), 1);
    await picture(page, "desktop-account");
    await page.getByRole("button", { name: "Sign out there" }).click();
    assert.match(await page.getByRole("status").textContent(), /signed out there/);
    assert.equal(await page.locator(".place").count(), 1);
    await there.goto(`${shopUrl()}/account`);
    assert.match(there.url(), /sign-in\?to=\/account$/);
    seen("a visit is ended from another browser");
    await there.getByLabel("Name").fill("ada");
    await there.getByLabel("Password").fill("difference-engine");
    await there.getByRole("button", { name: "Sign in" }).click();
    await page.goto(`${shopUrl()}/account/password`);
    assert.match(page.url(), /confirm$/);
    await page.getByLabel("Password").fill("difference-engine");
    await page.getByRole("button", { name: "Go on" }).click();
    assert.match(page.url(), /password$/);
    await picture(page, "desktop-password");
    await page.getByLabel("New password").fill("analytical-engine");
    await page.getByRole("button", { name: "Change it" }).click();
    assert.match(await page.getByRole("status").textContent(), /has changed/);
    await there.goto(`${shopUrl()}/account`);
    assert.match(there.url(), /sign-in\?to=\/account$/);
    await there.getByLabel("Name").fill("ada");
    await there.getByLabel("Password").fill("difference-engine");
    await there.getByRole("button", { name: "Sign in" }).click();
    assert.match(await there.getByRole("alert").first().textContent(), /wrong/);
    seen("a new password takes the old one first, and ends the visits elsewhere");
  } finally {
    await elsewhere.close();
  }
  await page.goto(`${shopUrl()}/cart`);
  const beforePaying = await cookie();

  // A slow payment in one tab, signing out in another.
  const other = await browser.newPage();
  await other.goto(shopUrl());
  const paying = page.getByRole("button", { name: "Pay" }).click();
  await other.waitForTimeout(500);
  await other.getByRole("button", { name: "Sign out" }).click();
  assert.match(await other.getByRole("status").textContent(), /signed out/);
  const afterwards = await cookie();
  await paying;
  await page.waitForLoadState();
  assert.equal((await visit(beforePaying.value)).is_new, true);
  assert.equal((await visit(signedIn.value)).is_new, true);
  assert.equal((await cookie()).value, afterwards.value, "the slow answer set no cookie");
  assert.equal((await visit(afterwards.value)).user, null);
  assert((await recordsText()).every((record) => !record.includes("ada")), "no record of ada is left");
  seen("signing out in one tab while a payment runs in another stays signed out");
  assert.equal(await page.getByRole("link", { name: "Sign in" }).count(), 1);

  const phone = await browser.newPage();
  await phone.setViewportSize({ width: 390, height: 844 });
  for (const scheme of ["light", "dark"]) {
    await phone.emulateMedia({ colorScheme: scheme });
    await phone.goto(shopUrl());
    const wide = await phone.locator("body").boundingBox();
    assert(wide.width <= 390, "nothing sticks out on a phone");
    await picture(phone, `phone-${scheme}`);
    await phone.goto(`${shopUrl()}/sign-in`);
    await picture(phone, `phone-sign-in-${scheme}`);
  }
  await phone.goto(shopUrl());
  await phone.getByRole("button", { name: "Add Morning Assam" }).click();
  await phone.goto(`${shopUrl()}/cart`);
  await picture(phone, "phone-cart-dark");
  seen("readable on a phone, light and dark");

  const health = await fetch(`${shopUrl()}/health`);
  assert.equal(await health.text(), "ok");
  assert.equal(health.headers.get("vary"), null);
  const missing = await page.goto(`${shopUrl()}/nothing-here`);
  assert.equal(missing.status(), 404);
  await picture(page, "desktop-not-found");
  seen("/health touches no session, and what is not there is a 404");
  console.log(`${checks} checks passed`);
} finally {
  await browser.close();
  await close();
  await rm(sessions, { recursive: true, force: true });
}
