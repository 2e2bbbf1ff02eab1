"""What a GPU needs for the program at least, by two numbers of the card: counted, not measured.

Runs the program as it is, at the true size, on PyTorch's meta device, which computes shapes only. Every operator that is a kernel on CUDA takes
the larger of its arithmetic over the card's FLOP/s and the bytes that it reads and writes over the card's bytes/s, and no less than a
small kernel takes. Attention is one fused kernel, and so is each function of scripts/export/fused.py that the engine has a kernel for, unless
--without-kernels is given. Constants that the program keeps are not counted.

    python -m bench.limits --bytes-per-second 3.0e12 --flops 670e12 --batch 8 --texts 1
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from scripts.export import (
    detr_encoder,
    mask_decoder,
    memory_attention,
    memory_encoder,
    multiplex_memory,
    program,
    vision_encoder,
)
from scripts.export.config import Sam3Config
from scripts.export.kept_tables import KeptTables

LEAST = 2.4e-6  # seconds that a kernel takes
CONTEXT = 32  # tokens of a text
VIEWS = frozenset(
    "view _unsafe_view reshape permute transpose t slice select unsqueeze squeeze expand unflatten flatten alias as_strided detach split"
    " split_with_sizes chunk unbind view_as view_as_complex view_as_real diagonal narrow lift_fresh empty empty_strided empty_like".split()
)
# Who calls the functions for which the engine has kernels (native/network/own_kernels.cc).
CALLERS = (detr_encoder, mask_decoder, memory_attention, memory_encoder, multiplex_memory, vision_encoder)
# Each with the times that it reads the first, and what else it is given.
KERNELS = {"apply_rope": 1, "norm_of_sum": 1, "relu_of_norm": 2, "relu_of_shifted_norm": 2}
FILLS = frozenset("zeros ones full zeros_like ones_like full_like fill_ zero_ arange scalar_tensor".split())


def tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for one in value for tensor in tensors_in(one)]
    if isinstance(value, dict):
        return tensors_in(list(value.values()))
    return []


def bytes_of(tensor: Tensor) -> int:
    """What is read or written of it: expanded elements are there once."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride()):
        if stride != 0:
            elements *= size
    return elements * tensor.element_size()


@dataclass
class Stage:
    operators: int = 0
    flops: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0  # predicted
    least: float = 0.0  # of the products alone
    by_operator: dict[str, float] = field(default_factory=lambda: defaultdict(float))


