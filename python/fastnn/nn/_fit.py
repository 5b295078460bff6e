# SPDX-License-Identifier: BSD-3-Clause
"""What fit does around the core: data in order, class weights, callbacks, epoch numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _validate
from fastnn._hints import shown
from fastnn._validate import Array
from fastnn.callbacks import Callback, ProgressBar, check_hooks

from ._history import History
from ._layer import ParameterLayer

if TYPE_CHECKING:
    from ._layer import Layer
    from ._sequential import Sequential

__all__ = [
    "Data",
    "Settings",
    "check_statistics",
    "checked_validation",
    "chosen_callbacks",
    "run",
    "split_rows",
    "weighted",
]

WHERE = "Sequential.fit"
Split = tuple[Array, Array, Array | None]


@dataclass(frozen=True)
class Data:
    """Training rows and, if there are any, validation rows: (X, y, weights) each."""

    train: Split
    validation: Split | None


@dataclass(frozen=True)
class Settings:
    """The numbers of one call of fit."""

    batch_size: int
    epochs: int
    initial_epoch: int
    verbose: int
    shuffle: bool
    drop_last: bool
    n_threads: int

    @classmethod
    def of(
        cls,
        *,
        batch_size: Any,
        epochs: Any,
        initial_epoch: Any,
        verbose: Any,
        shuffle: Any,
        drop_last: Any,
        n_threads: int,
    ) -> Settings:
        """Refuses what is no number, or not positive."""
        return cls(
            batch_size=_validate.integer(WHERE, "batch_size", batch_size),
            epochs=_validate.integer(WHERE, "epochs", epochs),
            initial_epoch=_validate.integer(WHERE, "initial_epoch", initial_epoch, 0),
            verbose=verbose,
            shuffle=_validate.flag(WHERE, "shuffle", shuffle),
            drop_last=_validate.flag(WHERE, "drop_last", drop_last),
            n_threads=n_threads,
        )

    def params(self, n: int) -> dict[str, Any]:
        """What History and the callbacks are told; n is the number of training rows."""
        if self.drop_last and n < self.batch_size:
            raise ValueError(
                f"[{WHERE}] drop_last=True leaves no batch of {n} rows; expected a batch_size of "
                f"at most {n}, not {self.batch_size}"
            )
        return {
            "batch_size": self.batch_size,
            "epochs": self.epochs,
            "initial_epoch": self.initial_epoch,
            "steps": n // self.batch_size if self.drop_last else -(-n // self.batch_size),
            "verbose": self.verbose,
        }


def split_rows(x: Array, y: Array, w: Array | None, share: Any) -> tuple[Split, Split | None]:
    """Views of training and validation rows: the last `share` validates, as in Keras."""
    given = _validate.number(WHERE, "validation_split", share, "at least 0 and below 1")
    if not 0 <= given < 1:
        raise ValueError(
            f"[{WHERE}] validation_split is {share!r}; expected at least 0 and below 1"
        )
    if share == 0:
        return (x, y, w), None
    n = _training_rows(len(x), share)
    if n in (0, len(x)):
        raise ValueError(
            f"[{WHERE}] validation_split = {share} of {len(x)} rows leaves one part empty; "
            "expected rows on both sides"
        )
    if w is None:
        return (x[:n], y[:n], None), (x[n:], y[n:], None)
    for part, name in ((w[:n], "training"), (w[n:], "validation")):
        if not part.any():
            raise ValueError(
                f"[{WHERE}] sample_weight is zero for all {len(part)} {name} rows of "
                f"validation_split = {share}; expected a positive one"
            )
    return (x[:n], y[:n], w[:n]), (x[n:], y[n:], w[n:])


def check_statistics(layers: Iterable[Layer], batch_size: int, n: int) -> None:
    """Refuse batches of one row of n where running statistics would never learn from them."""
    if min(batch_size, n) > 1:
        return
    for position, layer in enumerate(layers):
        if isinstance(layer, ParameterLayer) and layer.counts()[1] and not layer.frozen:
            came, needed = ("batch_size is 1", "a larger batch_size")
            if n == 1:
                came, needed = ("there is 1 row to train on", "more rows")
            raise ValueError(
                f"[{WHERE}] {came}; layer {position} ({layer!r}) takes statistics from the rows of "
                f"a batch and expects at least 2: give {needed}, or freeze() the layer, which then "
                "takes the running statistics that it has"
            )


def _training_rows(n: int, share: Any) -> int:
    """n (1 - share), rounded down as in Keras, for the decimal fraction that `share` stands for.

    10 (1 - 0.9) is 0.9999999999999998 in binary: what is as near to a whole number as rounding may
    lead is that number.
    """
    # A float32 of 0.8 stands for 0.8, too.
    exact = n * (1 - float(str(share) if isinstance(share, np.floating) else share))
    nearest = round(exact)
    return nearest if abs(exact - nearest) <= n * 2.0**-50 else math.floor(exact)


def weighted(rows: Split, class_weight: Any, model: Sequential) -> Split:
    """`rows` with their weights multiplied by that of the row's class; 1 for classes not named."""
    if class_weight is None:
        return rows
    x, y, w = rows
    loss, k = model._ready("fit")[1].loss, model.n_outputs
    if loss.row["task"] == "regression" or y[:1].size != 1:
        raise ValueError(
            f"[{WHERE}] class_weight needs one class a row; {type(loss).__name__} on {k} outputs "
            "has none"
        )
    table = _class_table(class_weight, k if loss.row["task"] == "multiclass" else 2)
    labels = y.reshape(-1)
    wrong = ~np.isin(labels, np.arange(len(table)))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"[{WHERE}] y[{at}] is {labels[at]}; class_weight expects classes from 0 to "
            f"{len(table) - 1}"
        )
    weights: Array = table[labels.astype(np.intp)]
    if w is not None:
        relative = loss.hyper()["reduction"] == "mean"
        weights = _relative(weights) * _relative(w) if relative else weights * w
    if not weights.any():
        raise ValueError(
            f"[{WHERE}] class_weight{'' if w is None else ' times sample_weight'} is zero for all "
            "rows; expected a positive one"
        )
    return x, y, weights


