# SPDX-License-Identifier: BSD-3-Clause
"""Loads the compiled core: the best instruction-set level that was built and that can run here.

All other modules write ``from fastnn import _core`` and do not depend on the level that was loaded.
``FASTNN_ISA=v3`` in the environment selects one.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_LEVELS = ("native", "v4", "v3", "v2", "base")

built = tuple(level for level in _LEVELS if find_spec(f"{__name__}._{level}"))
if not built or not find_spec(f"{__name__}._cpuid"):
    raise ImportError(
        f"fastnn's compiled core is missing in {os.path.dirname(__file__)}: "  # noqa: PTH120
        "install the package (pip install .); a checkout alone does not run"
    )
# A native module was compiled for this machine, so it can always run.
runnable = ("native", *import_module(f"{__name__}._cpuid").levels())


def _choose(forced: str) -> str:
    """Return the level to load: the selected one, or the best that was built and can run."""
    here = f"this CPU runs {', '.join(runnable[1:])}; built: {', '.join(built)}"
    for level in (forced,) if forced else built:
        if level in built and level in runnable:
            return level
    if not forced:
        raise ImportError(f"no built level of fastnn's core runs here: {here}")
    if forced not in _LEVELS:
        raise ImportError(f"FASTNN_ISA={forced} is none of {', '.join(_LEVELS)}: {here}")
    why = "does not run here" if forced in built else "was not built"
    raise ImportError(f"FASTNN_ISA={forced} {why}: {here}")


def _adopt(module: ModuleType) -> None:
    """Re-export the names of a level; classes get the module ``fastnn._core``, also in pickles."""
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        if isinstance(value, type) and value.__module__ == module.__name__:
            value.__module__ = __name__
        elif isinstance(value, ModuleType):
            sys.modules[f"{__name__}.{name}"] = value
        globals()[name] = value


isa = _choose(os.environ.get("FASTNN_ISA", ""))
_adopt(import_module(f"{__name__}._{isa}"))
