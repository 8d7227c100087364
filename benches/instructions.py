"""Instructions per request of the library, of bare servers and of its peers, counted by valgrind.

    python3 benches/instructions.py                               # all contenders
    python3 benches/instructions.py --only session-unused         # and the bare server it stands beside
    python3 benches/instructions.py --profile session-files-read  # where they go, beside the bare server

Each server runs under callgrind twice, for 200 and for 1,200 requests on one connection; the difference
by a thousand is what a request costs. User space only, and as a CPU that valgrind knows: without the
SHA extensions, so SHA-256 counts for more here than it does on most machines.

Writes `results/instructions.json` and prints Markdown. Needs Linux, valgrind and redis-server.
"""

import argparse
import collections
import pathlib
import re
import tempfile

import contenders
from contenders import table

FEW, MANY = 200, 1200


def counted(contender, redis_port, requests, output):
    """Runs the server for so many requests; the counts are in the file `output` afterwards."""
    callgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", "--quiet"]
    with contenders.server(contender.server, redis_port, callgrind) as (port, _):
        arguments = ["--connections", 1, "--requests", requests, "--warm-up-seconds", 0]
        return contenders.load(contender, port, *arguments)


class Counts:
    """What a callgrind file says, in its documented format."""

    def __init__(self, path):
        self.total = 0
        # Of a function, what it calls included. One that calls itself counts more than once.
        self.inclusive = collections.Counter()
        # Of the source lines of a crate, wherever they have been inlined to.
        self.by_crate = collections.Counter()
        self.by_line = collections.Counter()
        names = {}
        function = file = None
        line, is_call = 0, False
        for text in pathlib.Path(path).read_text(errors="replace").splitlines():
            if match := re.match(r"(c?)(fn|fl|fi|fe|ob|file|cob)=\((\d+)\)(?: (.*))?$", text):
                called, kind, number, name = match.groups()
                space = {"fn": "fn", "ob": "ob", "cob": "ob"}.get(kind, "fl")
                if name is not None:
                    names[space, number] = name
                name = names[space, number]
                if called or kind == "cob":
                    continue
                if kind == "fn":
                    function = name
                elif space == "fl":
                    file = name
            elif text.startswith("calls="):
                is_call = True
            elif match := re.match(r"([+-]?\d+|\*) (\d+)$", text):
                position, cost = match.group(1), int(match.group(2))
                if position[0] in "+-":
                    line += int(position)
                elif position != "*":
                    line = int(position)
                self.inclusive[function] += cost
                if not is_call:
                    self.total += cost
                    self.by_crate[crate(file)] += cost
                    self.by_line[f"{short(file)}:{line}"] += cost
                is_call = False

    def __sub__(self, other):
        difference = Counts.__new__(Counts)
        difference.total = self.total - other.total
        for name in ("inclusive", "by_crate", "by_line"):
            mine = collections.Counter(getattr(self, name))
            mine.subtract(getattr(other, name))
            setattr(difference, name, mine)
        return difference


def crate(file):
    """Whose source file it is."""
    if match := re.search(r"/registry/src/[^/]+/([^/]+)/", file):
        return match.group(1)
    if match := re.search(r"/library/(core|alloc|std)/", file):
        return f"rust {match.group(1)}"
    if match := re.search(r"(session|session-derive|benches)/src/", file):
        return match.group(1)
    if match := re.search(r"/hashbrown-[\d.]+/", file):
        return "hashbrown"
    return "libc and others" if file.startswith((".", "/build", "???")) or "/" not in file else file


def short(file):
    for start in ("/registry/src/", "/library/"):
        if start in file:
            rest = file.split(start, 1)[1]
            return rest.split("/", 1)[1] if start == "/registry/src/" else rest
    home = str(contenders.HERE.parent) + "/"
    return file.removeprefix(home)


def per_request(contender, redis_port):
    with tempfile.TemporaryDirectory() as folder:
        few, many = f"{folder}/few", f"{folder}/many"
        counted(contender, redis_port, FEW, few)
        run = counted(contender, redis_port, MANY, many)
        return Counts(many) - Counts(few), run


def print_profile(name, counts, bare):
    each = MANY - FEW
    more = counts - bare
    print(f"\n## {name}\n\n{more.total / each:,.0f} instructions a request more than the bare server. By the crate that the lines are of:\n")
    rows = [[crate, f"{count / each:,.0f}"] for crate, count in more.by_crate.most_common(25) if count > each * 10]
    table(["Crate", "instructions more"], rows)
    print("\nBy function, what it calls included:\n")
    rows = [[f"`{function}`", f"{count / each:,.0f}"] for function, count in more.inclusive.most_common(60) if count > each * 30]
    table(["Function", "instructions more"], rows)
    print("\nBy source line, nothing else included:\n")
    rows = [[f"`{line}`", f"{count / each:,.0f}"] for line, count in more.by_line.most_common(60) if count > each * 10]
    table(["Line", "instructions more"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="CONTENDER", default=[])
    parser.add_argument("--profile", nargs="+", metavar="CONTENDER", default=[])
    options = parser.parse_args()
    chosen = contenders.chosen(options.profile or options.only)
    contenders.build()

    counts, runs = {}, {}
    with contenders.redis() as redis_port:
        for contender in chosen:
            counts[contender.name], runs[contender.name] = per_request(contender, redis_port)
            each = counts[contender.name].total / (MANY - FEW)
            print(f"{contender.name}: {each:,.0f}", flush=True)

    each = {name: count.total / (MANY - FEW) for name, count in counts.items()}
    result = {
        contender.name: {
            "instructions": each[contender.name],
            "more_than_bare": each[contender.name] - each[contender.bare],
            "allocations": runs[contender.name]["allocations"],
            "more_allocations_than_bare": runs[contender.name]["allocations"] - runs[contender.bare]["allocations"],
        }
        for contender in chosen
    }
    name = "instructions-some.json" if options.only or options.profile else "instructions.json"
    contenders.write(name, {"machine": contenders.machine(), "requests": [FEW, MANY], "contenders": result})
    rows = [
        [
            name,
            f"{figures['instructions']:,.0f}",
            f"{figures['more_than_bare']:+,.0f}",
            f"{figures['allocations']:.1f}",
            f"{figures['more_allocations_than_bare']:+.1f}",
        ]
        for name, figures in result.items()
    ]
    print()
    table(["", "instructions", "more than bare", "allocations", "more than bare"], rows)
    if unused := result.get("session-unused"):
        more, allocations = unused["more_than_bare"], unused["more_allocations_than_bare"]
        is_met = "met" if more <= 2000 and allocations < 2.05 else "**not met**"
        print(f"\nP4: unused, {more:+,.0f} instructions (at most 2,000) and {allocations:+.1f} allocations (at most 2): {is_met}")
    for contender in chosen:
        if contender.name in options.profile:
            print_profile(contender.name, counts[contender.name], counts[contender.bare])


if __name__ == "__main__":
    main()
