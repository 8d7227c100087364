"""What is compared over HTTP, and how its servers are built, started and asked.

For `http.py` and `instructions.py`; nothing to be run by itself.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))


class Contender(NamedTuple):
    """A server, one of its paths, and the bare server of its framework."""

    name: str
    server: str
    path: str
    bare: str
    # How much the number in the answers rises by each request.
    step: int = 0


CONTENDERS = [
    Contender("bare-actix", "bare-actix", "/read", "bare-actix"),
    Contender("session-unused", "session-unused", "/read", "bare-actix"),
    Contender("session-memory-read", "session-memory", "/read", "bare-actix"),
    Contender("session-memory-write", "session-memory", "/write", "bare-actix", 1),
    # What a read costs does not depend on the durability.
    Contender("session-files-read", "session-files-relaxed", "/read", "bare-actix"),
    Contender("session-files-write", "session-files-relaxed", "/write", "bare-actix", 1),
    Contender("session-files-write-durable", "session-files-durable", "/write", "bare-actix", 1),
    Contender("actix-session-cookie-read", "actix-session-cookie", "/read", "bare-actix"),
    Contender("actix-session-cookie-write", "actix-session-cookie", "/write", "bare-actix", 1),
    Contender("actix-session-redis-read", "actix-session-redis", "/read", "bare-actix"),
    Contender("actix-session-redis-write", "actix-session-redis", "/write", "bare-actix", 1),
    Contender("bare-axum", "bare-axum", "/read", "bare-axum"),
    Contender("tower-sessions-memory-read", "tower-sessions-memory", "/read", "bare-axum"),
    Contender("tower-sessions-memory-write", "tower-sessions-memory", "/write", "bare-axum", 1),
]


def chosen(names):
    """The contenders of these names, with the bare servers that they are compared with; all of them if
    none is named."""
    if not names:
        return CONTENDERS
    known = {contender.name: contender for contender in CONTENDERS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"there is no {', '.join(unknown)}; there are: {', '.join(known)}")
    wanted = set(names) | {known[name].bare for name in names}
    return [contender for contender in CONTENDERS if contender.name in wanted]


def build():
    """Compiles the server and the load generator."""
    command = ["cargo", "build", "--release", "--locked", "--bin", "server", "--bin", "load"]
    subprocess.run(command, cwd=HERE, check=True)


def binary(name):
    return str(TARGET / "release" / name)


def pinned(core):
    """The beginning of a command that runs on one core."""
    return ["taskset", "--cpu-list", str(core)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{process.args} has ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{process.args} does not listen")


@contextlib.contextmanager
def running(command, port):
    """A process that listens on `port`; ended by its own id."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def redis(prefix=()):
    """A Redis of its own on this machine, which keeps nothing; gives its port."""
    if shutil.which("redis-server") is None:
        raise SystemExit("redis-server is missing: apt-get install redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [*prefix, "redis-server", "--port", str(port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", folder, "--loglevel", "warning"]
        with running(command, port):
            yield port


@contextlib.contextmanager
def server(kind, redis_port, prefix=()):
    """A server of its own, with an empty store; gives its port and its process."""
    port = free_port()
    with tempfile.TemporaryDirectory(dir=folder_of_stores()) as folder:
        command = [*prefix, binary("server"), kind, str(port)]
        command += ["--folder", f"{folder}/sessions", "--redis", str(redis_port)]
        with running(command, port) as process:
            yield port, process


def folder_of_stores():
    """Where the stores of files lie: where `BENCH_STORES` says, or beside what cargo builds, which is on
    a disk and not in memory."""
    folder = pathlib.Path(os.environ.get("BENCH_STORES", TARGET / "bench-stores"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def load(contender, port, *arguments, prefix=()):
    """One run of the load generator; ends the whole measurement when a request fails."""
    command = [*prefix, binary("load"), str(port), contender.path, "--step", str(contender.step)]
    command += [str(argument) for argument in arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0 or json.loads(done.stdout)["errors"] != 0:
        raise SystemExit(f"{contender.name}: a request has failed; nothing is reported")
    return json.loads(done.stdout)


def machine():
    """What the figures were taken on."""
    def output(*command):
        done = subprocess.run(command, cwd=HERE, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    cpu = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": os.uname().release,
        "rustc": output("rustc", "--version"),
        "redis": output("redis-server", "--version"),
        "commit": output("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "stores_on": output("stat", "--file-system", "--format=%T", str(folder_of_stores())),
        "load_average": os.getloadavg(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write(name, content):
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def table(heads, rows):
    """A Markdown table; numbers stand on the right."""
    print("| " + " | ".join(heads) + " |")
    print("|---" + "|---:" * (len(heads) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