class Count(TorchDispatchMode):
    """Adds every kernel to the stage that is under way."""

    def __init__(self, bytes_per_second: float, flops: float):
        super().__init__()
        self.bytes_per_second = bytes_per_second
        self.flops = flops
        self.stages: dict[str, Stage] = defaultdict(Stage)
        self.stage = ""

    def add(self, name: str, flops: float, size: float) -> None:
        seconds = max(flops / self.flops, size / self.bytes_per_second, LEAST)
        stage = self.stages[self.stage]
        stage.operators += 1
        stage.flops += flops
        stage.bytes += size
        stage.seconds += seconds
        stage.least += flops / self.flops
        stage.by_operator[name] += seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.split("::")[1]
        if name in VIEWS or not self.stage:
            return out
        read, written = tensors_in(args) + tensors_in(kwargs or {}), tensors_in(out)
        if name in FILLS:
            read = []
        size = sum(map(bytes_of, read)) + sum(map(bytes_of, written))
        flops = 0.0
        if func._overloadpacket in flop_registry:
            flops = flop_registry[func._overloadpacket](*args, **(kwargs or {}), out_val=out)
        elif name == "addmm_":  # whose first argument is its result
            flops = 2 * args[1].numel() * args[2].shape[1]
        elif name == "linear":
            flops = 2 * args[0].numel() * args[1].shape[0]
        elif name in ("conv2d", "conv_transpose2d"):
            flops = 2 * args[1][0].numel() * (out if name == "conv2d" else args[0]).numel()
        self.add(name, flops, size)
        return out

    def attention(self, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, **_: Any) -> Tensor:
        batch, heads, rows, _depth = q.shape
        batch = max(batch, k.shape[0])
        flops = 2 * batch * heads * rows * k.shape[2] * (q.shape[3] + v.shape[3])
        size = sum(map(bytes_of, (q, k, v))) + batch * heads * rows * v.shape[3] * q.element_size()
        size += 0 if attn_mask is None else bytes_of(attn_mask)
        if self.stage:
            self.add("attention", flops, size)
        # As the fused kernels lay it out.
        return torch.empty(batch, rows, heads, v.shape[3], dtype=q.dtype, device=q.device).transpose(1, 2)

    def linear_gelu(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """A product that applies GELU to what it writes."""
        out = torch.empty(*x.shape[:-1], len(weight), dtype=x.dtype, device=x.device)
        if self.stage:
            self.add("linear_gelu", 2 * x.numel() * len(weight), sum(map(bytes_of, (x, weight, bias, out))))
        return out

    def kernel(self, name: str) -> Callable[..., Tensor]:
        """One kernel of the engine, which writes what is as large as its first argument."""

        def call(x: Tensor, *more: Any) -> Tensor:
            if self.stage:
                read = bytes_of(x) + sum(map(bytes_of, tensors_in(more)))
                self.add(name, 0, KERNELS[name] * read + bytes_of(x))
            return torch.empty_like(x)

        return call

    @contextmanager
    def as_the_engine(self, kernels: bool) -> Iterator[None]:
        """While it lasts, attention is one kernel, tables are kept as a program keeps them, and with `kernels` the engine's are used."""
        with ExitStack() as stack:
            replace = lambda owner, name, value: stack.enter_context(mock.patch.object(owner, name, value))  # noqa: E731
            replace(F, "scaled_dot_product_attention", self.attention)
            replace(KeptTables, "find", lambda tables, size, dtype, device: tables.kept.get(size))
            replace(KeptTables, "keep", lambda tables, size, table: tables.kept.setdefault(size, table))
            ours = {name: self.kernel(name) for name in KERNELS} | {"linear_gelu": self.linear_gelu}
            for module in CALLERS:
                for name, function in ours.items():
                    if kernels and hasattr(module, name):
                        replace(module, name, function)
            yield


def questions(network: Any, config: Sam3Config, images: int, texts: int, found: int) -> dict[str, Callable[[], Any]]:
    """The calls of the engine for some images with some texts each, by stage, each with what the ones before gave."""
    pairs, got = images * texts, {}

    def empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    index = empty(pairs, dtype=torch.long)

    def keep(name: str, value: Any) -> None:
        got[name] = value

    def encode() -> None:
        tokens = network.embed_patches(empty(images, 3, config.image_size, config.image_size))
        keep("vit", network.join_tokens(network.encode_layers(tokens, 0, config.vision_layers)))

    def neck() -> None:
        keep("levels", network.neck_detect(got["vit"]))

    def text() -> None:
        ids = empty(pairs, CONTEXT, dtype=torch.long)
        keep("text", network.encode_text(ids, empty(pairs, CONTEXT, dtype=torch.bool)))

    def geometry() -> None:
        boxes, labels = empty(pairs, 0, 4, dtype=torch.float32), empty(pairs, 0, dtype=torch.long)
        tokens, _ = network.encode_geometry(boxes, labels, empty(pairs, 0, dtype=torch.bool), got["levels"][2], index)
        keep("prompt", torch.cat([got["text"], tokens], 1))
        keep("valid", empty(*got["prompt"].shape[:2], dtype=torch.bool))

    def detect() -> None:
        keep("found", network.detect(got["levels"][2], index, got["prompt"], got["valid"]))

    def pixels() -> None:
        fine, middle, _ = got["levels"]
        keep("maps", network.pixel_embed(fine, middle, index, got["found"][4], got["prompt"], got["valid"]))

    def masks() -> None:
        network.masks(got["maps"][0], got["found"][3][:, :found])

    return {
        "image encoder": encode,
        "neck": neck,
        "text": text,
        "geometry": geometry,
        "detector": detect,
        "pixel decoder": pixels,
        "masks": masks,
    }


def count(
    bytes_per_second: float, flops: float, images: int, texts: int, found: int = 20, kernels: bool = True
) -> dict[str, Stage]:
    config = Sam3Config()
    network = program.build(config, "meta").to(torch.bfloat16)
    counter = Count(bytes_per_second, flops)
    with torch.inference_mode(), counter.as_the_engine(kernels), counter:
        for stage in ("", "counted"):  # the first time it makes what it keeps
            for name, call in questions(network, config, images, texts, found).items():
                counter.stage = name if stage else ""
                call()
    return counter.stages


def table(stages: dict[str, Stage], images: int) -> str:
    lines = ["| | operators | TFLOP | GB | ms an image | of the products alone |", "|---|---:|---:|---:|---:|---:|"]

    def line(name: str, rows: list[Stage]) -> str:
        operators, flops, size = (sum(getattr(row, of) for row in rows) for of in ("operators", "flops", "bytes"))
        seconds, least = (sum(getattr(row, of) for row in rows) * 1e3 / images for of in ("seconds", "least"))
        return f"| {name} | {operators} | {flops / 1e12:.2f} | {size / 1e9:.2f} | {seconds:.2f} | {least:.2f} |"

    lines += [line(name, [stage]) for name, stage in stages.items()]
    lines.append(line("all", list(stages.values())))
    return "\n".join(lines)


def largest(stages: dict[str, Stage], images: int, rows: int) -> str:
    times = {(name, op): t for name, stage in stages.items() for op, t in stage.by_operator.items()}
    best = sorted(times.items(), key=lambda item: -item[1])[:rows]
    return "\n".join(f"  {seconds * 1e3 / images:6.2f} ms  {name}: {op}" for (name, op), seconds in best)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="npm run bench -- limits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bytes-per-second", type=float, default=3.0e12, help="of the card's memory (3.0e12: an H100)")
    parser.add_argument("--flops", type=float, default=670e12, help="that large bfloat16 products reach (670e12)")
    parser.add_argument("--batch", type=int, default=8, help="images (8)")
    parser.add_argument("--texts", type=int, default=1, help="for each of them (1)")
    parser.add_argument("--without-kernels", action="store_true", help="with LibTorch's operators alone")
    options = parser.parse_args()
    stages = count(
        options.bytes_per_second, options.flops, options.batch, options.texts, kernels=not options.without_kernels
    )
    card = f"{options.bytes_per_second / 1e12:g} TB/s, {options.flops / 1e12:g} TFLOP/s"
    print(
        f"Predicted for {card}, bfloat16, {options.batch} images with {options.texts} text{'s' if options.texts > 1 else ''} each:\n"
    )
    print(table(stages, options.batch))
    print("\nThe largest:\n" + largest(stages, options.batch, 12))


if __name__ == "__main__":
    main()
