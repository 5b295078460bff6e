# SPDX-License-Identifier: BSD-3-Clause
"""Modules of torch for the layers that torch does not have, under the names of their classes here.

They are made by `Sequential.to_torch`, can be saved by ``torch.save``, and `nn.from_torch` knows
them. Importing this module imports torch.
"""

from __future__ import annotations

import torch

__all__ = ["Exp", "GaussianNoise", "Rescale", "Residual", "Standardize", "Step"]

# What float32 represents exactly is scaled in the dtype of the model, everything else in double.
_NARROW = {
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.float16,
    torch.bfloat16,
    torch.float32,
}


def _in_double(x: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether a module of this dtype scales x in double before it rounds."""
    return x.dtype not in _NARROW or dtype == torch.float64


class Rescale(torch.nn.Module):
    """x * scale + shift by column, (n, ...) to (n, ...), rounded to the dtype of the module.

    The numbers are buffers, so that they move with the module, but no entries of state_dict: the
    keys remain those of the fastnn model.
    """

    def __init__(self, scale: object, shift: object = 0.0) -> None:
        super().__init__()
        self.scale, self.shift = (torch.tensor(v, dtype=torch.float64) for v in (scale, shift))
        self.register_buffer("rounded_scale", self.scale.float(), persistent=False)
        self.register_buffer("rounded_shift", self.shift.float(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scaled rows."""
        scale, shift = self.rounded_scale, self.rounded_shift
        dtype = scale.dtype
        if _in_double(x, dtype):
            scale, shift = self.scale.to(x.device), self.shift.to(x.device)
        columns = x.flatten(1).to(scale.dtype)
        return (columns * scale + shift).to(dtype).reshape(x.shape)

    def extra_repr(self) -> str:
        """Return the numbers, or how many they are."""
        shown = [
            v.item() if v.ndim == 0 else f"({len(v)} values)" for v in (self.scale, self.shift)
        ]
        return f"scale={shown[0]}, shift={shown[1]}"


class Residual(torch.nn.Sequential):
    """x + f(x), f the modules one after the other.

    With a module called shortcut it is shortcut(x) + f(x), where f has all others.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x + f(x), or shortcut(x) + f(x)."""
        y = past = x
        for name, module in self._modules.items():
            if module is None:
                continue
            if name == "shortcut":
                past = module(x)
            else:
                y = module(y)
        return y + past


class Standardize(torch.nn.Module):
    """(x - mean) / scale by column, (n, ...) to (n, ...), rounded to the dtype of the module.

    As those of Rescale, its numbers move with the module and are no entries of state_dict.
    """

    def __init__(self, mean: object, scale: object) -> None:
        super().__init__()
        self.mean, self.scale = (torch.tensor(v, dtype=torch.float64) for v in (mean, scale))
        self.register_buffer("rounded_mean", self.mean.float(), persistent=False)
        self.register_buffer("rounded_inverse", (1 / self.scale).float(), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the scaled rows."""
        mean, inverse = self.rounded_mean, self.rounded_inverse
        dtype = mean.dtype
        if _in_double(x, dtype):
            mean, inverse = self.mean.to(x.device), 1 / self.scale.to(x.device)
        columns = x.flatten(1).to(mean.dtype)
        return ((columns - mean) * inverse).to(dtype).reshape(x.shape)

    def extra_repr(self) -> str:
        """Return how many numbers there are."""
        return f"mean=({len(self.mean)} values), scale=({len(self.scale)} values)"


class GaussianNoise(torch.nn.Module):
    """x + std * normal numbers in training, x otherwise."""

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x, in training with noise."""
        return x + self.std * torch.randn_like(x) if self.training else x

    def extra_repr(self) -> str:
        """Return the standard deviation."""
        return f"std={self.std}"


class Exp(torch.nn.Module):
    """exp(x)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return exp(x)."""
        return x.exp()


class Step(torch.nn.Module):
    """1 where x is at least 0, and 0 elsewhere; the modules before it get no gradient."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return 1 or 0 for each number."""
        return (x >= 0).to(x.dtype)
