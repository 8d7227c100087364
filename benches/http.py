"""Requests per second, latencies and allocations of the library beside bare servers and its peers.

    python3 benches/http.py                 # five rounds of three seconds each
    python3 benches/http.py --ext4 2        # the stores of files on an ext4 with a journal; as root
    python3 benches/http.py --quick         # one short round: does everything still work?
    python3 benches/http.py --only session-files-read actix-session-cookie-read

In each round all contenders run one after the other, each on a server that has just been started, so
that whatever the machine does meanwhile happens to all of them. The server has core 0 for itself; the
load generator has core 1, and so has Redis, which therefore takes nothing from its server. What is
reported are medians of the rounds. `--connections`, `--seconds` and `--rounds` change the defaults.

Where the server uses much less than its core, others compute on the machine or the load generator is at
its end (it computes about as much a request as bare actix-web does): its requests per second say little
then. What it has computed a request says more; the column "By the server's CPU" compares that. What
Redis computes is in neither, `--redis-core 0` has it share the server's core.

Writes `results/http.json` and prints Markdown. Needs Linux and redis-server.
"""

import argparse
import os
import statistics

import contenders
from contenders import pinned, table
from harness import add_data_arguments, data_folder

SERVER_CORE, LOAD_CORE = 0, 1


def measured(options, chosen):
    """All runs, by contender."""
    runs = {contender.name: [] for contender in chosen}
    with contenders.redis(pinned(options.redis_core)) as redis_port:
        for number in range(options.rounds):
            # Every second round backwards, so that nothing always runs right after the same other one.
            for contender in chosen if number % 2 == 0 else reversed(chosen):
                with contenders.server(contender.server, redis_port, pinned(SERVER_CORE)) as (port, process):
                    arguments = ["--connections", options.connections, "--seconds", options.seconds]
                    arguments += ["--warm-up-seconds", options.warm_up_seconds, "--server", process.pid]
                    run = contenders.load(contender, port, *arguments, prefix=pinned(LOAD_CORE))
                run["server_cpu_share"] = run["server_cpu_micros"] * run["requests_per_second"] / 1e6
                runs[contender.name].append(run)
                print(
                    f"round {number + 1}: {contender.name}: {run['requests_per_second']:,.0f}/s",
                    flush=True,
                )
    return runs


def medians(runs):
    """The median of each figure, by contender."""
    return {
        name: {figure: statistics.median(run[figure] for run in of_one) for figure in of_one[0]}
        for name, of_one in runs.items()
    }


def ratios(runs, name, other, figure="requests_per_second"):
    """One figure beside another contender's in the same round, round by round, in ascending order."""
    pairs = zip(runs[name], runs[other])
    return sorted(run[figure] / beside[figure] for run, beside in pairs)


def print_table(chosen, runs, summary):
    rows = []
    for contender in chosen:
        figures = summary[contender.name]
        to_bare = statistics.median(ratios(runs, contender.name, contender.bare))
        rows.append([
            contender.name,
            f"{figures['requests_per_second']:,.0f}",
            f"{100 * to_bare:.1f} %",
            f"{figures['p50_micros']:,.0f}",
            f"{figures['p99_micros']:,.0f}",
            f"{figures['p999_micros']:,.0f}",
            f"{figures['allocations']:.1f}",
            f"{figures['allocated_bytes']:,.0f}",
            f"{figures['server_cpu_micros']:.1f}",
            f"{100 * figures['server_cpu_share']:.0f} %",
            f"{100 * figures['load_cpu_share']:.0f} %",
        ])
    heads = ["", "requests/s", "of its bare server", "p50 µs", "p99 µs", "p99.9 µs"]
    heads += ["allocations", "bytes allocated", "server's CPU µs", "server's core used", "load's core used"]
    print()
    table(heads, rows)


