# SPDX-License-Identifier: BSD-3-Clause
"""How many threads joblib leaves to a fit that chooses their number itself."""

from __future__ import annotations

import sys
from multiprocessing import current_process, parent_process
from threading import current_thread, main_thread
from typing import Any

from fastnn import _core

__all__ = ["left_by_joblib"]


def left_by_joblib() -> int:
    """Return the number of threads for the core, where 0 means the automatic choice.

    joblib's processes (loky) limit OpenMP, which the core obeys by itself. Its threads have no
    limit, so that each of several fits would take all processors: the core shares them among the
    fits that run at the same time, and the first of them, which runs alone for a moment, is given
    one thread if there are no more than two.
    """
    # joblib's threads are no main thread, and its processes have a parent.
    if current_thread() is main_thread() and parent_process() is None:
        return 0
    parallel: Any = sys.modules.get("joblib.parallel")
    if parallel is None or current_process().name.startswith("Loky"):
        return 0
    backend, _ = parallel.get_active_backend()
    inside = (backend.nesting_level or 0) > 0
    return 1 if inside and _core.threads_available() < 4 else 0
