"""Reading and writing weight files: safetensors (one file or sharded with an index) and Meta's checkpoints."""

from __future__ import annotations

import ctypes
import json
import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class WeightsError(ValueError):
    """A weight file cannot be read, or does not fit the network. The message lists what is wrong."""


class WeightFile(Protocol):
    """Named tensors of one set of weights; `naming` is the scheme of their names, "transformers" or "meta"."""

    naming: str

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, known without reading any of them."""
        ...

    def read(self, name: str) -> Tensor:
        """One tensor, as it is stored."""
        ...


# What Meta's code called the two halves of a model before.
_OLDER_PREFIXES = {"sam3_model.": "detector.", "sam2_predictor.": "tracker."}


def _meta_name(name: str) -> str:
    """The name of today for a tensor of Meta's code."""
    for old, new in _OLDER_PREFIXES.items():
        if name.startswith(old):
            return new + name[len(old) :]
    return name


@dataclass(frozen=True)
class _Slot:
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int
    numel: int


class Safetensors:
    """One or more memory-mapped safetensors files with the names of transformers, or Meta's."""

    def __init__(self, paths: Iterable[Path]):
        self._slots: dict[str, tuple[mmap.mmap, _Slot]] = {}
        for path in paths:
            self._open(path)
        self._slots = {_meta_name(name): slot for name, slot in self._slots.items()}
        by_meta = any(name.startswith(("detector.", "tracker.")) for name in self._slots)
        self.naming = "meta" if by_meta else "transformers"

    def _open(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            (size,) = struct.unpack_from("<Q", data, 0)
            if size > len(data) - 8:
                raise ValueError(f"the header says {size} bytes, the file has {len(data)}")
            header = json.loads(data[8 : 8 + size])
        except (OSError, ValueError, struct.error) as error:
            raise WeightsError(f"{path} is no safetensors file: {error}") from error
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            self._slots[name] = (data, self._slot(path, name, entry, 8 + size, len(data)))

    @staticmethod
    def _slot(path: Path, name: str, entry: dict, start: int, end: int) -> _Slot:
        dtype = _DTYPES.get(entry["dtype"])
        if dtype is None:
            raise WeightsError(f"{path}: {name} has the dtype {entry['dtype']}, which SAM 3 does not use")
        low, high = entry["data_offsets"]
        numel = 1
        for n in entry["shape"]:
            numel *= n
        if not 0 <= low <= high <= end - start or high - low != numel * dtype.itemsize:
            raise WeightsError(
                f"{path}: the bytes {low}..{high} of {name} do not fit its shape or the file; download the file again"
            )
        return _Slot(dtype, tuple(entry["shape"]), start + low, numel)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor."""
        return {name: slot.shape for name, (_, slot) in self._slots.items()}

    def read(self, name: str) -> Tensor:
        """A view of the mapping."""
        data, slot = self._slots[name]
        if slot.numel == 0:  # torch.frombuffer takes no empty range
            return torch.empty(slot.shape, dtype=slot.dtype)
        return torch.frombuffer(data, dtype=slot.dtype, count=slot.numel, offset=slot.offset).view(slot.shape)


class MetaCheckpoint:
    """Meta's sam3.pt and sam3.1_multiplex.pt: tensors by name, flat or under "model"."""

    naming = "meta"

    def __init__(self, path: Path):
        try:
            loaded = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except Exception as error:  # torch.load has no common error class
            raise WeightsError(f"{path} is no PyTorch checkpoint: {error}") from error
        loaded = loaded.get("model", loaded) if isinstance(loaded, dict) else loaded
        if not isinstance(loaded, dict) or not all(isinstance(v, Tensor) for v in loaded.values()):
            raise WeightsError(f"{path} holds no dictionary of tensors, so it is no SAM 3 checkpoint")
        self._tensors: dict[str, Tensor] = {_meta_name(name): tensor for name, tensor in loaded.items()}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor."""
        return {name: tuple(t.shape) for name, t in self._tensors.items()}

    def read(self, name: str) -> Tensor:
        """A view of the mapping."""
        return self._tensors[name]


def open_weights(path: str | Path) -> WeightFile:
    """Opens model.safetensors, model.safetensors.index.json, sam3.pt or sam3.1_multiplex.pt.

    Raises:
        WeightsError: there is no such file, or it is none of them.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weight file at {path}")
    if path.suffix == ".json":
        index = json.loads(path.read_text())
        return Safetensors(path.parent / shard for shard in sorted(set(index["weight_map"].values())))
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\x03\x04"
    return MetaCheckpoint(path) if is_zip else Safetensors([path])


def write_safetensors(
    path: Path, tensors: Iterable[tuple[str, Tensor]], layout: dict[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Writes tensors one at a time: `layout` gives names, shapes and dtypes in the order in which `tensors` yields them."""
    header, offset = {}, 0
    for name, (shape, dtype) in layout.items():
        numel = 1
        for n in shape:
            numel *= n
        size = numel * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, tensor in tensors:
            shape, dtype = layout[name]
            assert tuple(tensor.shape) == shape and tensor.dtype == dtype, name
            tensor = tensor.contiguous()
            if tensor.numel():
                file.write((ctypes.c_char * tensor.nbytes).from_address(tensor.data_ptr()))
