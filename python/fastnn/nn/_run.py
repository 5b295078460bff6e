# SPDX-License-Identifier: BSD-3-Clause
"""One run of fit: settings, rows, callbacks and history, around one call of the core.

The core trains all epochs in that call. It calls Python at the end of each epoch, and between
batches if a callback has a hook for them.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _registry
from fastnn._fields import checked, default_values
from fastnn._hints import shown
from fastnn._refusals import Refused
from fastnn.callbacks import BackupAndRestore, Callback, ProgressBar
from fastnn.callbacks._callback import check_hooks, overrides

from ._history import LR, History
from ._rows import steps_of
from ._stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastnn._core import NumpyOrders
    from fastnn._protocols import ModelInTraining
    from fastnn._validate import Array

    from ._arguments import Call
    from ._figures import Predicted
    from ._rows import Rows

__all__ = ["Run", "chosen_callbacks", "settings_of"]


def settings_of(call: Call, seed: int, epochs_seen: int, **given: Any) -> dict[str, Any]:
    """Return all settings of the core's row "fit"; those that the user gave are checked."""
    params = _registry.row(call.where, "settings", "fit")["params"]
    known = {
        "seed": seed,
        "epochs_seen": epochs_seen,
        "metrics": call.compiled.figures.wants_accuracy,
        "n_threads": call.threads,
    }
    return default_values(params) | checked(call.where, params, given) | known


def _reported(
    where: str, settings: Mapping[str, Any], verbose: int, n: int | None
) -> dict[str, Any]:
    """Return the `params` of History and callbacks; n is the number of training rows."""
    return {
        "batch_size": settings["batch_size"],
        "epochs": settings["epochs"],
        "initial_epoch": settings["initial_epoch"],
        "steps": None if n is None else steps_of(where, n, settings),
        "verbose": verbose,
    }


def chosen_callbacks(where: str, callbacks: Any, verbose: Any) -> list[Callback]:
    """Return the user's callbacks and the progress display for `verbose`."""
    if callbacks is None:
        chosen: list[Any] = []
    elif isinstance(callbacks, Callback):
        chosen = [callbacks]
    else:
        try:
            chosen = list(callbacks)
        except TypeError:
            raise TypeError(
                f"[{where}] callbacks is {shown(callbacks)}; expected a list of callbacks"
            ) from None
    for callback in chosen:
        if not isinstance(callback, Callback):
            hint = "; write it with ()" if isinstance(callback, type) else ""
            raise TypeError(
                f"[{where}] callbacks has {shown(callback)}; expected objects of "
                f"fastnn.callbacks.Callback{hint}"
            )
        check_hooks(where, callback)
    if not isinstance(verbose, (int, np.integer, np.bool_)) or verbose not in (0, 1, 2):
        raise ValueError(
            f"[{where}] verbose is {shown(verbose)}; expected 0 (quiet), 1 (bar) or 2 (lines)"
        )
    if verbose and not any(isinstance(callback, ProgressBar) for callback in chosen):
        chosen.append(ProgressBar(bar=None if verbose == 1 else False))
    # A backup of an epoch has the states that all other callbacks have after it.
    return sorted(chosen, key=lambda callback: isinstance(callback, BackupAndRestore))


@contextmanager
def _of_validation() -> Iterator[None]:
    """Name the rows that predict refuses, which does not know what they are for."""
    try:
        yield
    except Refused as refusal:
        refusal.argument = f"validation {refusal.argument}"
        raise


