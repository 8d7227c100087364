"""Loads and saves of the same data by this library and by its peers in Python, Node, Go and Rust.

    python3 benches/peers.py             # about three minutes
    python3 benches/peers.py --ext4 2    # on an ext4 with a journal; as root

Sets the peers up (a venv, `npm ci`, Debian's golang-github-gorilla-sessions-dev; what is not to be had is
left out and said so), starts a process for each, and lets them take turns, each on 1,000 sessions of its
own. A load gives all fields; a save is one of a session that was loaded before, whose counter was changed.
What each peer does not do stands at the top of its file in benches/peers/.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from harness import BENCHES, Worker, add_data_arguments, built, data_folder, found, machine, median, table, written

PEERS = BENCHES / "peers"

# Name, what it is, what it does not do that our filesystem store does; from the sources.
CONTENDERS = {
    "filesystem-relaxed": ("ours, files, `Relaxed`", "–"),
    "filesystem-durable": ("ours, files, `Durable`", "–"),
    "memory": ("ours, memory", "no files"),
    "secure_cookie": (
        "Python, secure_cookie 0.2.0 FilesystemSessionStore",
        "no lock, no merge, no sync, no checksum, no expiry, no hashed id",
    ),
    "session-file-store": (
        "Node, session-file-store 1.5.0",
        "no lock across processes, no merge, no checksum, no sync of the folder, no hashed id; it does sync the file: to be compared with `Durable`",
    ),
    "gorilla": (
        "Go, gorilla/sessions 1.2.1 FilesystemStore",
        "no lock across processes, no merge, no sync, no temporary file: a kill leaves half a session; it does check an HMAC",
    ),
    "tower-memory": ("Rust, tower-sessions 0.15 MemoryStore", "no files, no merge, no hashed id, no bound on its size"),
}


def python_peer(data: Path) -> Callable | None:
    venv = data / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", venv])
    requirements = ["-r", PEERS / "requirements.txt"]
    if made.returncode or subprocess.run([venv / "bin" / "pip", "install", "-q", *requirements]).returncode:
        return None
    return lambda folder, count: Worker([venv / "bin" / "python", PEERS / "secure_cookie_store.py", count, folder])


def node_peer(data: Path) -> Callable | None:
    command = ["npm", "ci", "--prefix", PEERS / "node", "--no-audit", "--no-fund", "--silent"]
    if not found("npm") or subprocess.run(command).returncode:
        return None
    return lambda folder, count: Worker(["node", PEERS / "node" / "session_file_store.mjs", count, folder])


def go_peer(data: Path) -> Callable | None:
    # Debian's Go libraries are in a folder of their own and need no module proxy.
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    binary = data / "gorilla-program"
    if not found("go") or subprocess.run(["go", "build", "-o", binary, PEERS / "gorilla" / "main.go"], env=environment).returncode:
        return None
    return lambda folder, count: Worker([binary, count, folder])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sessions", type=int, default=1000)
    add_data_arguments(parser)
    arguments = parser.parse_args()

    binary = built() / "peer"
    with data_folder(arguments) as data:
        starts = {"secure_cookie": python_peer(data), "session-file-store": node_peer(data), "gorilla": go_peer(data)}
        workers = {}
        for name in CONTENDERS:
            folder = data / name
            if name not in starts:
                workers[name] = Worker([binary, name, arguments.sessions, folder])
            elif starts[name]:
                folder.mkdir()
                workers[name] = starts[name](folder, arguments.sessions)
            else:
                print(f"left out, as it could not be set up: {name}")
        results = {"machine": machine(data), "sessions": arguments.sessions, "contenders": {}}
        for name in workers:
            results["contenders"][name] = {"load": [], "save": []}
        # One round that does not count.
        for turn in range(arguments.rounds + 1):
            print(f"round {turn} of {arguments.rounds}", flush=True)
            for what in ["load", "save"]:
                for name, worker in workers.items():
                    told = worker.turn(what)
                    if turn > 0:
                        results["contenders"][name][what].append(told["seconds"] / told["count"] * 1e6)
        for worker in workers.values():
            worker.stop()

    medians = {
        name: {what: median(figures) for what, figures in turns.items()} for name, turns in results["contenders"].items()
    }
    base = medians["filesystem-relaxed"]
    rows = []
    for name, figures in medians.items():
        title, lacks = CONTENDERS[name]
        loads, saves = figures["load"], figures["save"]
        rows.append([title, f"{loads:.1f}", f"{loads / base['load']:.2f}×", f"{saves:.1f}", f"{saves / base['save']:.2f}×", lacks])
    table(["", "load, µs", "to ours at `Relaxed`", "save, µs", "to ours at `Relaxed`", "what it does not do"], rows)
    results["medians"] = medians
    written("peers.json", results)


main()
