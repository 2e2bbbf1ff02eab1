"""Gets a tree ready for a machine without network: `scripts/gpu-check --pack [FOLDER...]`.

Puts into .gpu/ what the check needs and that machine may lack (doctest's header), and says how large what travels is:
the files that git tracks or does not ignore, .gpu/, and the named folders.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .processes import ROOT

LIMIT = 64 * 2**20
HEADER = Path("doctest") / "doctest.h"


def bring_doctest(target: Path, places: list[Path]) -> None:
    """Copies the header from the first place that has it.

    Raises:
        SystemExit: none has it.
    """
    for place in places:
        if (place / HEADER).is_file():
            (target / HEADER).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place / HEADER, target / HEADER)
            return
    raise SystemExit("doctest/doctest.h is nowhere. Install doctest-dev, or name its folder: DOCTEST_INCLUDE_DIR.")


def travelling(root: Path, carried: list[Path]) -> dict[str, int]:
    """Bytes of what travels: the tree itself, and each carried folder or file."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    sizes = {"the tree": sum(size_of(root / name) for name in set(names))}
    return sizes | {str(path): size_of(root / path) for path in carried}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files under a folder; links count as links."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_of(entry) for entry in path.iterdir())
    return path.lstat().st_size if path.is_symlink() or path.exists() else 0


def pack(carried: list[Path]) -> int:
    """Prepares .gpu/ and prints the sizes; 1 where they are over the limit."""
    named = os.environ.get("DOCTEST_INCLUDE_DIR")
    known = [Path(named)] if named else []
    known += [
        Path("/usr/include"),
        Path("/usr/local/include"),
        ROOT / "node_modules" / ".cache" / "debian" / "usr" / "include",
    ]
    bring_doctest(ROOT / ".gpu", known)
    sizes = travelling(ROOT, [Path(".gpu"), *carried])
    for name, size in sizes.items():
        print(f"{size / 2**20:7.1f} MiB  {name}")
    total = sum(sizes.values())
    print(
        f"{total / 2**20:7.1f} MiB  of {LIMIT / 2**20:.0f}. Bring .gpu along: {' '.join(['.gpu', *map(str, carried)])}"
    )
    return 0 if total <= LIMIT else 1