def _relative(weights: Array) -> Array:
    """`weights` in units of a power of two, that of the largest: products stay numbers."""
    exponent = np.frexp(np.max(weights))[1]
    shifted: Array = np.ldexp(weights.astype(np.float64, copy=False), -exponent)
    return shifted


def _class_table(class_weight: Any, classes: int) -> Array:
    if not isinstance(class_weight, Mapping):
        raise TypeError(
            f"[{WHERE}] class_weight is {class_weight!r}; expected a dictionary {{0: 2.0}}"
        )
    table = np.ones(classes)
    for label, value in class_weight.items():
        index = _validate.integer(WHERE, "a class in class_weight", label, 0)
        if index >= classes:
            raise ValueError(
                f"[{WHERE}] class_weight names class {index}; the model has {classes} classes, 0 "
                f"to {classes - 1}"
            )
        number = value if isinstance(value, (int, float, np.number)) else math.nan
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(
                f"[{WHERE}] class_weight[{index}] is {value!r}; expected a finite number of at "
                "least 0"
            )
        table[index] = number
    return table


def chosen_callbacks(callbacks: Any, verbose: Any) -> list[Callback]:
    """The user's callbacks, with the progress display that `verbose` asks for."""
    if callbacks is None:
        chosen: list[Any] = []
    elif isinstance(callbacks, Callback):
        chosen = [callbacks]
    else:
        try:
            chosen = list(callbacks)
        except TypeError:
            raise TypeError(
                f"[{WHERE}] callbacks is {shown(callbacks)}; expected a list of callbacks"
            ) from None
    for callback in chosen:
        if not isinstance(callback, Callback):
            hint = "; write it with ()" if isinstance(callback, type) else ""
            raise TypeError(
                f"[{WHERE}] callbacks has {shown(callback)}; expected objects of "
                f"fastnn.callbacks.Callback{hint}"
            )
        check_hooks(WHERE, callback)
    if not isinstance(verbose, (int, np.integer, np.bool_)) or verbose not in (0, 1, 2):
        raise ValueError(
            f"[{WHERE}] verbose is {shown(verbose)}; expected 0 (quiet), 1 (bar) or 2 (lines)"
        )
    if verbose and not any(isinstance(callback, ProgressBar) for callback in chosen):
        chosen.append(ProgressBar(bar=None if verbose == 1 else False))
    return chosen


