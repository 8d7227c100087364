"""Everything in BENCHMARKS.md, one after the other: some two hours, as root, on a machine that does nothing else.

    python3 benches/all.py            # all of it
    python3 benches/all.py --quick    # does everything still run? some twenty minutes

Raw figures go to `results/`, tables to the terminal, curves to `plots/`. What a tool is missing for is told
at the end, and nothing else is left out for it.
"""

import argparse
import subprocess
import sys

from harness import BENCHES

# What to run, and what to run in its place when it only has to be seen to run.
STEPS = [
    (["cargo", "run", "--release", "--bin", "records"], None),
    (["counts.py"], None),
    (["growth.py", "--ext4", "16"], ["growth.py", "--ext4", "1", "--sizes", "1000", "10000", "--rounds", "1"]),
    (["processes.py", "--ext4", "2"], ["processes.py", "--ext4", "2", "--rounds", "1"]),
    (["peers.py", "--ext4", "2"], ["peers.py", "--ext4", "2", "--rounds", "1"]),
    (["http.py", "--ext4", "2"], ["http.py", "--quick"]),
    (["instructions.py"], ["instructions.py", "--only", "session-unused"]),
    (["compile.py"], ["compile.py", "--quick"]),
    (["plot.py"], None),
    (["report.py"], None),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    is_quick = parser.parse_args().quick
    failed = []
    for full, quick in STEPS:
        command = quick if is_quick and quick else full
        print(f"\n# {' '.join(command)}\n", flush=True)
        if command[0].endswith(".py"):
            command = [sys.executable, *command]
        if subprocess.run(command, cwd=BENCHES).returncode:
            failed.append(" ".join(command))
    if failed:
        raise SystemExit("failed: " + "; ".join(failed))


main()