class Run:
    """One run of fit: call `train`, and then `close` in any case.

    Parameters
    ----------
    model : ModelInTraining
        The model, for the callbacks and for requests to stop.
    call : Call
    settings : mapping
        All settings of the core's row "fit".
    rows : Rows or Stream
        The training rows.
    validation : Rows or None
    class_weights : ndarray or None
        The weight of each class, for the training rows.
    callbacks : list of Callback
    verbose : int
    orders : NumpyOrders, optional
        Draws the order of the rows of each epoch, in place of the model's seed.
    standstill : mapping, optional
        Settings of the core's row "standstill", by which training ends.

    Attributes
    ----------
    settings, rows, validation, callbacks
        As above.
    history : History
        Filled after each epoch if there are callbacks, and otherwise at the end.
    """

    def __init__(
        self,
        model: ModelInTraining,
        call: Call,
        settings: Mapping[str, Any],
        rows: Rows | Stream,
        validation: Rows | None,
        class_weights: Array | None,
        callbacks: list[Callback],
        verbose: int,
        orders: NumpyOrders | None = None,
        standstill: Mapping[str, Any] | None = None,
    ) -> None:
        self._model, self._call, self.settings = model, call, settings
        self._orders, self._standstill = orders, standstill
        self.rows, self.validation, self.callbacks = rows, validation, callbacks
        self._class_weights = class_weights
        self._before = call.network.epochs
        self.history = History(_reported(call.where, settings, verbose, rows.n))
        self._earlier = History()  # what another process has trained of this run
        self._states: Sequence[tuple[Callback, Any]] = ()
        figures = call.compiled.figures
        self._figures = figures.of_outputs(call.network.n_outputs)
        self._reads = figures.reads_epochs(validation is not None)
        # The learning rate is a figure of the history where it changes: with a schedule, with a
        # callback that is there to change it, or as soon as another one has changed it.
        optimizer: Any = call.compiled.optimizer
        schedule = optimizer.schedule
        # Whether the core calls back after each epoch.
        self._watches = bool(callbacks) or self._reads or call.own_loss is not None
        self._watches = self._watches or isinstance(rows, Stream)
        self._first_lr = 0.0 if schedule is not None else float(optimizer.lr)
        self._shows_lr = schedule is not None or any(each._changes_lr for each in callbacks)
        self._batch_begin: list[Callable[[int], Any]] = []  # hooks of the callbacks that have them
        self._batch_end: list[Callable[[int, dict[str, float]], Any]] = []
        self._cut = 0  # steps of an epoch that the hook of a batch has ended
        # Memory for the predictions of the validation rows, if a metric needs them.
        self._room = None if validation is None else figures.room(call.network, validation.x)

    @property
    def epochs_seen(self) -> int:
        """Number of epochs whose orders of the rows have been used, over all runs."""
        before: int = max(self.settings["initial_epoch"], self.settings["epochs_seen"])
        return before + self._own_epochs

    @property
    def _own_epochs(self) -> int:
        return len(self.history.epoch) - len(self._earlier.epoch)

    def go_on(
        self, history: History, epochs_seen: int, states: Sequence[tuple[Callback, Any]]
    ) -> None:
        """Continue a run after the epochs of `history`, which another process has trained.

        `epochs_seen` is what it was after them. The callbacks get their states after
        ``on_train_begin``.
        """
        self._earlier, self._states = history, states
        self._shows_lr = self._shows_lr or LR in history.history
        self.history.begin_with(history)
        first = self.settings["initial_epoch"] + len(history.epoch)
        self.settings = {**self.settings, "initial_epoch": first, "epochs_seen": epochs_seen}

    @property
    def epochs_ended(self) -> int:
        """Number of epochs of the network's fits, as far as the history shows them."""
        return self._before + self._own_epochs

    def train(self) -> None:
        """Train all epochs and call the callbacks."""
        first = self.settings["initial_epoch"]
        params: dict[str, Any] = {}
        if self.callbacks:
            params = {**self.history.params, "initial_epoch": first, "metrics": self.names()}
        for callback in self.callbacks:
            callback.model, callback.params = self._model, dict(params)
            callback.on_train_begin()
        for callback, state in self._states:
            callback.load_state_dict(state)
        if first < self.settings["epochs"] and not self._model.stop_training:
            self._begin(first)
            self._fit()
        for callback in self.callbacks:
            callback.on_train_end()

    def close(self) -> None:
        """Call `close` of every callback, even if others raise an exception."""
        if self.callbacks:
            with ExitStack() as closing:
                for callback in reversed(self.callbacks):
                    closing.callback(callback.close)

    def names(self) -> list[str]:
        """Return the names of the figures of an epoch."""
        summed, everything = self._figures.names()
        penalty = ["penalty"] if self._call.compiled.settings.get("penalty_in_loss") else []
        names = ["loss", *penalty, *summed]
        if self.validation is not None:
            names += [f"val_{name}" for name in ("loss", *everything)]
        return [*names, LR] if self._shows_lr else names

    def _fit(self) -> None:
        network, own = self._call.network, self._call.own_loss
        if own is not None and self.validation is not None:
            self._check_validation(self.validation)
        self._batch_begin, self._batch_end = (
            [
                getattr(each, name)
                for each in self.callbacks
                if each._sees_batches and overrides(each, name)
            ]
            for name in ("on_train_batch_begin", "on_train_batch_end")
        )
        earlier = network.history
        try:
            result = network.fit(
                **self.rows.for_core(targets=own is None),
                validation=self.validation if own is None else None,
                class_weight=self._class_weights,
                orders=self._orders,
                on_epoch=self._epoch_end if self._watches else None,
                on_batch=self._between if self._batch_begin or self._batch_end else None,
                own_loss=None if own is None else own.of_batches(self.rows),
                predictions=self._room,
                standstill=self._standstill,
                **self.settings,
            )
            self.history.finish(self._shown(dict(result)), self._earlier.steps)
        except BaseException:
            if (curves := network.history) is not earlier:  # else the core had not begun
                self.history.take(self._shown(dict(curves)))  # the epochs that ended before
            raise

    def _check_validation(self, rows: Rows) -> None:
        """Refuse numbers of X that are not finite, before anything is trained.

        The core finds them after the first epoch, and takes that back; it does not know the rows
        that a function in Python validates.
        """
        with _of_validation():
            self._call.network.predict(rows.x, False, None, self._call.threads)

    def _shown(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the figures of epochs that the user sees; changes the dict."""
        if not self._shows_lr:  # it is hidden unless it changes
            figures.pop(LR, None)
        return figures

    def _with_metrics(self, logs: dict[str, Any]) -> dict[str, float]:
        """Return the figures of an epoch, with those of the metrics, in their order."""
        found: dict[str, float] = {"loss": logs["loss"]}
        if "penalty" in logs:
            found["penalty"] = logs["penalty"]
        self._figures.add(found, logs.get("accuracy"), logs.get("sums"))
        if self.validation is not None:
            found["val_loss"] = logs["val_loss"]
            sums = logs.get("val_accuracy"), logs.get("val_sums")
            self._figures.add(found, *sums, self._predicted(self.validation), "val_")
        if self._shows_lr:
            found[LR] = logs[LR]
        return found

    def _predicted(self, validation: Rows) -> Predicted | None:
        """Return what metrics compute from predictions of the validation rows, if one does."""
        figures, network = self._call.compiled.figures, self._call.network
        if not figures.predicted:
            return None
        if self._call.own_loss is not None:
            self._room = network.predict(validation.x, True, self._room, self._call.threads)
        assert self._room is not None
        return validation.y, self._room, validation.w

    def _begin(self, epoch: int) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch)

    def _epoch_end(self, epoch: int, logs: dict[str, float]) -> bool:
        """Process an epoch; the core calls this with the GIL, on the thread that called fit."""
        if self.validation is not None and (own := self._call.own_loss) is not None:
            with _of_validation():
                logs["val_loss"] = own.of_all(self._call, self.validation)
        if not self._shows_lr and logs[LR] != self._first_lr:
            self._shows_lr = True
            self.history.history[LR] = [self._first_lr] * len(self.history.epoch)
        logs = self._with_metrics(logs) if self._reads else self._shown(logs)
        if isinstance(self.rows, Stream) and not self._cut:
            self.history.params["steps"] = self.rows.steps()
        self.history.add(epoch, logs, self._cut or self.history.params["steps"])
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)
        if self._model.stop_training:
            return False
        if epoch + 1 < self.settings["epochs"]:
            self._begin(epoch + 1)
        return not self._model.stop_training

    def _between(self, ended: int, loss: float, another: bool) -> bool:
        """Process batch `ended` of an epoch, -1 before the first; `another`: a batch follows."""
        if ended >= 0:
            logs = {"loss": loss}
            for end in self._batch_end:
                end(ended, logs)
            if self._model.stop_training:
                self._cut = ended + 1
                return False
        if another:
            for begin in self._batch_begin:
                begin(ended + 1)
        return True
