"""Writes the tables of BENCHMARKS.md anew from the raw figures in `results/`, so that no figure is copied by hand.

    python3 benches/report.py
"""

import json

from harness import BENCHES, RESULTS, median

DOCUMENT = BENCHES.parent / "BENCHMARKS.md"


def results(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text())


def machine(figures: dict) -> str:
    told = figures["machine"]
    place = told.get("file_system") or told.get("stores_on")
    system = told.get("system") or f"Linux {told['kernel']}"
    return f"Measured {told['at'][:10]}, commit {told['commit']}, {told['cpu']}, {system}, stores on {place}.\n"


def table(head: list, rows: list) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def http() -> str:
    figures = results("http")
    rows = []
    for name, told in figures["medians"].items():
        row = [name, f"{told['requests_per_second']:,.0f}", f"{told['p50_micros']:,.0f}", f"{told['p99_micros']:,.0f}"]
        rows.append([*row, f"{told['allocations']:.0f}", f"{told['server_cpu_micros']:.1f}"])
    head = ["one worker", "requests a second", "p50 µs", "p99 µs", "allocations", "server's CPU, µs"]
    return machine(figures) + "\n" + table(head, rows)


def peers() -> str:
    figures = results("peers")
    rows = [[name, f"{told['load']:.1f}", f"{told['save']:.1f}"] for name, told in figures["medians"].items()]
    return machine(figures) + "\n" + table(["1,000 sessions", "load, µs", "save, µs"], rows)


def growth() -> str:
    figures = results("growth")
    sizes = figures["sizes"]
    operations = list(next(iter(sizes.values()))["operations"])
    rows = []
    for name in operations:
        medians = [told["operations"][name]["median"] / 1000 for told in sizes.values()]
        rows.append([name, *(f"{micros:.1f}" for micros in medians)])
    head = ["µs, median", *(f"{int(size):,} sessions" for size in sizes)]
    return machine(figures) + "\n" + table(head, rows)


def processes() -> str:
    figures = results("processes")
    rows = []
    for durability, told in figures["tasks"].items():
        tasks = [f"{median(rates):,.0f}" for rates in told.values()]
        two = median(figures["processes"][durability]["2"])
        rows.append([durability, *tasks, f"{two:,.0f}"])
    tasks = next(iter(figures["tasks"].values()))
    head = ["saves a second", *(f"{count} at once" for count in tasks), "two processes"]
    return machine(figures) + "\n" + table(head, rows)


def counts() -> str:
    figures = results("counts")
    rows = []
    for name, told in figures["store"].items():
        calls = ", ".join(call for call, count in told["system_calls"].items() if count >= 0.5)
        rows.append([name, f"{told['instructions']:,.0f}", calls])
    return machine(figures) + "\n" + table(["one operation", "instructions", "system calls"], rows)


def main() -> None:
    text = DOCUMENT.read_text()
    for part in [http, peers, growth, processes, counts]:
        begin, end = f"<!-- {part.__name__} -->\n", f"<!-- end of {part.__name__} -->\n"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + part() + end + after
    DOCUMENT.write_text(text)


main()
