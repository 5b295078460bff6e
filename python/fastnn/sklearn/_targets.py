# SPDX-License-Identifier: BSD-3-Clause
"""Labels as targets of the core, and outputs as labels.

scikit-learn's LabelBinarizer decides what kind of labels they are, and which ones. Targets are

- for two classes (or one) a column of booleans, whether a row is of the second class;
- for more classes the index of each row's class;
- for multi-label rows a column of booleans for each label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sklearn.preprocessing import LabelBinarizer

__all__ = ["decoded", "encoded", "hits", "n_outputs", "of_known", "out_activation"]


def out_activation(binarizer: LabelBinarizer) -> str:
    """Return the activation of the outputs for these labels."""
    return "softmax" if binarizer.y_type_ == "multiclass" else "logistic"


def n_outputs(binarizer: LabelBinarizer) -> int:
    """Return the number of outputs for these labels."""
    return 1 if binarizer.y_type_ == "binary" else len(binarizer.classes_)


def encoded(binarizer: LabelBinarizer, y: Any) -> Any:
    """Return the targets of labels that the binarizer knows."""
    multilabel = binarizer.y_type_.startswith("multilabel")
    if multilabel or y.ndim != 1:
        return binarizer.transform(y).astype(bool)
    classes = binarizer.classes_
    if out_activation(binarizer) == "softmax":
        return np.searchsorted(classes, y)
    if len(classes) < 2:
        return np.zeros((len(y), 1), bool)
    return (y == classes[1]).reshape(-1, 1)


def of_known(binarizer: LabelBinarizer, y: Any) -> Any:
    """Return the targets of labels (n,), or None if a label is not among the known ones.

    For kinds of arrays that are searched quickly.
    """
    classes = binarizer.classes_
    if binarizer.y_type_.startswith("multilabel") or classes.dtype.kind not in "biufU":
        return None
    indices = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if not (classes[indices] == y).all():
        return None
    return indices if out_activation(binarizer) == "softmax" else indices.reshape(-1, 1)


def decoded(binarizer: LabelBinarizer, outputs: Any) -> Any:
    """Return the labels with the highest probability; of two classes, the first one for 1/2."""
    if binarizer.y_type_.startswith("multilabel"):
        return (outputs > 0.5).astype(int)
    return binarizer.classes_.take(_indices(binarizer, outputs))


def _indices(binarizer: LabelBinarizer, outputs: Any) -> Any:
    if out_activation(binarizer) == "softmax":
        return outputs.argmax(axis=1)
    if len(binarizer.classes_) < 2:
        return np.zeros(len(outputs), int)
    return (outputs[:, 0] > 0.5).astype(int)


def hits(outputs: Any, targets: Any) -> Any:
    """Return for each row whether its label, or all of its labels, are right."""
    if targets.ndim == 1:
        return outputs.argmax(axis=1) == targets
    return ((outputs > 0.5) == targets).all(axis=1)
