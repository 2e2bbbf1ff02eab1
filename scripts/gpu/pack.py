"""Gets a tree ready for a machine without network: `scripts/gpu-check --pack [FOLDER...]`.

Puts into .gpu/ what the check needs and that machine may lack (doctest's header), and says how large what travels is:
the files that git tracks or does not ignore, without those that the check has no use for, .gpu/, and the named folders.

With `--libtorch FOLDER`, the torch folder of a wheel of the very version that is installed there, the programs are built
here and brought along: compiling takes a minute of 16 cores there.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

from .build import BUILT_FOR, CARRIED, PROGRAMS, TARGETS, configuration, native_sources
from .processes import ROOT

LIMIT = 64 * 2**20
# Of the tree, what the check has no use for.
NOT_NEEDED = ("docs", "fonts", "scripts/tiny/weights", "server")
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


def bring_programs(libtorch: Path, build: Path) -> None:
    """Builds the programs against a LibTorch, for CUDA too, in `build`, and packs them.

    Raises:
        subprocess.CalledProcessError: they do not compile.
    """
    # NVIDIA's libraries are where the programs will run.
    options = [*configuration(libtorch), "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined"]
    subprocess.run(["cmake", "-S", str(ROOT), "-B", str(build), *options], check=True)
    jobs = str(os.cpu_count())
    subprocess.run(["cmake", "--build", str(build), "--parallel", jobs, "--target", *TARGETS], check=True)
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        stripped = build / f"{target}.stripped"
        subprocess.run(["strip", "-o", str(stripped), str(build / target)], check=True)
        (PROGRAMS / f"{target}.xz").write_bytes(lzma.compress(stripped.read_bytes()))
    version = re.search(r"^__version__ = '(.+)'", (libtorch / "version.py").read_text(), re.M)
    BUILT_FOR.write_text(native_sources(version.group(1) if version else "unknown"))


def files_of_tree(root: Path) -> list[str]:
    """The files of the tree that travel: what git tracks or does not ignore, and the check needs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    names = {name for name in listed.stdout.decode().split("\0") if name and (root / name).exists()}
    return sorted(name for name in names if not name.startswith(tuple(f"{folder}/" for folder in NOT_NEEDED)))


def travelling(root: Path, carried: list[Path]) -> dict[str, int]:
    """Bytes of what travels: the tree itself, and each carried folder or file."""
    sizes = {"the tree": sum(size_of(root / name) for name in files_of_tree(root))}
    return sizes | {str(path): size_of(root / path) for path in carried}


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files under a folder; links count as links."""
    if path.is_dir() and not path.is_symlink():
        return sum(size_of(entry) for entry in path.iterdir())
    return path.lstat().st_size if path.is_symlink() or path.exists() else 0


def pack(carried: list[Path], libtorch: Path | None, build: Path) -> int:
    """Prepares .gpu/ and prints the sizes; 1 where they are over the limit."""
    named = os.environ.get("DOCTEST_INCLUDE_DIR")
    known = [Path(named)] if named else []
    known += [
        Path("/usr/include"),
        Path("/usr/local/include"),
        ROOT / "node_modules" / ".cache" / "debian" / "usr" / "include",
    ]
    bring_doctest(CARRIED, known)
    if libtorch:
        bring_programs(libtorch, build)
    sizes = travelling(ROOT, [Path(".gpu"), *carried])
    for name, size in sizes.items():
        print(f"{size / 2**20:7.1f} MiB  {name}")
    total = sum(sizes.values())
    print(
        f"{total / 2**20:7.1f} MiB  of {LIMIT / 2**20:.0f}. Bring .gpu along: {' '.join(['.gpu', *map(str, carried)])}; "
        f"leave out {', '.join(NOT_NEEDED)}."
    )
    return 0 if total <= LIMIT else 1
