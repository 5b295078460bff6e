# SPDX-License-Identifier: BSD-3-Clause
"""The callbacks of scikit-learn, which ``set_callbacks`` sets, where its version has them.

A fit is their task "fit", with a subtask "epoch" for each epoch, or "iteration" of "lbfgs".
"""

from __future__ import annotations

import copy
from typing import Any, Self

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands for scikit-learn's class, and has nothing."""


__all__ = ["CALLBACK_STATE", "CallbackSupportMixin", "Notices", "has_callbacks"]

# What scikit-learn keeps in an estimator during fit, and needs after one that failed.
CALLBACK_STATE = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")


# Where it keeps the callbacks: those of the estimator, and those of a search or pipe above it.
_CALLBACKS = {"_skl_callbacks", "_parent_callback_ctx"}


def has_callbacks(estimator: Any) -> bool:
    """Whether scikit-learn's callbacks watch the estimator, or a search or pipe above it."""
    return not _CALLBACKS.isdisjoint(estimator.__dict__)


class Notices:
    """What the callbacks are told during one fit.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    x, y, sample_weight
        The arguments of fit, as the user gave them.
    n : int
        The most epochs that there can be.
    task : str
        What the subtasks are called.
    """

    def __init__(
        self, estimator: Any, x: Any, y: Any, sample_weight: Any, n: int, task: str
    ) -> None:
        self._estimator, self._task = estimator, task
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"X": x, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=n)
        self._fit.call_on_fit_task_begin(estimator=estimator, **self._data)
        self._subtask: Any = None

    @classmethod
    def of(
        cls, estimator: Any, x: Any, y: Any, sample_weight: Any, n: int, task: str
    ) -> Self | None:
        """Return None if there are no callbacks, neither here nor above in a search or a pipe."""
        return cls(estimator, x, y, sample_weight, n, task) if has_callbacks(estimator) else None

    def epoch_begin(self) -> None:
        """Tell them that an epoch begins."""
        if self._subtask is None:
            self._subtask = self._fit.subcontext(task_name=self._task)
            self._subtask.call_on_fit_task_begin(estimator=self._estimator, **self._data)

    def epoch_end(self) -> bool:
        """Tell them that it has ended; return whether one of them wants to stop."""
        return self._end_subtask(self._snapshot)

    def _end_subtask(self, attributes: Any) -> bool:
        subtask, self._subtask = self._subtask, None
        return bool(
            subtask.call_on_fit_task_end(
                estimator=self._estimator, **self._data, reconstruction_attributes=attributes
            )
        )

    def end(self) -> None:
        """Tell them that the fit has ended."""
        if self._subtask is not None:  # an epoch that was begun and not ended
            self._end_subtask(None)
        self._fit.call_on_fit_task_end(
            estimator=self._estimator, **self._data, reconstruction_attributes={}
        )

    def _snapshot(self) -> dict[str, Any]:
        """Return the attributes of an estimator as if the fit had ended here."""
        network = copy.deepcopy(self._estimator.network_)
        attributes: dict[str, Any] = self._estimator._attributes_of(network)
        return attributes
