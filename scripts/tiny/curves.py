"""The curves of a run, from its log, as one SVG."""

from __future__ import annotations

import json
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, COLUMNS = 300, 150, 60, 22, 3
INK, GRID, LINE, DOT = "#333", "#ddd", "#1f6fb2", "#c0392b"
# Not drawn: where the run is, not how it goes.
ABOUT = ("phase", "step", "total", "core_minutes", "norm")


def read_log(path: Path) -> list[dict]:
    """The entries of log.jsonl; numbers of an evaluation stand beside the losses, as "evaluation name"."""
    entries = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        measured = entry.pop("evaluation", {})
        entries.append(entry | {f"evaluation {k}": v for k, v in measured.items() if k != "objects"})
    return entries


def draw_curves(log: Path, out: Path) -> None:
    """Writes an SVG with a panel for each number of the log, over core-minutes; vertical lines: a new phase."""
    entries = read_log(log)
    names = [n for n in dict.fromkeys(k for e in entries for k in e) if n not in ABOUT]
    most = max((e["core_minutes"] for e in entries), default=0) or 1.0
    changes = [b["core_minutes"] for a, b in zip(entries, entries[1:]) if a["phase"] != b["phase"]]
    rows = -(-len(names) // COLUMNS)
    width, height = COLUMNS * (WIDTH + LEFT + 12), rows * (HEIGHT + TOP + 22)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for i, name in enumerate(names):
        points = [(e["core_minutes"], e[name]) for e in entries if name in e]
        x, y = (i % COLUMNS) * (WIDTH + LEFT + 12) + LEFT, (i // COLUMNS) * (HEIGHT + TOP + 22) + TOP
        parts += _panel(name, points, most, changes, x, y)
    out.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _panel(
    name: str, points: list[tuple[float, float]], most: float, changes: list[float], x: int, y: int
) -> list[str]:
    values = sorted(v for _, v in points)
    # The first steps of a phase would press all others flat.
    low, high = min(0.0, values[0]), values[-1 - len(values) // 50] or 1.0

    def place(minutes: float, value: float) -> tuple[float, float]:
        share = min(1.0, (value - low) / (high - low) if high > low else 0.0)
        return round(x + WIDTH * minutes / most, 1), round(y + HEIGHT * (1 - share), 1)

    parts = [f'<text x="{x}" y="{y - 6}" fill="{INK}">{name} ({points[-1][1]:.3g})</text>']
    for value in (low, (low + high) / 2, high):
        _, at = place(0, value)
        parts.append(f'<path d="M{x} {at}h{WIDTH}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x - 4}" y="{at + 4}" text-anchor="end" fill="{INK}">{value:.3g}</text>')
    parts.append(
        f'<text x="{x + WIDTH}" y="{y + HEIGHT + 13}" text-anchor="end" fill="{INK}">{most:.0f} core-minutes</text>'
    )
    parts += [f'<path d="M{place(c, 0)[0]} {y}v{HEIGHT}" stroke="{INK}" stroke-dasharray="3 3"/>' for c in changes]
    places = [place(*p) for p in points]
    if name.startswith("evaluation"):
        parts += [f'<circle cx="{a}" cy="{b}" r="2.5" fill="{DOT}"/>' for a, b in places]
    line = " ".join(f"{a},{b}" for a, b in places)
    return [*parts, f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="1.3"/>']
