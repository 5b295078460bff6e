# SPDX-License-Identifier: BSD-3-Clause
"""Labels as targets of the core, and outputs as labels.

scikit-learn's LabelBinarizer decides what kind of labels they are, and which ones. Targets are

- for two classes (or one) a column of booleans, whether a row is of the second class;
- for more classes the index of each row's class, or, where they are independent outputs, a column
  of booleans for each class;
- for multi-label rows a column of booleans for each label.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from fastnn import _validate, nn

if TYPE_CHECKING:
    from sklearn.preprocessing import LabelBinarizer

__all__ = [
    "class_weights",
    "decoded",
    "encoded",
    "hits",
    "n_outputs",
    "of_known",
    "out_activation",
    "shares",
    "smoothed",
]


def _is_multiclass(binarizer: LabelBinarizer) -> bool:
    """Whether a row has one of more than two classes."""
    return bool(binarizer.y_type_ == "multiclass")


def out_activation(binarizer: LabelBinarizer, loss: Any) -> str:
    """Return the activation of the outputs for these labels and this loss of a classifier."""
    joint = isinstance(loss, nn.CrossEntropyLoss) or loss == "log_loss"
    return "softmax" if _is_multiclass(binarizer) and joint else "logistic"


def n_outputs(binarizer: LabelBinarizer) -> int:
    """Return the number of outputs for these labels."""
    return 1 if binarizer.y_type_ == "binary" else len(binarizer.classes_)


def encoded(binarizer: LabelBinarizer, y: Any, link: str) -> Any:
    """Return the targets of labels that the binarizer knows; `link`: activation of the outputs."""
    multilabel = binarizer.y_type_.startswith("multilabel")
    if multilabel or y.ndim != 1:
        return binarizer.transform(y).astype(bool)
    classes = binarizer.classes_
    if _is_multiclass(binarizer):
        return _of_indices(_places(classes, y), len(classes), link)
    if len(classes) < 2:
        return np.zeros((len(y), 1), bool)
    return (y == classes[1]).reshape(-1, 1)


def _places(classes: Any, y: Any) -> Any:
    """Return the places of labels among the classes, which are sorted; all labels are known."""
    return y if _is_numbered(classes, y) else classes.searchsorted(y)


def _is_numbered(classes: Any, y: Any) -> bool:
    """Whether labels that are known are the places of their classes."""
    integers = classes.dtype.kind in "iu" and y.dtype.kind in "iu"
    return integers and classes[0] == 0 and classes[-1] == len(classes) - 1


def _of_indices(indices: Any, n: int, link: str) -> Any:
    """Return targets of more than two classes: indices, or a column for each class."""
    return indices if link == "softmax" else indices[:, None] == np.arange(n)


def smoothed(targets: Any, share: float) -> Any:
    """Return targets of yes and no of which a share is moved half to either answer."""
    return targets * (1.0 - share) + share / 2


def of_known(binarizer: LabelBinarizer, y: Any, link: str) -> Any:
    """Return the targets of labels (n,), or None if a label is not among the known ones.

    For kinds of arrays that are searched quickly. Numbers of classes are returned as they are: a
    loss of softmax refuses those that are unknown.
    """
    classes = binarizer.classes_
    if binarizer.y_type_.startswith("multilabel") or classes.dtype.kind not in "biufU":
        return None
    if link == "softmax" and _is_numbered(classes, y):
        return y
    indices = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    if not (classes[indices] == y).all():
        return None
    if _is_multiclass(binarizer):
        return _of_indices(indices, len(classes), link)
    return indices.reshape(-1, 1)


def class_weights(where: str, given: Any, classes: Any, y: Any, sample_weight: Any) -> Any:
    """Return for each row the factor of its class.

    Parameters
    ----------
    where : str
        Name of the call, for messages.
    given : dict or "balanced"
        "balanced": each class gets the same sum of weights.
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    y : ndarray of shape (n,)
    sample_weight : ndarray of shape (n,) or None
        Weights that "balanced" takes into account.
    """
    indices = np.searchsorted(classes, y)
    if isinstance(given, dict):
        for label, factor in given.items():
            _validate.not_negative(where, f"class_weight[{label!r}]", factor)
        return compute_class_weight(given, classes=classes, y=y)[indices]
    sums = np.bincount(indices, sample_weight, minlength=len(classes)).astype(float)
    present = sums > 0
    factors = np.ones(len(classes))
    factors[present] = sums.sum() / (present.sum() * sums[present])
    return factors[indices]


def decoded(binarizer: LabelBinarizer, outputs: Any) -> Any:
    """Return the labels with the highest probability; of two classes, the first one for 1/2.

    Of multi-label rows whose labels came sparse, they are a sparse matrix, as in scikit-learn.
    """
    if binarizer.y_type_.startswith("multilabel"):
        labels = (outputs > 0.5).astype(int)
        return binarizer.inverse_transform(labels) if binarizer.sparse_input_ else labels
    return binarizer.classes_.take(_indices(binarizer, outputs))


def _indices(binarizer: LabelBinarizer, outputs: Any) -> Any:
    if _is_multiclass(binarizer):
        return outputs.argmax(axis=1)
    if len(binarizer.classes_) < 2:
        return np.zeros(len(outputs), int)
    return (outputs[:, 0] > 0.5).astype(int)


def shares(binarizer: LabelBinarizer, outputs: Any, link: str) -> Any:
    """Return outputs of several columns as probabilities.

    Of more than two classes that are independent outputs, they are divided by their sum, as in
    scikit-learn's OneVsRestClassifier.
    """
    if link == "softmax" or not _is_multiclass(binarizer):
        return outputs
    smallest = np.finfo(outputs.dtype).tiny
    outputs += smallest  # so that a row without any probability is in equal parts
    return outputs / outputs.sum(axis=1, keepdims=True)


def hits(binarizer: LabelBinarizer, outputs: Any, targets: Any) -> Any:
    """Return for each row whether its label, or all of its labels, are right."""
    if _is_multiclass(binarizer):
        found = outputs.argmax(axis=1)
        return found == (targets if targets.ndim == 1 else targets.argmax(axis=1))
    return ((outputs > 0.5) == (targets > 0.5)).all(axis=1)
