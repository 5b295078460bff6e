# SPDX-License-Identifier: BSD-3-Clause
"""Nothing is read or written beyond the ends of the caller's arrays."""

from __future__ import annotations

import probe


def test_the_pages_beside_arrays_are_not_touched() -> None:
    """The program makes every call with arrays of every dtype and layout."""
    status, out, errors = probe.run("edge_probe.py", seconds=120)
    assert status == 0, f"{''.join(out.splitlines(keepends=True)[-1:])}{errors[-3000:]}"
    assert out.splitlines()[-1] == "440 cases"
