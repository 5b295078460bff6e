# SPDX-License-Identifier: BSD-3-Clause
"""Pictures of a training and of what it learned, drawn with matplotlib.

matplotlib is imported when something is drawn and is needed for nothing else:
``pip install fastnn-cpu[plot]``. Each function takes ``ax=``, the axes to draw on, makes a new
figure without it, and returns the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _validate
from ._hints import shown
from ._refusals import refused
from .nn._history import LR, History
from .nn._rate_search import RateSearch

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from ._validate import Array

__all__ = ["confusion", "decision_boundary", "history", "lr_find"]


def history(record: Any, figures: Sequence[str] | None = None, *, ax: Any = None) -> list[Any]:
    """Draw how the losses, metrics and learning rates of a fit went, over its epochs.

    Each figure has axes of its own, on which the figure of the training rows and that of the
    validation rows share a colour. A vertical line marks the best epoch: that with the smallest
    ``val_loss``, or ``loss`` without validation.

    Parameters
    ----------
    record : History, or dict of str to list of float
        What ``fit`` returned, or ``model.history``.
    figures : sequence of str, optional
        Which figures, without ``val_``, such as ``["loss", "accuracy"]``; by default all.
    ax : matplotlib.axes.Axes or sequence of them, optional
        Where to draw, as many as figures; by default in a new figure.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each figure, in the order of `figures`.

    Raises
    ------
    ImportError
        Without `ax`, if matplotlib is not installed.
    ValueError, TypeError
        If `record` is no history or has no epochs, or lacks a figure.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from fastnn import nn, plot
    >>> model = nn.Sequential(nn.Linear(2, 1))
    >>> model.compile("sgd", "mse")
    >>> rows = np.eye(2), np.ones(2)
    >>> (loss,) = plot.history(model.fit(*rows, epochs=3, validation_data=rows))
    >>> [line.get_label() for line in loss.lines]
    ['training', 'validation', 'best epoch: 2']
    >>> plt.close()
    """
    where = "plot.history"
    if isinstance(record, Mapping):
        record = _of_curves(where, record)
    if not isinstance(record, History):
        raise TypeError(f"[{where}] record is {shown(record)}; expected what fit returns")
    there = dict.fromkeys(name.removeprefix("val_") for name in record.history)
    if isinstance(figures, str) or not isinstance(figures, Sequence | None):
        raise TypeError(f"[{where}] figures is {shown(figures)}; expected a list of names")
    chosen: list[Any] = list(there if figures is None else figures)
    for name in chosen:
        if not isinstance(name, str) or name not in there:
            known = ", ".join(map(repr, there)) or "no figures"
            raise ValueError(f"[{where}] figures has {shown(name)}; expected some of: {known}")
    if not record.epoch or not chosen:
        raise ValueError(f"[{where}] the record has no epochs or no figures; expected some")
    axes = _axes(where, ax, len(chosen))
    for name, each in zip(chosen, axes, strict=True):
        _curves(each, record, name)
    return axes


def _of_curves(where: str, record: Mapping[Any, Any]) -> History:
    """Return a dictionary of curves as a History whose epochs are counted from 0."""
    curves: dict[str, list[float]] = {}
    for name, curve in record.items():
        numbers = _validate.numbers(where, "a curve", curve)
        if not isinstance(name, str) or numbers.ndim != 1:
            raise ValueError(
                f"[{where}] record has {shown(name)} with shape {numbers.shape}; expected names "
                "with a number for each epoch"
            )
        curves[name] = numbers.tolist()
    return History(history=curves, epoch=list(range(max(map(len, curves.values()), default=0))))


def _curves(ax: Any, record: History, name: str) -> None:
    """Draw one figure: of the training, of the validation, and the best epoch."""
    for label, key, style in (("training", name, "-"), ("validation", f"val_{name}", "--")):
        if key in record.history:
            curve = record.history[key]
            mark = "o" if len(curve) == 1 else ""  # a line of one point cannot be seen
            epochs = record.epoch[: len(curve)]
            ax.plot(epochs, curve, style, marker=mark, color="C0", label=label)
    best = record.best_epoch
    if best is not None:
        ax.axvline(best, color="0.6", linestyle=":", label=f"best epoch: {best}")
    if name == LR and min(record.history[LR]) > 0:
        ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.set_ylabel("learning rate" if name == LR else name)
    ax.legend()


def decision_boundary(
    model: Any,
    X: ArrayLike,
    y: ArrayLike,
    *,
    level: float = 0.5,
    resolution: int = 200,
    ax: Any = None,
) -> Any:
    """Draw rows of two columns, and the class that a model gives to each place around them.

    Parameters
    ----------
    model : Sequential, estimator or callable
        Its ``predict_proba`` is asked, or if it has none ``predict``, or a function of rows (n, 2).
        The answer has classes of `y`, or a number for each class, of which the largest counts, or
        one number, which is above `level` for the second class of `y`.
    X : array_like of shape (n, 2)
    y : array_like of shape (n,) or (n, 1)
        Classes: numbers or strings.
    level : float, default 0.5
    resolution : int, default 200
        Number of places in each direction at which the model is asked.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError, TypeError
        If X has not two columns of finite numbers, or the arguments do not fit.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import fastnn.functional as F
    >>> from fastnn import plot
    >>> gate, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    >>> w, b, _ = F.perceptron(gate, y)
    >>> ax = plot.decision_boundary(lambda x: F.step(F.linear(x, w, b)), gate, y)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0', '1']
    >>> plt.close()
    """
    where = "plot.decision_boundary"
    rows = _validate.numbers(where, "X", X).astype(float)
    if rows.ndim != 2 or rows.shape[1] != 2 or not rows.size or not np.isfinite(rows).all():
        raise ValueError(
            f"[{where}] X has shape {rows.shape}; expected finite numbers of shape (n, 2)"
        )
    labels = _classes(where, "y", y)
    if len(labels) != len(rows):
        raise refused("rows", "y", shape=labels.shape, rows=len(rows), of="X").worded(where)
    n = _validate.integer(where, "resolution", resolution, 2, 4000)
    limit = _validate.number(where, "level", level)
    (axes,) = _axes(where, ax, 1)
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = np.where(high > low, 0.1 * (high - low), 0.5)
    low, high = low - margin, high + margin
    across, up = np.meshgrid(*(np.linspace(low[k], high[k], n) for k in range(2)))
    answer = _answer(where, model, np.stack([across.ravel(), up.ravel()], axis=1))
    at, known, field = _regions(where, model, answer, np.unique(labels), limit)
    colours = _colours(len(known))
    axes.imshow(
        colours[at.reshape(n, n)],
        extent=(low[0], high[0], low[1], high[1]),
        origin="lower",
        aspect="auto",
        alpha=0.3,
    )
    if field is not None and field.min() < limit < field.max():
        axes.contour(across, up, field.reshape(n, n), [limit], colors="0.2")
    for each, colour in zip(known, colours, strict=True):
        own = rows[labels == each]
        axes.scatter(*own.T, s=20, color=colour, edgecolors="0.2", label=str(each))
    axes.legend()
    return axes


def _answer(where: str, model: Any, places: Array) -> Array:
    """Return what the model says about each place, as (n,) or (n, k)."""
    try:
        found = np.asarray(model.predict_proba(places))
    except (AttributeError, ValueError):  # ValueError: the loss of this model has no classes
        ask = getattr(model, "predict", model)
        if not callable(ask):
            raise TypeError(
                f"[{where}] model is {shown(model)}; expected a model, or a function of rows"
            ) from None
        found = np.asarray(ask(places))
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim not in (1, 2) or len(found) != len(places):
        raise ValueError(
            f"[{where}] model gives shape {found.shape} for {len(places)} rows; expected (n,) or "
            "(n, k)"
        )
    return found


def _regions(
    where: str, model: Any, answer: Array, labels: Array, level: float
) -> tuple[Array, Array, Array | None]:
    """Return the class at each place, all classes, and the number that passes `level` between two.

    The classes are indices of the second.
    """
    if answer.ndim == 2:
        count = answer.shape[1]
        own = labels if len(labels) == count else np.arange(count)
        columns = np.asarray(getattr(model, "classes_", own))
        known = np.unique(np.concatenate([columns, labels]))
        at = np.searchsorted(known, columns)[answer.argmax(axis=1)]
        return at, known, answer[:, 1] - answer[:, 0] + level if count == 2 else None
    if np.isin(answer, labels).all():
        at = np.searchsorted(labels, answer)
        return at, labels, at + level - 0.5 if len(labels) == 2 else None
    if len(labels) > 2:
        raise ValueError(
            f"[{where}] model gives one number for each row, and y has {len(labels)} classes; "
            "expected a number for each class, or two classes"
        )
    return np.minimum(answer > level, len(labels) - 1), labels, answer


def confusion(y_true: ArrayLike, y_pred: ArrayLike, *, ax: Any = None) -> Any:
    """Draw how many rows of each class were taken for which class.

    Parameters
    ----------
    y_true, y_pred : array_like of shape (n,) or (n, 1)
        The right classes and the predicted ones: numbers or strings.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The right classes are the rows of the picture.

    Raises
    ------
    ImportError
        Without `ax`, if matplotlib is not installed.
    ValueError, TypeError
        If the arguments are no classes of the same rows, or there are no rows.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from fastnn import plot
    >>> ax = plot.confusion(["cat", "dog", "dog"], ["cat", "dog", "cat"])
    >>> [text.get_text() for text in ax.texts]
    ['1', '0', '1', '1']
    >>> plt.close()
    """
    where = "plot.confusion"
    truth, guess = _classes(where, "y_true", y_true), _classes(where, "y_pred", y_pred)
    if len(guess) != len(truth):
        raise refused("rows", "y_pred", shape=guess.shape, rows=len(truth), of="y_true").worded(
            where
        )
    known, at = np.unique(np.concatenate([truth, guess]), return_inverse=True)
    counts = np.zeros((len(known), len(known)), int)
    np.add.at(counts, (at[: len(truth)], at[len(truth) :]), 1)
    (axes,) = _axes(where, ax, 1)
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        colour = "w" if 2 * count > counts.max() else "k"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(known)), list(map(str, known)))
    axes.set_yticks(range(len(known)), list(map(str, known)))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class")
    return axes


def lr_find(found: RateSearch, *, ax: Any = None) -> Any:
    """Draw the smoothed losses of `Sequential.lr_find` over the rates, and mark the suggestion.

    Parameters
    ----------
    found : RateSearch
        What ``model.lr_find`` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ImportError
        Without `ax`, if matplotlib is not installed.
    TypeError
        If `found` is anything else.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from fastnn import nn, plot
    >>> model = nn.Sequential(nn.Linear(4, 1))
    >>> model.compile("sgd", "mse")
    >>> ax = plot.lr_find(model.lr_find(np.eye(4), np.ones(4), steps=20))
    >>> ax.get_xlabel(), ax.get_xscale()
    ('learning rate', 'log')
    >>> plt.close()
    """
    where = "plot.lr_find"
    if not isinstance(found, RateSearch):
        raise TypeError(f"[{where}] found is {shown(found)}; expected what model.lr_find returns")
    (axes,) = _axes(where, ax, 1)
    axes.plot(found.rates, found.smoothed)
    if found.suggestion is not None:
        axes.axvline(found.suggestion, linestyle="--", label=f"suggestion: {found.suggestion:.3g}")
        axes.legend()
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, smoothed")
    return axes


def _axes(where: str, given: Any, count: int) -> list[Any]:
    """Return so many axes: those that are given, or those of a new figure side by side."""
    if given is None:
        try:
            from matplotlib import pyplot as plt
        except ImportError:
            raise ImportError(
                f"[{where}] matplotlib is not installed; expected it: pip install fastnn-cpu[plot]"
            ) from None
        figure, made = plt.subplots(1, count, squeeze=False, figsize=(1.6 + 4.8 * count, 4.8))
        figure.set_layout_engine("tight")
        return list(made[0])
    several = list(np.ravel(np.asarray(given, dtype=object)))
    if len(several) != count or not all(hasattr(each, "imshow") for each in several):
        what = shown(given) if len(several) == 1 else f"{len(several)} objects"
        raise TypeError(f"[{where}] ax is {what}; expected {count} axes of matplotlib")
    return several


def _colours(count: int) -> Array:
    """Return the first colours of matplotlib's cycle, as rows of red, green and blue."""
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(f"C{number}") for number in range(count)])


def _classes(where: str, what: str, value: ArrayLike) -> Array:
    """Return classes, which may be strings, as (n,) with n of at least 1."""
    array = np.asarray(value)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not array.size or array.dtype.kind not in "biufUSO":
        raise ValueError(
            f"[{where}] {what} has dtype {array.dtype} and shape {array.shape}; expected classes "
            "of shape (n,)"
        )
    return array.astype(str) if array.dtype.kind == "O" else array
