"""Draws the curves of the raw figures in benches/results/ as SVGs into benches/plots/.

    python3 benches/plot.py

Neutral colours on no background, so that they are readable on light and on dark pages.
"""

import json
import math
from html import escape

from harness import BENCHES, RESULTS, median

PLOTS = BENCHES / "plots"
WIDTH, HEIGHT = 800, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 225, 56, 60
COLOURS = ["#3b82c4", "#d9772b", "#3f9c5a", "#b8588f", "#8a6fd1", "#b09a30"]
TEXT, GRID = "#7d8590", "#808080"
LINE = 17


class Axis:
    """From figures to places between `start` and `end`."""

    def __init__(self, low: float, high: float, start: float, end: float, logarithmic: bool):
        self.map = math.log10 if logarithmic else float
        self.low, self.high = self.map(low), self.map(high)
        self.start, self.end = start, end

    def place(self, figure: float) -> float:
        share = (self.map(figure) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def step(high: float) -> float:
    """A round distance for about six lines up to `high`."""
    rough = high / 6
    power = 10 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)


def number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 10 or figure == int(figure) else f"{figure:g}"


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = TEXT, size: int = 13, weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def spread(places: list) -> list:
    """The places of labels, moved apart where they would lie over each other."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    for _ in range(200):
        for above, below in zip(order, order[1:]):
            overlap = LINE - (moved[below] - moved[above])
            if overlap > 0:
                moved[above] -= overlap / 2
                moved[below] += overlap / 2
    return moved


def plot(name: str, title: str, under: str, unit: str, series: dict, ticks: list, limit: tuple | None = None) -> None:
    """`series`: label → [(x, y), …]; those whose label begins with `bare` are dashed. `limit`: a figure
    and what it is."""
    highest = max(y for points in series.values() for _, y in points)
    highest = max(highest, limit[0] if limit else 0) * 1.06
    distance = step(highest)
    across = Axis(ticks[0], ticks[-1], LEFT, WIDTH - RIGHT, logarithmic=True)
    up = Axis(0, highest, HEIGHT - BOTTOM, TOP, logarithmic=False)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        f"<title>{escape(title)}</title>",
        text(LEFT, 24, title, size=16, weight=600),
        text(LEFT, 43, unit),
    ]
    line = 0.0
    while line <= highest:
        y = up.place(line)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GRID}" stroke-opacity="0.25"/>')
        parts.append(text(LEFT - 8, y + 4, number(line), "end"))
        line += distance
    for tick in ticks:
        x = across.place(tick)
        parts.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="{GRID}"/>')
        parts.append(text(x, HEIGHT - BOTTOM + 21, number(tick), "middle"))
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, under, "middle"))
    labels = [(points[-1][1], label) for label, points in series.items()]
    if limit:
        y = up.place(limit[0])
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{TEXT}" stroke-dasharray="2 4" stroke-width="1.5"/>')
        labels.append(limit)
    places = spread([up.place(figure) for figure, _ in labels])
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(series))] + [TEXT]
    for (label, points), colour in zip(series.items(), colours):
        path = "L".join(f"{across.place(x):.1f} {up.place(y):.1f}" for x, y in points)
        dashes = ' stroke-dasharray="6 4"' if label.startswith("bare") else ""
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        for x, y in points:
            parts.append(f'<circle cx="{across.place(x):.1f}" cy="{up.place(y):.1f}" r="3.5" fill="{colour}"/>')
    for (_, label), place, colour in zip(labels, places, colours):
        parts.append(text(WIDTH - RIGHT + 12, place + 4, label, colour=colour))
    parts.append("</svg>")
    PLOTS.mkdir(exist_ok=True)
    path = PLOTS / f"{name}.svg"
    path.write_text("\n".join(parts) + "\n")
    print(path.relative_to(BENCHES.parent))


def growth(results: dict) -> None:
    sizes = {int(count): size for count, size in results["sizes"].items()}
    ticks = sorted(sizes)

    def medians(operation: str) -> list:
        return [(count, sizes[count]["operations"][operation]["median"] / 1000) for count in ticks]

    def rates(walk: str) -> list:
        return [(count, count / median(told["seconds"] for told in sizes[count]["walks"][walk]) / 1000) for count in ticks]

    def memory(walk: str) -> list:
        peaks = {count: max(told["peak_memory_kibibytes"] for told in sizes[count]["walks"][walk]) for count in ticks}
        return [(count, peak / 1024) for count, peak in peaks.items()]

    under = "sessions in the folder"
    plot(
        "growth-operations",
        "A single operation, as the folder grows",
        under,
        "microseconds, median; records in the page cache, sessions chosen at random",
        {
            "find (10 sessions)": medians("find"),
            "save": medians("save"),
            "touch": medians("touch"),
            "load": medians("load"),
            "bare open, read, close": medians("bare"),
        },
        ticks,
    )
    plot(
        "growth-walks",
        "Listing and sweeping, as the folder grows",
        under,
        "thousand sessions a second, median; records in the page cache",
        {
            "bare readdir, statx": rates("bare_status"),
            "bare readdir, open, read, close": rates("bare_bytes"),
            "list": rates("list"),
            "sweep, nothing expired": rates("sweep_nothing"),
            "sweep, 1 % expired": rates("sweep_one_in_a_hundred"),
        },
        ticks,
        (200, "goal: 200"),
    )
    plot(
        "growth-memory",
        "The most memory that a process ever had",
        under,
        "MiB, of a process that does nothing else",
        {"list": memory("list"), "sweep": memory("sweep_nothing"), "bare readdir, open, read, close": memory("bare_bytes")},
        ticks,
        (64, "goal: at most 64"),
    )


def processes(results: dict) -> None:
    for durability in results["tasks"]:
        series = {
            "tasks of one process": results["tasks"][durability],
            "processes of one task": results["processes"][durability],
            "bare replace, threads": results["bare"][durability],
        }
        if durability == "durable":
            series["bare fdatasync, threads"] = results["bare"]["rewrite"]
        curves = {
            label: [(int(tasks), median(figures)) for tasks, figures in told.items()] for label, told in series.items()
        }
        plot(
            f"saves-{durability}",
            f"Saves at once, {durability.capitalize()}",
            "at once",
            "saves a second, median, of sessions chosen at random from 1,000",
            curves,
            [1, 2, 4, 8],
        )


def main() -> None:
    for name, draw in {"growth": growth, "processes": processes}.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            draw(json.loads(path.read_text()))
        else:
            print(f"not measured yet: {path.relative_to(BENCHES.parent)}")


main()
