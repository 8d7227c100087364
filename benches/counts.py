"""Instructions and system calls of single operations, which repeat on a noisy machine as times do not.

    python3 benches/counts.py

Each operation runs under callgrind twice, so many times and many more, and the difference is divided:
instructions of user space, as a CPU without the SHA extensions would do them. Operations on the filesystem
store run under strace in the same way. Writes `results/counts.json` and prints Markdown. Needs valgrind
and strace.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from harness import built, machine, run, table, written

RECORDS = ["rmp_serde_encode", "rmp_serde_decode", "encode", "decode", "decode_all_fields", "store_key"]
OPERATIONS = ["bare", "bare_decoded", "bare_save", "load", "get", "save", "swap", "touch", "find"]
FEW, MANY = 100, 600
SESSIONS = 1000


def instructions(command: list, times: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        done = subprocess.run([*callgrind, *map(str, command), str(times)], check=True, capture_output=True, text=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


def calls(command: list, times: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out"
        subprocess.run(["strace", "-f", "-c", "-o", output, *map(str, command), str(times)], check=True)
        lines = output.read_text().splitlines()
    rows = [line.split() for line in lines if re.match(r" *\d+\.\d+ ", line) and not line.endswith("total")]
    return {row[-1]: int(row[3]) for row in rows}


def each(few, many) -> float:
    return (many - few) / (MANY - FEW)


def main() -> None:
    binaries = built()
    results = {"machine": machine(Path("/tmp")), "times": [FEW, MANY], "records": {}, "store": {}}
    for name in RECORDS:
        command = [binaries / "records", name]
        results["records"][name] = each(*(instructions(command, times) for times in (FEW, MANY)))
    with tempfile.TemporaryDirectory() as data:
        folder = Path(data) / "sessions"
        run([binaries / "growth", "populate", folder, SESSIONS])
        for name in OPERATIONS:
            command = [binaries / "profile", name, folder, SESSIONS]
            counted = each(*(instructions(command, times) for times in (FEW, MANY)))
            few, many = (calls(command, times) for times in (FEW, MANY))
            counts = {call: each(few.get(call, 0), many[call]) for call in many}
            # What only one in twenty does belongs to waking and sleeping threads.
            counts = {call: count for call, count in sorted(counts.items()) if count > 0.05}
            results["store"][name] = {"instructions": counted, "system_calls": counts}
    written("counts.json", results)
    table(["a record, in memory", "instructions"], [[name, f"{count:,.0f}"] for name, count in results["records"].items()])
    rows = [
        [name, f"{told['instructions']:,.0f}", ", ".join(f"{call} {count:.2g}" for call, count in told["system_calls"].items())]
        for name, told in results["store"].items()
    ]
    table(["filesystem store, `Process`", "instructions", "system calls"], rows)


main()
