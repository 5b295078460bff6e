# SPDX-License-Identifier: BSD-3-Clause
"""PyTorch with compiled forward, loss and backward; used only if `--peers` names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .torch_peer import PINNED, versions
from .torch_peer import Model as Eager

if TYPE_CHECKING:
    from bench.compare.case import Case

__all__ = ["PINNED", "Model", "versions"]


class Model(Eager):
    """See `case.Peer`."""

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        torch.compiler.reset()
        self.forward = torch.compile(self.forward)
