# SPDX-License-Identifier: BSD-3-Clause
"""Optimizers as plain frozen descriptions with torch's rules, names and defaults.

An optimizer is handed to ``Sequential.compile``; the state lives in the model. Two defaults that
differ elsewhere: Keras' Adam has ``eps=1e-7``, Keras' AdamW decays by 0.004, optax's by 1e-4.
"""

from __future__ import annotations

from . import _optimizers
from ._describe import Optimizer
from ._optimizers import *  # noqa: F403  (the generated list is the list)

__all__ = ["Optimizer"]
__all__ += _optimizers.__all__
