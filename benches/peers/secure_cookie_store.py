"""Loads and saves with secure_cookie's FilesystemSessionStore, the successor of werkzeug's. One of the
processes that `python3 benches/peers.py` runs turn by turn.

What it does not do, from its source (secure_cookie/session.py, 0.2.0): no lock, so of two saves at once
the later one undoes the earlier one; no fsync; no checksum, as what cannot be unpickled becomes an empty
session in silence; no expiry; the id in the clear as the file's name; errors of the rename are passed
over in silence. `pickle` runs whatever code the file says.
"""

import json
import sys
import time

from secure_cookie.session import FilesystemSessionStore

STEP = 7919


def main() -> None:
    count, folder = int(sys.argv[1]), sys.argv[2]
    store = FilesystemSessionStore(folder)
    names = []
    for _ in range(count):
        session = store.new()
        session["user"] = "ada.lovelace@example.org"
        session["cart"] = [{"product": product, "quantity": 2, "note": "gift wrapped"} for product in range(5)]
        session["csrf"] = "0123456789abcdef0123456789abcdef"
        session["views"] = 41
        store.save(session)
        names.append(session.sid)
    order = [names[turn * STEP % count] for turn in range(count)]
    print("ready", flush=True)
    for line in sys.stdin:
        if line.strip() == "load":
            start = time.perf_counter()
            for name in order:
                store.get(name)
        else:
            sessions = [store.get(name) for name in order]
            for session in sessions:
                assert len(session["cart"]) == 5
                session["views"] += 1
            start = time.perf_counter()
            for session in sessions:
                store.save(session)
        print(json.dumps({"seconds": time.perf_counter() - start, "count": count}), flush=True)


main()
