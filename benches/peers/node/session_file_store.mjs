// Loads and saves with session-file-store, the file store for express-session. One of the processes
// that `python3 benches/peers.py` runs turn by turn.
//
// What it does, from its source (session-file-helpers.js 1.5.0, write-file-atomic 3.0.3): JSON into a
// temporary file, fsync, chown, chmod, rename; so a save is to be compared with ours at `Atomic`. What
// it does not do: no lock across processes and no merge, so of two saves at once the later one undoes
// the earlier one; no fsync of the folder; no checksum, as what is no JSON is deleted; a missing
// session is looked for six times, 50 to 100 ms apart; the id in the clear as the file's name.

import { createInterface } from "node:readline";
import { promisify } from "node:util";
import expressSession from "express-session";
import sessionFileStore from "session-file-store";

const step = 7919;
const count = Number(process.argv[2]);
const FileStore = sessionFileStore(expressSession);
const store = new FileStore({ path: process.argv[3], reapInterval: -1, logFn: () => {} });
const get = promisify(store.get.bind(store));
const set = promisify(store.set.bind(store));

const name = (place) => `session-${String(place).padStart(24, "0")}`;
for (let place = 0; place < count; place += 1) {
  const cart = [0, 1, 2, 3, 4].map((product) => ({ product, quantity: 2, note: "gift wrapped" }));
  await set(name(place), {
    cookie: { originalMaxAge: 3600000 },
    user: "ada.lovelace@example.org",
    cart,
    csrf: "0123456789abcdef0123456789abcdef",
    views: 41,
  });
}
const order = Array.from({ length: count }, (_, turn) => name((turn * step) % count));
console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  let start;
  if (line === "load") {
    start = performance.now();
    for (const id of order) {
      await get(id);
    }
  } else {
    const sessions = [];
    for (const id of order) {
      const session = await get(id);
      if (session.cart.length !== 5) {
        throw new Error("the cart is not there");
      }
      session.views += 1;
      sessions.push([id, session]);
    }
    start = performance.now();
    for (const [id, session] of sessions) {
      await set(id, session);
    }
  }
  console.log(JSON.stringify({ seconds: (performance.now() - start) / 1000, count }));
}
