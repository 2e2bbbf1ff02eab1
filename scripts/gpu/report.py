"""The report of a check: JSON for programs, Markdown for people."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

from .steps import Result


def slug(text: str) -> str:
    """`NVIDIA H100 80GB HBM3` -> `nvidia-h100-80gb-hbm3`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table(head: list[str], rows: list[list[Any]]) -> list[str]:
    """A Markdown table; numbers stand to the right, floats with three significant digits."""
    if not rows:
        return []
    right = [all(isinstance(row[i], (int, float)) or row[i] is None for row in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---:" if one else "---" for one in right) + "|"]
    return lines + ["| " + " | ".join(_shown(cell) for cell in row) + " |" for row in rows]


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell).replace("|", "\\|").replace("\n", " ")


class Report:
    """Written anew after every step, so that whatever ends the check leaves what was found until then."""

    def __init__(self, folder: Path, facts: dict[str, Any]):
        date = datetime.date.today().isoformat()
        self.facts = {key: fact for key, fact in facts.items() if key != "libtorch"} | {"date": date}
        self.path = folder / f"{slug(facts['gpu'])}-{date}"
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, results: dict[str, Result]) -> None:
        steps = [
            {
                "name": name,
                "outcome": one.outcome,
                "seconds": round(one.seconds, 1),
                **({"data": one.data} if one.data else {}),
            }
            for name, one in results.items()
        ]
        self.path.with_name(self.path.name + ".json").write_text(
            json.dumps({**self.facts, "steps": steps}, indent=1) + "\n"
        )
        self.path.with_name(self.path.name + ".md").write_text("\n".join(self.markdown(results)) + "\n")

    def markdown(self, results: dict[str, Result]) -> list[str]:
        facts = self.facts
        seconds = sum(one.seconds for one in results.values())
        lines = [
            f"# GPU check: {facts['gpu']}, {facts['date']}",
            "",
            f"torch {facts['torch']}, CUDA {facts['cuda'] or 'none'}, driver {facts['driver'] or 'none'}, "
            f"Python {facts['python']}, {facts['cores']} cores, {seconds:.0f} s.",
            *([facts["device"]] if facts.get("device") else []),
            "",
        ]
        rows = [
            [name, one.outcome if one.outcome.startswith("passed") else f"**{one.outcome}**", f"{one.seconds:.0f} s"]
            for name, one in results.items()
        ]
        lines += table(["step", "outcome", "time"], rows)
        for name, one in results.items():
            if one.lines:
                lines += ["", f"## {name[0].upper()}{name[1:]}", "", *one.lines]
        return lines