@dataclass
class EpochEnd:
    """Called by the core after each epoch, with the GIL, on the thread that called fit.

    `shift` turns the core's epoch numbers, which count on from one fit to the next so that each
    epoch shuffles anew, into those that the user asked for.
    """

    model: Sequential
    history: History
    callbacks: list[Callback]
    shift: int
    last: int

    def __call__(self, epoch: int, logs: dict[str, float]) -> bool:
        number = epoch + self.shift
        self.history.add(number, logs)
        for callback in self.callbacks:
            callback.on_epoch_end(number, logs)
        if self.model.stop_training:
            return False
        if number < self.last:
            self.begin(number + 1)
        return not self.model.stop_training

    def begin(self, number: int) -> None:
        """Tell the callbacks that an epoch begins."""
        for callback in self.callbacks:
            callback.on_epoch_begin(number)


def checked_validation(data: Any, model: Sequential) -> Split | None:
    """validation_data as arrays that belong together."""
    if data is None:
        return None
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ValueError(
            f"[{WHERE}] validation_data is no pair; expected (X, y) or (X, y, sample_weight)"
        )
    loss = model._ready("fit")[1].loss
    x = model._features("fit", data[0], "validation X")
    if len(x) == 0:
        raise ValueError(f"[{WHERE}] validation X has no rows; expected at least one")
    y = _validate.targets(WHERE, data[1], len(x), loss, model.n_outputs, what="validation y")
    if len(data) == 2 or data[2] is None:
        return x, y, None
    return x, y, _validate.weights(WHERE, data[2], len(x), "validation sample_weight")


def run(model: Sequential, settings: Settings, data: Data, callbacks: list[Callback]) -> History:
    """All epochs in one call of the core, with the callbacks around it."""
    network, compiled = model._ready("fit")
    history = History(settings.params(len(data.train[0])))
    names = ["loss", *compiled.metrics]
    if data.validation is not None:
        names += [f"val_{name}" for name in names]
    # Epochs of the random streams count on from one fit to the next: each shuffles anew.
    first = settings.initial_epoch
    stream = max(first, model._epochs_seen)
    end = EpochEnd(model, history, callbacks, first - stream, settings.epochs - 1)
    model.history = history
    try:
        for callback in callbacks:
            callback.model, callback.params = model, {**history.params, "metrics": names}
            callback.on_train_begin()
        if first < settings.epochs and not model.stop_training:
            end.begin(first)
            try:
                result = network.fit(
                    *data.train,
                    batch_size=settings.batch_size,
                    epochs=settings.epochs - first,
                    first_epoch=stream,
                    shuffle=settings.shuffle,
                    drop_last=settings.drop_last,
                    seed=model.seed,
                    validation=data.validation,
                    metrics=bool(compiled.metrics),
                    n_threads=settings.n_threads,
                    on_epoch=end if callbacks else None,
                )
            except BaseException:
                history.take(network.history)  # the epochs that ended before
                raise
            history.finish(result)
        for callback in callbacks:
            callback.on_train_end()
    finally:
        model._epochs_seen = stream + len(history.epoch)
        with ExitStack() as closing:  # each of them, whatever the others raise
            for callback in reversed(callbacks):
                closing.callback(callback.close)
    return history
