# SPDX-License-Identifier: BSD-3-Clause
"""Initial weights of shape (in_features, out_features); equal seeds give equal bits.

Each function draws as the initializer of the same name in `fastnn.nn.init` does, but the numbers
come from a stream of their own, so they differ from those that a model draws with the same seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._first_use import on_first_use

from . import _initials
from ._draws import uniform

if TYPE_CHECKING:
    from ._initials import *  # noqa: F403

__all__ = ["uniform"]
__all__ += _initials.__all__

if not TYPE_CHECKING:  # for type checkers, a module with __getattr__ has every name
    __getattr__, __dir__ = on_first_use(globals(), _initials)