def comparisons(runs, summary):
    """The goals of issue 4 that HTTP can tell about: name, what is asked, what is, whether it is met."""
    found = []

    def goal(name, text, asked, values, by_cpu):
        values = sorted(values)
        middle = statistics.median(values)
        found.append({
            "goal": name,
            "text": text,
            "at_least": asked,
            "measured": middle,
            "rounds": values,
            "by_cpu": by_cpu,
            "is_met": middle >= asked,
        })

    def capacity(contender):
        return 1 / summary[contender]["server_cpu_micros"]

    def beside(name, text, asked, contender, other):
        if contender in runs and other in runs:
            by_cpu = capacity(contender) / capacity(other)
            goal(name, text, asked, ratios(runs, contender, other), by_cpu)

    def beside_peer(name, text, contender, bare, peer, peer_bare):
        """How far ahead of a peer, each relative to the bare server of its own framework."""
        if all(each in runs for each in (contender, bare, peer, peer_bare)):
            rounds = zip(*(runs[each] for each in (contender, bare, peer, peer_bare)))
            per_second = [[run["requests_per_second"] for run in one] for one in rounds]
            by_round = [(ours / own) / (peers / theirs) for ours, own, peers, theirs in per_second]
            by_cpu = capacity(contender) / capacity(bare) / (capacity(peer) / capacity(peer_bare))
            goal(name, text, 1.0, by_round, by_cpu)

    read, write = "session-files-read", "session-files-write"
    beside("no session", "unused, of bare actix-web", 0.99, "session-unused", "bare-actix")
    if "session-unused" in runs and "bare-actix" in runs:
        more = summary["session-unused"]["allocations"] - summary["bare-actix"]["allocations"]
        found.append({
            "goal": "no session",
            "text": "unused, allocations more than bare actix-web",
            "at_most": 2,
            "measured": more,
            # The counting of the runs is exact but for what a connection costs.
            "is_met": more < 2.05,
        })
    beside("files read", "files read, of bare actix-web", 0.80, read, "bare-actix")
    beside("files read", "files read, of actix-session cookie read", 1.0, read, "actix-session-cookie-read")
    beside("files read", "files read, of actix-session Redis read", 1.5, read, "actix-session-redis-read")
    beside("files write", "files write, of actix-session Redis write", 2.0, write, "actix-session-redis-write")
    peer = "tower-sessions-memory"
    what = "relative to bare, of tower-sessions memory"
    beside_peer("files write", f"files write, {what} write", write, "bare-actix", f"{peer}-write", "bare-axum")
    for kind in ("read", "write"):
        ours = f"session-memory-{kind}"
        beside_peer("memory", f"memory {kind}, {what} {kind}", ours, "bare-actix", f"{peer}-{kind}", "bare-axum")
    return found


def print_comparisons(found):
    rows = []
    for goal in found:
        if "at_least" in goal:
            asked = f"at least {goal['at_least']:.2f}"
            spread = f"{goal['rounds'][0]:.3f} to {goal['rounds'][-1]:.3f}"
            by_cpu = f"{goal['by_cpu']:.3f}"
        else:
            asked, spread, by_cpu = f"at most {goal['at_most']}", "", ""
        is_met = "yes" if goal["is_met"] else "**no**"
        rows.append([goal["goal"], goal["text"], asked, f"{goal['measured']:.3f}", spread, by_cpu, is_met])
    print()
    table(["Goal", "What", "Asked", "Median of the rounds", "Rounds", "By the server's CPU", "Met"], rows)
    print("\nThe instructions of a request: `python3 benches/instructions.py`.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of 0.3 seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--warm-up-seconds", type=float, default=1)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--redis-core", type=int, default=LOAD_CORE)
    parser.add_argument("--only", nargs="+", metavar="CONTENDER", default=[])
    add_data_arguments(parser)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.warm_up_seconds = 1, 0.3, 0.2

    chosen = contenders.chosen(options.only)
    contenders.build()
    before = contenders.machine()
    with data_folder(options) as data:
        os.environ["BENCH_STORES"] = str(data)
        runs = measured(options, chosen)
    summary = medians(runs)
    found = comparisons(runs, summary)
    result = {
        "machine": before,
        "options": {**vars(options), "data": str(options.data)},
        "medians": summary,
        "goals": found,
        "runs": runs,
    }
    name = "http-quick.json" if options.quick or options.only else "http.json"
    path = contenders.write(name, result)
    print_table(chosen, runs, summary)
    print_comparisons(found)
    print(f"\n{path.relative_to(contenders.HERE.parent)}; load average at the start: {before['load_average'][0]:.1f}")


if __name__ == "__main__":
    main()
