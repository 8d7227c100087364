"""Where a server allocates, by valgrind's dhat, beside the bare server of its framework.

    python3 benches/allocations.py session-unused session-memory-read

Each server runs twice, for 200 and for 1,200 requests on one connection; what is printed is the
difference: how often a request allocates at each place, how many bytes, and the calls that led there.
"""

import argparse
import collections
import json
import pathlib
import re
import tempfile

import contenders

FEW, MANY = 200, 1200

# Where the calls lie that say nothing about who wanted the memory: the standard library and the counting.
NOISE = re.compile(r"\(library/|allocations\.rs|server/main\.rs:20|\((unix|alloc|boxed|sync|rc|string|slice|ub_checks|option)\.rs|\((mod|function|vec)/|\(mod\.rs|vg_replace_malloc|(malloc|memalign) \(in |^__rust_")


def places(contender, redis_port, requests):
    """How many blocks and bytes have been allocated by each chain of calls."""
    with tempfile.TemporaryDirectory() as folder:
        output = f"{folder}/dhat"
        dhat = ["valgrind", "--tool=dhat", f"--dhat-out-file={output}", "--num-callers=40", "--quiet"]
        with contenders.server(contender.server, redis_port, dhat) as (port, _):
            arguments = ["--connections", 1, "--requests", requests, "--warm-up-seconds", 0]
            contenders.load(contender, port, *arguments)
        found = json.loads(pathlib.Path(output).read_text())
    counts = collections.Counter()
    size = collections.Counter()
    for place in found["pps"]:
        frames = [found["ftbl"][frame] for frame in place["fs"]]
        frames = [re.sub(r"^0x[0-9A-F]+: ", "", frame) for frame in frames]
        calls = tuple(frame for frame in frames if not NOISE.search(frame))
        counts[calls] += place["tbk"]
        size[calls] += place["tb"]
    return counts, size


def per_request(contender, redis_port):
    few, few_bytes = places(contender, redis_port, FEW)
    many, many_bytes = places(contender, redis_port, MANY)
    each = MANY - FEW
    return {
        calls: ((many[calls] - few[calls]) / each, (many_bytes[calls] - few_bytes[calls]) / each)
        for calls in many
        if many[calls] - few[calls] >= each / 20
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contenders", nargs="+")
    parser.add_argument("--calls", type=int, default=6, help="how many calls are printed of each place")
    options = parser.parse_args()
    contenders.build()
    with contenders.redis() as redis_port:
        for contender in contenders.chosen(options.contenders):
            found = per_request(contender, redis_port)
            total = sum(count for count, _ in found.values())
            print(f"\n## {contender.name}: {total:.1f} allocations a request\n")
            for calls, (count, size) in sorted(found.items(), key=lambda place: -place[1][0]):
                print(f"- {count:.2f} times, {size:,.0f} bytes")
                for call in calls[: options.calls]:
                    print(f"    {call if len(call) < 150 else call[:100] + ' … ' + call[-49:]}")


if __name__ == "__main__":
    main()
