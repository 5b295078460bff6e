# SPDX-License-Identifier: BSD-3-Clause
"""Read MNIST as uint8 from the folder named by FASTNN_DATA."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load"]


def load(part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (n, 784) and labels (n,) of "train" or "t10k"."""
    folder = os.environ.get("FASTNN_DATA")
    if not folder:
        raise SystemExit("FASTNN_DATA is not set: the folder that has mnist/")
    arrays = []
    for what, offset in (("images-idx3", 16), ("labels-idx1", 8)):
        with gzip.open(Path(folder) / "mnist" / f"{part}-{what}-ubyte.gz") as file:
            arrays.append(np.frombuffer(file.read(), np.uint8, offset=offset))
    return arrays[0].reshape(-1, 784), arrays[1]
