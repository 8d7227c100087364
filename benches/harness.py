"""What the measuring scripts of this folder share: building, where the data lies, what machine it is, and
processes that do a turn of their work whenever they are told to. Python's standard library only.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

BENCHES = Path(__file__).resolve().parent
RESULTS = BENCHES / "results"


def built() -> Path:
    """The folder of the release binaries, which are made first."""
    command = ["cargo", "build", "--release", "--quiet", "--message-format=json-render-diagnostics"]
    output = subprocess.run(command, cwd=BENCHES, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in output.splitlines()]
    binary = next(message["executable"] for message in messages if message.get("executable"))
    return Path(binary).parent


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the data lies, as every script of this folder lets its user choose."""
    parser.add_argument("--data", type=Path, default=Path("/tmp"), help="where the files are made")
    parser.add_argument(
        "--ext4",
        type=int,
        metavar="GIB",
        help="put the files on a new ext4 with a journal, so large, in a file of that folder; as root",
    )


@contextmanager
def data_folder(arguments: argparse.Namespace):
    """A folder for data, which is taken away at the end."""
    arguments.data.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="session-benches-", dir=arguments.data))
    try:
        if arguments.ext4:
            with new_ext4(folder, arguments.ext4) as mounted:
                yield mounted
        else:
            yield folder
    finally:
        removed(folder)


@contextmanager
def new_ext4(folder: Path, gibibytes: int):
    """A new ext4 as distributions make it, as some virtual machines have one without a journal, which
    behaves otherwise: it looks for a new inode for ever longer as files are replaced, and syncs less.
    More inodes than by default, for very many small files."""
    image, mounted = folder / "image", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(gibibytes << 30)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-i", "4096", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


def removed(folder: Path) -> None:
    """Takes a folder away, however much is in it: `rm` is faster than `shutil.rmtree`."""
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def file_system(folder: Path) -> str:
    """The kind of file system that `folder` is on, its options, and whether it has a journal."""
    command = ["findmnt", "-n", "-o", "SOURCE,FSTYPE,OPTIONS", "-T", str(folder)]
    words = subprocess.run(command, capture_output=True, text=True).stdout.split()
    if len(words) < 2:
        return "unknown"
    journals = Path("/proc/fs/jbd2")
    name = Path(words[0]).name
    has_journal = journals.exists() and any(entry.name.startswith(f"{name}-") for entry in journals.iterdir())
    journal = {True: ", journal", False: ", no journal"}[has_journal] if words[1] == "ext4" else ""
    return " ".join(words[1:]) + journal


def machine(folder: Path) -> dict:
    """What was measured on, and how busy it was."""
    cpus = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=BENCHES, capture_output=True, text=True)
    return {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "system": f"{platform.system()} {platform.release()}",
        "cpus": len(cpus),
        "cpu": cpus[0] if cpus else platform.machine(),
        "load_before": os.getloadavg()[0],
        "file_system": file_system(folder),
    }


class Worker:
    """A process that says `ready`, and then answers every line with one line of JSON."""

    def __init__(self, command: list, environment: dict | None = None):
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        line = self.process.stdout.readline().strip()
        if line != "ready":
            raise SystemExit(f"{command[0]} did not get ready: {line!r}")

    def tell(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict:
        return json.loads(self.process.stdout.readline())

    def turn(self, line: str) -> dict:
        self.tell(line)
        return self.answer()

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def run(command: list) -> dict:
    """What a process prints, which is JSON."""
    output = subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output)


def written(name: str, results: dict) -> None:
    """Keeps the raw figures."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nRaw figures: {path.relative_to(BENCHES.parent)}")


def table(head: list, rows: list) -> None:
    """Prints a Markdown table; the first column is text, the others are numbers."""
    print("\n| " + " | ".join(head) + " |")
    print("|---" + "|---:" * (len(head) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")


def found(tool: str) -> bool:
    return shutil.which(tool) is not None


__all__ = ["BENCHES", "RESULTS", "Worker", "add_data_arguments", "built", "data_folder", "found", "machine", "median", "removed", "run", "table", "written"]
