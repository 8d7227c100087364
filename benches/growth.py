"""How the filesystem store grows, from 1,000 to 1,000,000 sessions: load, save, touch, find, list, sweep and
memory, beside the bare system calls on the same files.

    python3 benches/growth.py            # all sizes; about ten minutes, 6 GiB below /tmp
    python3 benches/growth.py --cold     # also with the caches of the whole machine emptied; as root
    python3 benches/growth.py --ext4 16  # on an ext4 with a journal; as root
    python3 benches/plot.py              # draws the curves

Every session is one of ten of its owner. What is compared takes turns; the records are in the page cache:
single operations are each done once untimed shortly before. How much of a walk came from the disk is told.
"""

import argparse
import subprocess
from pathlib import Path

from harness import add_data_arguments, built, data_folder, machine, median, removed, run, table, written

WALKS = ["bare_names", "bare_status", "bare_bytes", "list", "sweep_nothing"]
OPERATIONS = ["bare", "bare_decoded", "bare_save", "hop", "load", "get", "save", "swap", "touch", "find"]


def walk(binary: Path, step: str, folder: Path, count: int) -> dict:
    told = run([binary, step, folder])
    expected = {"sweep_nothing": 0, "sweep_one_in_a_hundred": -(-count // 100)}.get(step, count)
    if told["count"] != expected:
        raise SystemExit(f"{step} told of {told['count']} sessions, not of {expected}")
    return told


def empty_caches() -> None:
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def measured(binary: Path, folder: Path, count: int, arguments: argparse.Namespace) -> dict:
    print(f"{count:,} sessions: writing …", flush=True)
    run([binary, "populate", folder, count])
    # Whatever is still to be written would be written while the rest is measured.
    subprocess.run(["sync", "-f", str(folder)], check=True)
    print("  single operations …", flush=True)
    results = {"operations": run([binary, "operations", folder, count, 12, 400]), "walks": {step: [] for step in WALKS}}
    results["walks"]["sweep_one_in_a_hundred"] = []
    for turn in range(arguments.rounds):
        print(f"  walks, round {turn + 1} of {arguments.rounds} …", flush=True)
        # One that does not count, so that the first that does finds what the others find.
        walk(binary, "bare_bytes", folder, count)
        for step in WALKS + ["sweep_one_in_a_hundred"]:
            results["walks"][step].append(walk(binary, step, folder, count))
        run([binary, "restore", folder, count])
    loads = min(500, count // 10)
    results["forgotten"] = run([binary, "forgotten", folder, count, loads])
    if arguments.cold:
        empty_caches()
        results["cold"] = run([binary, "cold", folder, count, loads])
        results["cold_walks"] = {}
        for step in ["bare_bytes", "list"]:
            empty_caches()
            results["cold_walks"][step] = walk(binary, step, folder, count)
    return results


def microseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1000:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5, help="of walks")
    parser.add_argument("--cold", action="store_true", help="empty the machine's caches, too")
    add_data_arguments(parser)
    arguments = parser.parse_args()

    binary = built() / "growth"
    with data_folder(arguments) as data:
        results = {"machine": machine(data), "sizes": {}}
        for count in arguments.sizes:
            folder = data / str(count)
            results["sizes"][str(count)] = measured(binary, folder, count, arguments)
            removed(folder)
            # After each size, as the last one takes long.
            written("growth.json", results)

    sizes = results["sizes"]
    first = next(iter(sizes.values()))["operations"]
    rows = []
    for step in OPERATIONS:
        medians = [size["operations"][step]["median"] for size in sizes.values()]
        rows.append([step, *map(microseconds, medians), f"{medians[-1] / first[step]['median']:.2f}×"])
    rows.append(["load, its bytes out of the cache", *(microseconds(size["forgotten"]["load"]["median"]) for size in sizes.values()), ""])
    rows.append(["bare, its bytes out of the cache", *(microseconds(size["forgotten"]["bare"]["median"]) for size in sizes.values()), ""])
    if arguments.cold:
        rows.append(["load, all caches empty", *(microseconds(size["cold"]["load"]["median"]) for size in sizes.values()), ""])
        rows.append(["bare, all caches empty", *(microseconds(size["cold"]["bare"]["median"]) for size in sizes.values()), ""])
    heads = [f"{int(count):,} sessions" for count in sizes]
    table(["median, µs", *heads, "last to first"], rows)

    rows = []
    for step in [*WALKS, "sweep_one_in_a_hundred"]:
        seconds = [median(told["seconds"] for told in size["walks"][step]) for size in sizes.values()]
        rows.append([step, *(f"{int(count) / time:,.0f}" for count, time in zip(sizes, seconds))])
    table(["sessions a second", *heads], rows)

    rows = []
    for step in ["bare_bytes", "list", "sweep_nothing", "sweep_one_in_a_hundred"]:
        peaks = [max(told["peak_memory_kibibytes"] for told in size["walks"][step]) for size in sizes.values()]
        rows.append([step, *(f"{peak / 1024:.1f}" for peak in peaks)])
    table(["most memory ever, MiB", *heads], rows)

    rows = []
    for step in ["bare_bytes", "list", "sweep_nothing"]:
        fetched = [median(told["bytes_from_disk"] for told in size["walks"][step]) for size in sizes.values()]
        rows.append([step, *(f"{bytes_read / int(count):,.0f}" for count, bytes_read in zip(sizes, fetched))])
    table(["bytes a session from the disk: 0 where the page cache had them", *heads], rows)


main()
