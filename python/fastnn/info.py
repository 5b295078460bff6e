# SPDX-License-Identifier: BSD-3-Clause
"""Information about this installation, its build and its threads, to be included in bug reports."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

from . import __version__, _core

__all__ = ["build_info", "describe"]


def build_info() -> dict[str, Any]:
    """Return version, instruction set, compiler, libraries, and the default number of threads.

    Returns
    -------
    dict
        version, isa (the level that was loaded), isa_built, isa_runnable, compiler, eigen, openmp,
        cxx_flags, pybind11, threads (the most that `n_threads=None` uses), thread_limits (openmp,
        affinity, cgroup, which is None without a quota, thread, which is None outside of
        `fastnn.threads`), threads_why, cpu, python, numpy.

    Examples
    --------
    >>> import fastnn
    >>> info = fastnn.build_info()
    >>> info["isa"] in info["isa_runnable"], info["threads"] >= 1
    (True, True)
    """
    limits = dict(_core.thread_limits())
    return {
        "version": __version__,
        **_core.build_info(),
        "isa": _core.isa,
        "isa_built": list(_core.built),
        "isa_runnable": list(_core.runnable),
        "threads": int(_core.threads_available()),
        "thread_limits": limits,
        "threads_why": _why(limits),
        "cpu": _cpu_name(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def describe(info: dict[str, Any] | None = None) -> str:
    """Return `build_info()` as lines of text.

    Parameters
    ----------
    info : dict, optional
        A result of `build_info`; by default that of a new call.

    Returns
    -------
    str
        One line for each entry.

    Examples
    --------
    >>> from fastnn.info import describe
    >>> describe().splitlines()[0].startswith("fastnn")
    True
    """
    info = build_info() if info is None else info
    forced = os.environ.get("FASTNN_ISA")
    level = f"{info['isa']} ({'forced by FASTNN_ISA; ' * bool(forced)}"
    level += f"built: {', '.join(info['isa_built'])}; "
    runs = [
        name for name in info["isa_runnable"] if name != "native"
    ]  # native runs where it was built
    level += f"this processor runs: {', '.join(runs)})"
    rows = {
        "fastnn": info["version"],
        "instruction set": level,
        "processor": info["cpu"],
        "threads": f"{info['threads']} ({info['threads_why']})",
        "compiler": info["compiler"],
        "flags": info["cxx_flags"],
        "Eigen": info["eigen"],
        "OpenMP": info["openmp"],
        "pybind11": info["pybind11"],
        "NumPy": info["numpy"],
        "Python": info["python"],
    }
    return "\n".join(f"{name:<17}{value}" for name, value in rows.items())


def _why(limits: dict[str, int | None]) -> str:
    """Describe the limits, the smallest of which is the number of threads."""
    given = os.environ.get("OMP_NUM_THREADS")
    source = f"OMP_NUM_THREADS={given}" if given else "OMP_NUM_THREADS is not set"
    quota = "none" if limits["cgroup"] is None else str(limits["cgroup"])
    return (
        f"the smallest of: OpenMP's limit {limits['openmp']} ({source}), "
        f"processors this process may use {limits['affinity']}, cgroup quota {quota}"
        + ("" if limits["thread"] is None else f", fastnn.threads({limits['thread']})")
    )


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
