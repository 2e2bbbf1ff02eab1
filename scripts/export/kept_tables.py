"""Tables that a program computes once."""

# No `from __future__ import annotations` here: TorchScript reads the type of an attribute, and does not know it as text.

from typing import Optional

import torch
from torch import Tensor, nn


class KeptTables(nn.Module):
    """Tables that follow from a size and the weights: a program makes each when it is first asked for, and keeps it.

    Outside of a program nothing is kept: there weights change, and autograd follows what is made of them.
    """

    kept: dict[int, Tensor]

    def __init__(self):
        super().__init__()
        self.kept = {}

    def find(self, size: int, dtype: torch.dtype, device: torch.device) -> Optional[Tensor]:
        """The table of this size, or None where it has to be made (of another dtype or on another device too)."""
        if torch.jit.is_scripting():
            if size in self.kept:
                table = self.kept[size]
                if table.dtype == dtype and table.device == device:
                    return table
        return None

    def keep(self, size: int, table: Tensor) -> Tensor:
        """`table`, from now on that of this size."""
        if torch.jit.is_scripting():
            self.kept[size] = table
        return table
