# SPDX-License-Identifier: BSD-3-Clause
"""What may be wrong with a model and its data; `Sequential.diagnose` returns a `Report`.

Each module finds one kind of fault from plain arrays and numbers: `inputs`, `units`, `gradients`,
`losses`, `learning`. They know nothing of models; `fastnn.nn` measures and calls them.
"""

from __future__ import annotations

from . import gradients, inputs, learning, losses, units
from ._report import Finding, Report

__all__ = ["Finding", "Report", "gradients", "inputs", "learning", "losses", "units"]
