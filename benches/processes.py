"""Saves on one folder of 1,000 sessions: by one process and by two, by 1 to 8 tasks, at every durability,
beside what the disk itself can do with as many threads.

    python3 benches/processes.py           # about four minutes
    python3 benches/processes.py --ext4 2  # on an ext4 with a journal; as root

A save is a read-modify-write: the session is loaded by its key, its counter is changed, it is saved. What
is compared takes turns of half a second.
"""

import argparse
from pathlib import Path

from harness import Worker, add_data_arguments, built, data_folder, machine, median, run, table, written

SESSIONS = 1000
DURABILITIES = ["relaxed", "durable"]
TASKS = [1, 2, 4, 8]


def rate(told: dict) -> float:
    return told["done"] / told["seconds"]


def together(workers: list, line: str) -> float:
    for worker in workers:
        worker.tell(line)
    return sum(rate(worker.answer()) for worker in workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--milliseconds", type=int, default=500, help="of a turn")
    add_data_arguments(parser)
    arguments = parser.parse_args()
    milliseconds = arguments.milliseconds

    binary = built() / "processes"
    with data_folder(arguments) as data:
        results = {"machine": machine(data), "sessions": SESSIONS, "processes": {}, "tasks": {}, "bare": {}}
        folder, scratch = data / "sessions", data / "scratch"
        scratch.mkdir()
        run([binary, "populate", folder, SESSIONS])
        bare = Worker([binary, "bare", scratch])
        savers = {name: [Worker([binary, "save", folder, SESSIONS, name]) for _ in range(2)] for name in DURABILITIES}

        def note(kind: str, name: str, number: int, figure: float) -> None:
            results[kind].setdefault(name, {}).setdefault(str(number), []).append(figure)

        # One round that does not count.
        for turn in range(arguments.rounds + 1):
            print(f"round {turn} of {arguments.rounds}", flush=True)
            for name, workers in savers.items():
                # First the one, then the other of the two, so that neither is favoured.
                one = workers[turn % 2 : turn % 2 + 1]
                figures = [("processes", 1, together(one, f"1 {milliseconds}"))]
                figures.append(("processes", 2, together(workers, f"1 {milliseconds}")))
                for tasks in TASKS:
                    figures.append(("tasks", tasks, together(one, f"{tasks} {milliseconds}")))
                if turn > 0:
                    for kind, number, figure in figures:
                        note(kind, name, number, figure)
            for what in ["rewrite", *DURABILITIES]:
                for threads in TASKS:
                    figure = together([bare], f"{what} {threads} {milliseconds}")
                    if turn > 0:
                        note("bare", what, threads, figure)
        for worker in [bare, *(worker for workers in savers.values() for worker in workers)]:
            worker.stop()

    rows = []
    for name, figures in results["processes"].items():
        ratio = median(two / one for one, two in zip(figures["1"], figures["2"]))
        rows.append([name, f"{median(figures['1']):,.0f}", f"{median(figures['2']):,.0f}", f"{ratio:.2f}×"])
    table(["saves a second", "one process", "two processes", "two to one"], rows)
    rows = []
    for name, figures in results["tasks"].items():
        rows.append([f"{name}, tasks of one process", *(f"{median(figures[str(tasks)]):,.0f}" for tasks in TASKS)])
    for what, figures in results["bare"].items():
        rows.append([f"bare {what}, threads", *(f"{median(figures[str(tasks)]):,.0f}" for tasks in TASKS)])
    table(["a second", *map(str, TASKS)], rows)
    written("processes.json", results)


main()
