# SPDX-License-Identifier: BSD-3-Clause
"""Sequential: torch's layers with Keras' methods; each call is one call of the core.

Its methods are thin, and the parts that they use can be read on their own: the layers and their
network (_tree), the arguments of a call (_arguments), the settings of compile (_compiled), one run
of fit (_run), values and optimizer state (_state). The file is over 450 lines long because each
method has its documentation.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy import ndarray

from fastnn import _validate
from fastnn._assign import is_free, refusal
from fastnn._refusals import Refused, name_caller
from fastnn.errors import FastnnError

from . import (
    _arguments,
    _averages,
    _backup,
    _config,
    _gradients,
    _layer_data,
    _pickled,
    _rows,
    _state,
)
from ._compiled import Compiled
from ._containers import Chain
from ._function_loss import FunctionLoss
from ._parts import Parts
from ._run import Run, chosen_callbacks, settings_of
from ._stream import Stream
from ._tree import Outline, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from os import PathLike

    from fastnn import _core
    from fastnn._optimizer import Optimizer
    from fastnn._schedule import LearningRate
    from fastnn._validate import Array
    from fastnn.diagnose import Report

    from ._history import History
    from ._layer import Layer
    from ._loss import Loss
    from ._rate_search import RateSearch
    from ._summary import Summary

__all__ = ["Sequential"]

_ASSIGNABLE = ("history", "lr", "stop_training")


class Sequential:
    """A chain of layers.

    There is no train() or eval(): fit and train_step train, predict and evaluate do not, and
    forward takes ``training=``. No result depends on the number of threads.

    Parameters
    ----------
    *layers : Layer or Sequential
        A layer that already belongs to a model is copied, with its settings, its values and its
        freeze flag. A Sequential becomes a layer that contains its layers, whose values have
        torch's keys: ``"2.0.weight"``. ``model[1:3]`` is a Sequential of copies, even if the model
        is of a subclass; copies and pickles keep the class and call no constructor.
    dtype : float32 or float64, default float32
    seed : int, default 0
        Seed of the initial values, dropout and shuffling.
    n_threads : int, optional
        Number of threads of all calls; by default each call uses the number that is fastest.

    Attributes
    ----------
    history : History or None
        History of the last fit.
    stop_training : bool
        Callbacks set it to end fit after the present epoch, which the hook of a batch cuts short;
        `stop` ends fit within the epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import nn, optim
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    >>> model.compile(optim.Adam(lr=0.05), nn.BCEWithLogitsLoss())
    >>> history = model.fit(x, np.array([0, 1, 1, 0]), epochs=200)
    >>> model.predict(x).round().ravel().tolist()
    [0.0, 1.0, 1.0, 0.0]
    """

    stop_training: bool = False
    _tree: Tree
    _compiled: Compiled | None
    _epochs_seen: int
    _run: Run | None = None  # a fit that is under way
    _threads: int = 0
    _has_function_loss: bool = False  # whether the compiled loss is a function in Python

    def __init__(
        self,
        *layers: Layer | Sequential,
        dtype: Any = np.float32,
        seed: int = 0,
        n_threads: int | None = None,
    ) -> None:
        tree = Tree(_validate.dtype_name("Sequential", dtype), _validate.seed("Sequential", seed))
        self._threads = _validate.thread_count("Sequential", n_threads)
        self._epochs_seen = 0
        self.history: History | None = None
        self._take(tree.having("Sequential", layers))

    @classmethod
    def _of_outline(cls, outline: Outline, seed: int, n_threads: int) -> Sequential:
        """Return a model whose parameters are zeros, for a caller that writes all of them.

        `n_threads` is 0 for the automatic choice.
        """
        model = object.__new__(cls)
        tree = Tree.of_outline(outline, seed)
        vars(model).update(
            _tree=tree, _compiled=None, _threads=n_threads, _epochs_seen=0, history=None
        )
        return model

    def _take(self, tree: Tree) -> None:
        """Use the layers of `tree`; the model has to be compiled again."""
        self._tree, self._compiled = tree, None

    def _as_layer(self) -> Chain:
        """The layers as one layer, for a model that contains this one."""
        return Chain(*self._tree.layers)

    @property
    def _network(self) -> _core.Network | None:
        return self._tree.network

    def _call(self, name: str, n_threads: int | None = None) -> _arguments.Call:
        threads = _arguments.n_threads(name, n_threads, self._threads)
        return _arguments.Call(name, self._tree, self._compiled, threads)

    # Training.

    def compile(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any = None,
        max_grad_norm: float | None = None,
        max_grad_value: float | None = None,
        penalty_in_loss: bool = False,
        accumulate: int = 1,
        average: Any = None,
    ) -> None:
        """Choose how to train; compiling again resets the optimizer's state.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"adam"`` for the defaults, or ``optim.Adam(lr=...)``.
        loss : str, Loss or function
            ``"cross_entropy"``, or ``nn.CrossEntropyLoss()``, or a function of your own,
            ``f(out, y) -> (loss, gradient)``; see `nn.FunctionLoss`.
        metrics : list of str, Metric or callable, optional
            Names such as ``"accuracy"`` and ``"f1"``, objects of `fastnn.metrics`, and functions
            ``f(y_true, y_pred)`` or ``f(y_true, y_pred, sample_weight)``, which get what `predict`
            returns. Those that follow from sums over rows are of the training rows, too; areas
            under curves and functions are of the validation rows and of `evaluate`.
        max_grad_norm : float, optional
            Clip the gradients of each step to this common norm. Groups of the optimizer's
            ``param_groups`` may have one of their own; it is then that of all other parameters.
        max_grad_value : float, optional
            Clip each entry of the gradients to this size. Only one of the two may be given.
        penalty_in_loss : bool, default False
            Report losses of `fit` and `train_step` with the optimizer's penalties of the parameters
            that train, weight_decay / 2 sum(w^2) + l1 sum(|w|); decoupled decay has none. The loss
            of an epoch is then the mean of its batches', each of which counts with its number of
            rows, as in scikit-learn's ``loss_curve_``. History has the ``"penalty"`` in it as well.
            The training itself, `evaluate` and validation are the same.
        accumulate : int, default 1
            Update once for so many batches of `fit`, or calls of `train_step`, with the gradient of
            one batch that has all their rows. The last update of an epoch of `fit` takes the
            batches that are left.
        average : str or Average, optional
            Average of the parameters over the updates: ``optim.EMA(0.999)``, or
            ``optim.SWA(start_epoch=10)``. `averaged` predicts with it.

        Raises
        ------
        ValueError, TypeError
            An unknown name, a value out of its range, or a loss that does not fit the outputs.

        Examples
        --------
        >>> from fastnn import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 3))
        >>> model.compile("adam", "cross_entropy", metrics=["accuracy"])
        >>> model.compile(optim.SGD(lr=0.1, momentum=0.9), nn.MSELoss(), max_grad_norm=1.0)
        >>> model.optimizer.lr
        0.1
        """
        settings = {
            "max_grad_norm": max_grad_norm,
            "max_grad_value": max_grad_value,
            "penalty_in_loss": penalty_in_loss,
            "accumulate": accumulate,
        }
        with self._call("compile") as call:
            self._compile(call, optimizer, loss, metrics, average, **settings)

    def _compile(
        self,
        call: _arguments.Call,
        optimizer: Any,
        loss: Any,
        metrics: Any = None,
        average: Any = None,
        **settings: Any,
    ) -> None:
        compiled = Compiled.of(call.where, optimizer, loss, metrics, average, **settings)
        compiled.check_outputs(call.where, call.network.n_outputs)
        compiled.apply(call.where, call.network)
        self._compiled, self._has_function_loss = compiled, isinstance(compiled.loss, FunctionLoss)

    def _compile_as(
        self, call: _arguments.Call, compiled: Compiled, spec: _core.CompileSpec
    ) -> None:
        """Compile with what `Compiled.spec` has returned for the outline of this model."""
        call.network.compile_as(spec)
        vars(self).update(_compiled=compiled, _has_function_loss=False)

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        verbose: int = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle_split: bool = False,
        stratify: bool = False,
        shuffle: bool = True,
        drop_last: bool = False,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        n_threads: int | None = None,
    ) -> History:
        """Train for whole epochs.

        X is read in place, row by row, whatever its dtype and strides; no copy of it is made. The
        first fit of a model with Standardize measures its training rows before.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
            With Flatten also of shape (n, ...).
        y : array_like, optional
            Class indices (n,), or numbers (n, n_outputs); with one output (n,) or (n, 1). Without
            y, the model learns to return its input, as autoencoders do: ``fit(X)`` has the bits of
            ``fit(X, X)`` and reads X in place for both. The targets are the numbers of X as they
            are, also if Rescale or Standardize is the first layer, and with Flatten those of a row
            in one line.
        batch_size : int, default 32
            With BatchNorm at least 2, unless that layer is frozen.
        epochs : int, default 1
            Number of the last epoch, as in Keras: ``epochs - initial_epoch`` epochs are run.
        verbose : {0, 1, 2}, default 0
            Show nothing, a progress bar, or one line per epoch.
        callbacks : list of Callback, optional
        validation_split : float, default 0
            Fraction of the rows, from the end, used for validation instead of training. The number
            of training rows is rounded down: of 9 rows and 0.5, four train and five validate.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Rows for validation; validation_split is then ignored. If y is not given, also ``(x,)``.
        shuffle_split : bool, default False
            Whether validation_split draws its rows from all rows, by the model's seed, instead of
            taking the last ones. The rows are copied, in their order.
        stratify : bool, default False
            The same, and each class of y has its share of the training and of the validation rows,
            rounded as by scikit-learn's ``train_test_split(stratify=y)``. For losses with one class
            a row.
        shuffle : bool, default True
            Whether to shuffle the rows anew in each epoch, from the seed. Without it the result is
            bit for bit that of a loop of train_step.
        drop_last : bool, default False
            Whether to leave out a last batch of fewer than batch_size rows; with shuffle these are
            other rows in each epoch. The epoch's loss is that of the rows that were used.
        class_weight : dict of int to float, optional
            Factor of the weights of the rows of a class; 1 for classes that are not named. It does
            not apply to validation rows.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows, finite and at least 0. The loss of a batch is sum(w l) / sum(w), so
            only the ratios of weights within a batch matter; in a batch of one row the weight has
            no effect. With ``reduction="sum"`` the loss is sum(w l).
        initial_epoch : int, default 0
            Number of the first epoch.
        n_threads : int, optional

        Returns
        -------
        History
            It is also available as ``model.history``.

        Raises
        ------
        ValueError
            If a number is not finite, a target or an output is outside the range of the loss, or
            all training or all validation rows have weight zero.
        TrainingDivergedError
            If a parameter becomes infinite or NaN; the model is as after the last finite epoch.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> x = np.linspace(-1, 1, 50).reshape(50, 1)
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> model.compile(optim.SGD(lr=0.1), "mse")
        >>> history = model.fit(x, 3 * x + 1, epochs=60, validation_split=0.2)
        >>> sorted(history.history), len(history.epoch)
        (['loss', 'val_loss'], 60)
        >>> round(float(model[0].bias[0]), 2)
        1.0
        """
        with self._call("fit", n_threads) as call:
            loss = call.compiled.loss
            settings = self._begin_fit(
                call,
                batch_size=batch_size,
                epochs=epochs,
                initial_epoch=initial_epoch,
                shuffle=shuffle,
                drop_last=drop_last,
            )
            given = call.rows_or_inputs(x, y, sample_weight)
            call.check(given)
            validation = call.validation(validation_data, of_inputs=y is None)
            rows, held_out, call.numbers = _rows.split(
                call.where,
                given,
                0 if validation else validation_split,
                shuffle=call.flag("shuffle_split", shuffle_split),
                classes=_rows.classes_to_stratify(call.where, loss, call.network.n_outputs)
                if call.flag("stratify", stratify)
                else 0,
                seed=self.seed,
            )
            _rows.check_statistics(call.where, self._tree.layers, settings["batch_size"], rows.n)
            run = Run(
                self,
                call,
                settings,
                rows,
                validation or held_out,
                _rows.class_table(call.where, class_weight, loss, call.network.n_outputs),
                chosen_callbacks(call.where, callbacks, verbose),
                verbose,
            )
            return self._train(call, run)

    def fit_stream(
        self,
        parts: Any,
        epochs: int = 1,
        batch_size: int = 32,
        *,
        rows: int | None = None,
        prefetch: int = 0,
        verbose: int = 0,
        callbacks: Any = None,
        validation_data: Any = None,
        drop_last: bool = False,
        class_weight: Any = None,
        initial_epoch: int = 0,
        n_threads: int | None = None,
    ) -> History:
        """Train on rows that come in parts, of which only one has to be in memory.

        The result has the bits of one ``fit(shuffle=False)`` on all parts in a row, wherever they
        begin and end: rows that do not fill a batch are joined with those of the next part. To
        shuffle, give a function that shuffles the parts, and the rows in each. `Standardize` learns
        from the parts before, by its ``adapt(parts)``.

        Parameters
        ----------
        parts : iterable or callable
            Parts ``(X, y)`` or ``(X, y, sample_weight)``, each of any number of rows and of what
            `fit` takes, all with the same dtypes and columns. An epoch is one pass over them. For
            several epochs a list, another iterable that can be gone through again, or a function
            without arguments that returns an iterable and is called in each epoch. A part may
            be in memory that the next one overwrites.
        epochs : int, default 1
            Number of the last epoch, as in `fit`.
        batch_size : int, default 32
        rows : int, optional
            Number of rows of all parts together. It is needed by schedules of the learning rate
            that last a fit and are counted in steps, and known of a list of parts. An epoch with
            another number is refused.
        prefetch : int, default 0
            How many parts a thread makes ahead while the present one is trained on. It calls the
            iterator, which must not overwrite earlier parts then, nor use the model.
        verbose : {0, 1, 2}, default 0
        callbacks : list of Callback, optional
            ``params["steps"]`` is None if the number of rows is not known before.
        validation_data : (x, y) or (x, y, sample_weight), optional
        drop_last : bool, default False
            Whether to leave out a last batch of the epoch with fewer than batch_size rows.
        class_weight : dict of int to float, optional
            As in `fit`. Weights of rows are multiplied by them as they are.
        initial_epoch : int, default 0
        n_threads : int, optional

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError
            If a part is refused, as `fit` refuses its arguments; the message has the number of the
            part, from 0, and of the row in it. Or if `parts` cannot be gone through so often.
        TrainingDivergedError, ModelBusyError
            As in `fit`.

        Notes
        -----
        With an exception that the iterator raises, or a part that is refused, the model is as at
        the end of the last epoch. Ctrl-C leaves the steps so far, as in `fit`, and so does a hook
        of a batch that raises. `stop` takes effect when the part that is being made is there.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> def parts():
        ...     for k in range(5):  # such as: for path in paths: yield np.load(path), ...
        ...         x = np.linspace(-1, 1, 10).reshape(10, 1) + k / 100
        ...         yield x, 3 * x + 1
        >>> model = nn.Sequential(nn.Linear(1, 1))
        >>> model.compile(optim.SGD(lr=0.1), "mse")
        >>> history = model.fit_stream(parts, epochs=60)
        >>> history.steps, round(float(model[0].bias[0]), 2)
        (120, 1.0)
        """
        with self._call("fit_stream", n_threads) as call:
            loss = call.compiled.loss
            settings = self._begin_fit(
                call,
                batch_size=batch_size,
                epochs=epochs,
                initial_epoch=initial_epoch,
                shuffle=False,
                drop_last=drop_last,
            )
            given = Parts(call, parts, settings, rows, prefetch, self._tree.layers)
            stream = Stream(call, given, settings)
            run = Run(
                self,
                call,
                settings,
                stream,
                call.validation(validation_data),
                _rows.class_table(call.where, class_weight, loss, call.network.n_outputs),
                chosen_callbacks(call.where, callbacks, verbose),
                verbose,
            )
            with stream:
                return self._train(call, run)

    def _begin_fit(self, call: _arguments.Call, **given: Any) -> dict[str, Any]:
        """Return all settings of the core's row "fit", after removing earlier requests to stop."""
        # Checked first, before the history or a stop request of a running fit is overwritten.
        self._tree.expect_idle(call.where)
        self.stop_training = call.network.stop = False
        return settings_of(call, self.seed, self._epochs_seen, **given)

    def _train(self, call: _arguments.Call, run: Run) -> History:
        """Run all epochs."""
        epochs = run.settings["epochs"] - run.settings["initial_epoch"]
        _backup.go_on(call.where, self, run)
        if self._compiled is not None:
            self._compiled.follow(call.where, call.network, epochs)
        vars(self).update(history=run.history, _run=run)
        # Parts are not gone through before the first epoch, so layers cannot learn from them.
        learns: Any = nullcontext()
        if self._tree.learns and not isinstance(run.rows, Stream) and run.rows.x is not None:
            learns = self._tree.learning(call.where, run.rows.x, call.threads)
        try:
            with learns:
                run.train()
        finally:
            vars(self).update(_epochs_seen=run.epochs_seen, _run=None)
            run.close()
        return run.history

    def stop(self, after: float = 0.0) -> None:
        """End the running fit, now or in some seconds; fit then returns as at its regular end.

        It may be called from another thread, a callback or a signal handler, and takes effect
        within 0.2 s. The present epoch ends after its present batch and is not part of the history
        that fit returns; ``on_train_end`` of the callbacks is called. Without a running fit nothing
        happens, and the next fit is not affected.

        Parameters
        ----------
        after : float, default 0
            Seconds from now after which the fit ends; a later call replaces the time.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import callbacks, nn
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile("sgd", "mse")
        >>> end = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.stop())
        >>> model.fit(np.ones((8, 2)), np.ones(8), epochs=1000, callbacks=end).epoch
        [0]
        """
        seconds = _validate.not_negative("Sequential.stop", "after", after)
        network = self._network
        if seconds > 0:
            if network is not None:
                network.stop_after(seconds)
            return
        self.stop_training = True
        if network is not None:
            network.stop = True

    def train_step(
        self,
        x: Any,
        y: Any = None,
        *,
        grad: Any = None,
        sample_weight: Any = None,
        n_threads: int | None = None,
    ) -> float | None:
        """Do one training step on a batch: forward, backward, update.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like, optional
            Targets of the kind that the compiled loss takes.
        grad : array_like of shape (n, n_outputs), optional
            Instead of y, the gradient of a loss with respect to the outputs. With dropout, the
            outputs have to be those of the first ``forward(x, training=True)`` after the last
            update.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows, only with y. The loss of the batch is sum(w l) / sum(w), so in a
            batch of one row the weight has no effect; with ``reduction="sum"`` it is sum(w l).
        n_threads : int, optional

        Returns
        -------
        float or None
            The loss of the batch before the update; None with `grad`.

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, a number is not finite, or a target or an output is
            outside the range of the loss.
        TrainingDivergedError
            If a parameter becomes infinite or NaN; the model is as before the step.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile(optim.SGD(lr=0.1), "mse")
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> losses = [model.train_step(x, y) for _ in range(20)]
        >>> losses[-1] < 1e-3 < losses[0]
        True
        """
        threads = (
            self._threads if n_threads is None else _arguments.n_threads("train_step", n_threads, 0)
        )
        network = self._tree.network
        if network is not None and type(x) is ndarray and not self._has_function_loss:
            try:
                if grad is None and type(y) is ndarray:
                    return network.train_step(x, y, sample_weight, threads)
                if type(grad) is ndarray and y is None and sample_weight is None:
                    network.train_step_grad(x, grad, threads)
                    return None
            except Refused:
                pass  # below, lists are converted, and a second refusal becomes the user's error
            except FastnnError as error:
                name_caller("Sequential.train_step", error)
                raise
        with self._call("train_step", n_threads) as call:
            if call.takes_targets(y, grad, sample_weight):
                rows, own = call.rows(x, y, sample_weight), call.own_loss
                if own is None:
                    return call.network.train_step(*rows, threads)
                own.check(call, rows)
                return call.network.train_step_own(rows.x, rows.w, own.of_batches(rows), threads)
            call.network.train_step_grad(call.inputs("X", x), call.array("grad", grad), threads)
        return None

    # Calls that do not train.

    @contextmanager
    def averaged(self) -> Iterator[Self]:
        """Use the average of the parameters instead of those of the last update, for a while.

        In the ``with`` block, all values of parameters that train are their averages: `predict`,
        `evaluate`, `state_dict` and exports read them, and ``save(include_optimizer=False)`` stores
        them. Frozen layers keep their values. Running statistics of BatchNorm stay those of the
        training, as in ``torch.optim.swa_utils.AveragedModel``; `update_batch_norm` computes those
        of the averages. Nothing trains in the block, and after it the model is as before, its
        statistics included.

        Yields
        ------
        Sequential
            The model.

        Raises
        ------
        ValueError
            If the model was compiled without an average, or no update has been added to it yet.
        ModelBusyError
            If another thread uses the model. (Callbacks of `fit` may use the average.)

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile(optim.SGD(lr=0.1), "mse", average=optim.SWA())
        >>> history = model.fit(x, y, epochs=10)
        >>> last = model.evaluate(x, y)["loss"]
        >>> with model.averaged():
        ...     of_average = model.evaluate(x, y)["loss"]
        >>> of_average > last == model.evaluate(x, y)["loss"]
        True
        """
        call = self._call("averaged")
        with _averages.in_place_of_values(call.where, call.network):
            yield self

    def update_batch_norm(self, x: Any, batch_size: int = 32) -> None:
        """Compute the running statistics of BatchNorm anew, as the mean over batches of data.

        It is for values that were not trained, such as averages of them: in `averaged`, it gives
        BatchNorm the statistics of the averages until the block ends.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        batch_size : int, default 32
            Each batch counts alike, as in ``torch.optim.swa_utils.update_bn``. A batch of one row
            has no variance and is left out.

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, or a number is not finite.
        ModelBusyError
            If another thread uses the model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
        >>> model.update_batch_norm(np.array([[1.0], [3.0]]))
        >>> model[0].running_mean.tolist(), model[0].running_var.tolist()
        ([2.0], [2.0])
        """
        with self._call("update_batch_norm") as call:
            size = _validate.integer(call.where, "batch_size", batch_size, 2)
            _averages.update_statistics(call, self._tree.layers, call.inputs("X", x), size)

    def evaluate(
        self, x: Any, y: Any = None, sample_weight: Any = None, *, n_threads: int | None = None
    ) -> dict[str, float]:
        """Compute the loss and the compiled metrics on data, without training.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like, optional
            Targets of the kind that the compiled loss takes; without y, the numbers of X, as in
            `fit`.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows: loss and metrics are means such as sum(w l) / sum(w).
        n_threads : int, optional

        Returns
        -------
        dict of str to float
            ``{"loss": ..., "accuracy": ...}``, and the other compiled metrics.

        Raises
        ------
        ValueError
            If a number is not finite, or a target or an output is outside the range of the loss.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 2))
        >>> model.compile("sgd", "cross_entropy", metrics=["accuracy"])
        >>> model[0].weight[...], model[0].bias[...] = np.eye(2), 0
        >>> scores = model.evaluate([[1, 0], [0, 1], [2, 0]], [0, 1, 1])
        >>> sorted(scores), round(scores["accuracy"], 3)
        (['accuracy', 'loss'], 0.667)
        """
        with self._call("evaluate", n_threads) as call:
            figures, network = call.compiled.figures, call.network
            rows = call.rows_or_inputs(x, y, sample_weight)
            own = call.own_loss
            if own is None:
                room = figures.room(network, rows.x) if figures.metrics else None
                found = network.evaluate(*rows, figures.wants_accuracy, call.threads, room)
            else:
                own.check(call, rows)
                found = {"loss": own.of_all(call, rows)}
                room = network.predict(rows.x, True, None, call.threads)
            if figures.metrics:
                sums = found.pop("accuracy", None), found.pop("sums", None)
                seen = None if room is None else (rows.y, room, rows.w)
                figures.of_outputs(network.n_outputs).add(found, *sums, seen)
            return found

    def predict(self, x: Any, *, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Compute the predictions: for losses of classes, probabilities.

        The function that belongs to the compiled loss (softmax, sigmoid or none) is applied to the
        outputs. Before compile the raw outputs are returned, as `forward` always does.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
            n may be 0.
        out : ndarray of shape (n, n_outputs), optional
            Array of the model's dtype for the result, which is returned.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_outputs)

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, or a number is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 3))
        >>> model.compile("sgd", "cross_entropy")
        >>> p = model.predict(np.zeros((5, 2)))
        >>> p.shape, bool(np.allclose(p.sum(axis=1), 1))
        ((5, 3), True)
        """
        threads = (
            self._threads if n_threads is None else _arguments.n_threads("predict", n_threads, 0)
        )
        link = self._compiled is not None
        network = self._tree.network
        if network is not None and type(x) is ndarray:
            try:
                return network.predict(x, link, out, threads)
            except Refused:
                pass
            except FastnnError as error:
                name_caller("Sequential.predict", error)
                raise
        with self._call("predict", n_threads) as call:
            return call.network.predict(call.inputs("X", x), link, out, threads)

    def predict_proba(self, x: Any, *, n_threads: int | None = None) -> Array:
        """Compute the probabilities of the classes, for losses of classes.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, classes)
            Rows sum to 1; a single binary output gives two columns, as in scikit-learn. Several
            binary outputs are independent: each has one column, the probability of class 1.

        Raises
        ------
        ValueError
            If the loss has no classes, or if it takes probabilities and the outputs of the network
            are not between 0 and 1 because it has no Sigmoid.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile("sgd", "bce_with_logits")
        >>> model[0].bias[...] = 0
        >>> model.predict_proba(np.zeros((1, 2)))
        array([[0.5, 0.5]], dtype=float32)
        """
        with self._call("predict_proba", n_threads) as call:
            call.compiled.need_probabilities(call.where)
            outputs = call.network.predict(call.inputs("X", x), True, None, call.threads)
            return call.compiled.probabilities(outputs)

    # The parts of a step, for the user's own training loops.

    def forward(self, x: Any, training: bool = False, *, n_threads: int | None = None) -> Array:
        """Compute the raw outputs and keep the activations for `backward`.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        training : bool, default False
            Whether dropout is active and BatchNorm uses the statistics of the batch. Each such call
            draws new masks; the spread of many calls shows the uncertainty of the model (Monte
            Carlo dropout).
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_outputs)

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, or a number is not finite.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 3))
        >>> x = np.ones((1, 2), np.float32)
        >>> bool(np.allclose(model.forward(x), x @ model[0].weight.T + model[0].bias))
        True
        """
        with self._call("forward", n_threads) as call:
            mode = call.flag("training", training)
            return call.network.forward(call.inputs("X", x), mode, call.threads)

    def backward(
        self, dout: Any, need_dx: bool = False, *, n_threads: int | None = None
    ) -> Array | None:
        """Compute the gradients of all parameters from that of the outputs of the last `forward`.

        Parameters
        ----------
        dout : array_like of shape (n, n_outputs)
            Gradient with respect to the outputs, as from ``loss, dout = nn.MSELoss()(out, y)``.
        need_dx : bool, default False
            Whether to return the gradient with respect to X.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_features) or None

        Raises
        ------
        ValueError, TypeError
            If there was no forward pass since the last update, or `dout` does not fit its outputs.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile(optim.SGD(lr=0.1), "mse")
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> for _ in range(20):
        ...     loss, dout = nn.MSELoss()(model.forward(x, training=True), y)
        ...     model.backward(dout)
        ...     model.apply_gradients()
        >>> loss < 1e-3
        True
        """
        with self._call("backward", n_threads) as call:
            wanted = call.flag("need_dx", need_dx)
            return call.network.backward(call.array("dout", dout), wanted, call.threads)

    def gradients(self) -> dict[str, Array]:
        """Return the gradients of the last `backward` or `loss_and_grad`.

        Returns
        -------
        dict of str to ndarray
            Views under torch's keys and in torch's layout, (out, in).

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> out = model.forward(np.array([[1, 2], [3, 4]]))
        >>> model.backward(np.ones((2, 1)))
        >>> {key: gradient.tolist() for key, gradient in model.gradients().items()}
        {'0.weight': [[4.0, 6.0]], '0.bias': [2.0]}
        """
        with self._call("gradients") as call:
            return _state.gradients(call.network)

    def clip_grad_norm(self, max_norm: float) -> float:
        """Scale the gradients so that their global norm is at most `max_norm`.

        Parameters
        ----------
        max_norm : float
            Above 0.

        Returns
        -------
        float
            The global norm before.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1, bias=False))
        >>> out = model.forward(np.array([[3, 4]]))
        >>> model.backward(np.ones((1, 1)))
        >>> model.clip_grad_norm(1.0)
        5.0
        >>> model.gradients()["0.weight"].round(3).tolist()
        [[0.6000000238418579, 0.800000011920929]]
        """
        with self._call("clip_grad_norm") as call:
            limit = _validate.positive(call.where, "max_norm", max_norm)
            return call.network.clip_grad_norm(limit)

    def apply_gradients(self, *, n_threads: int | None = None) -> None:
        """Update the parameters with the present gradients by the compiled optimizer.

        Parameters
        ----------
        n_threads : int, optional

        Raises
        ------
        ValueError
            If the model is not compiled, or there are no gradients since the last update.
        TrainingDivergedError
            If a parameter becomes infinite or NaN.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile(optim.SGD(lr=0.1), "mse")
        >>> x, y = np.ones((8, 2)), np.ones((8, 1))
        >>> before, gradients = model.loss_and_grad(x, y)
        >>> model.apply_gradients()
        >>> model.evaluate(x, y)["loss"] < before
        True
        """
        with self._call("apply_gradients", n_threads) as call:
            call.network.apply_gradients(call.threads)

    def loss_and_grad(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        training: bool = True,
        n_threads: int | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """Compute the loss of a batch and the gradients of all parameters, without an update.

        Each call draws new dropout masks; those of the first call of a step are `train_step`'s.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like
            Targets of the kind that the compiled loss takes.
        sample_weight : array_like of shape (n,), optional
        training : bool, default True
            As in `forward`.
        n_threads : int, optional

        Returns
        -------
        loss : float
        gradients : dict of str to ndarray
            The same as `gradients` returns. `apply_gradients` uses the gradients in the model.

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, a number is not finite, or a target or an output is
            outside the range of the loss.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile("sgd", "mse")
        >>> model[0].weight[...], model[0].bias[...] = 1, 0
        >>> loss, gradients = model.loss_and_grad(np.array([[1, 2]]), np.array([5]))
        >>> loss, gradients["0.weight"].tolist()
        (4.0, [[-4.0, -8.0]])
        """
        with self._call("loss_and_grad", n_threads) as call:
            rows, mode = call.rows(x, y, sample_weight), call.flag("training", training)
            views = _state.gradients(
                call.network
            )  # before the pass, so that a failure changes nothing
            own = call.own_loss
            if own is None:
                return call.network.loss_and_grad(*rows, call.threads, mode), views
            own.check(call, rows)
            return own.loss_and_grad(call.network, rows, call.threads, mode), views

    # Gradients as results. They are those of predictions, without training: BatchNorm takes its
    # running statistics, dropout is off, and nothing changes in the model.

    def input_gradient(self, x: Any, y: Any, *, n_threads: int | None = None) -> Array:
        """Compute the gradient of each row's loss with respect to that row of X.

        Row r has the gradient of the compiled loss of row r alone, not divided by the number of
        rows (torch's ``reduction="none"``, but a mean over outputs is taken as in the loss; class
        weights of the loss are factors). It is with respect to X as it was given, so the factors
        of Rescale and Standardize are included. Dropout is off, BatchNorm uses its running
        statistics, and the model is left as it is. A Python function as loss is called once a row.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like
            Targets of the kind that the compiled loss takes.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_features)
            Of the model's dtype.

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, a number is not finite, or a target or an output is
            outside the range of the loss.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.compile("sgd", "mse")
        >>> model[0].weight[...], model[0].bias[...] = [[1, -2]], 0
        >>> model.input_gradient(np.array([[1, 0], [0, 1]]), np.array([0, 0])).tolist()
        [[2.0, -4.0], [-4.0, 8.0]]
        """
        with self._call("input_gradient", n_threads) as call:
            _ = call.compiled
            x, y, grad = _gradients.rows_of(call, x, y)
            return call.network.input_gradient(x, y, call.threads, grad)

    def jacobian(
        self,
        x: Any,
        *,
        outputs: Literal["raw", "predictions"] = "raw",
        n_threads: int | None = None,
    ) -> Array:
        """Compute the derivatives of all outputs with respect to X, row by row.

        They are with respect to X as it was given, so the factors of Rescale and Standardize are
        included. Dropout is off, BatchNorm uses its running statistics, and the model is left as it
        is.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        outputs : {"raw", "predictions"}, default "raw"
            What is differentiated: what `forward` gives, or what `predict` gives, where the
            compiled loss' link (softmax, sigmoid, ...) is included.
        n_threads : int, optional

        Returns
        -------
        ndarray of shape (n, n_outputs, n_features)
            Of the model's dtype. Beside it, each thread needs the memory of one chunk of rows.

        Raises
        ------
        ValueError, TypeError
            If shapes or dtypes do not fit, a number is not finite, or predictions are asked for
            before compile.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(3, 2))
        >>> model.compile("sgd", "cross_entropy")
        >>> x = np.ones((5, 3))
        >>> bool((model.jacobian(x)[0] == model[0].weight).all())
        True
        >>> slopes = model.jacobian(x, outputs="predictions")
        >>> slopes.shape, bool(np.allclose(slopes.sum(axis=1), 0, atol=1e-6))
        ((5, 2, 3), True)
        """
        with self._call("jacobian", n_threads) as call:
            link = _gradients.of_predictions(call.where, outputs)
            return call.network.jacobian(call.inputs("X", x), link, call.threads)

    def per_sample_gradients(
        self, x: Any, y: Any, *, n_threads: int | None = None
    ) -> dict[str, Array]:
        """Compute the gradient of each row's loss with respect to the parameters.

        The losses of the rows are those of `input_gradient`: with a loss that is a mean over rows,
        the mean of these gradients over the rows is the gradient of the batch. Dropout is off,
        BatchNorm uses its running statistics, and the model is left as it is.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like
            Targets of the kind that the compiled loss takes.
        n_threads : int, optional

        Returns
        -------
        dict of str to ndarray
            Under the keys of `state_dict`, arrays of shape (n, ...), in torch's layout
            ``(n, out, in)``. Parameters of frozen layers have no entry, so that freezing layers
            saves their memory.

        Raises
        ------
        ValueError, TypeError
            As `input_gradient`.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), dtype="float64")
        >>> model.compile("sgd", "mse")
        >>> x, y = np.linspace(-1, 1, 12).reshape(3, 4), np.ones(3)
        >>> gradients = model.per_sample_gradients(x, y)
        >>> {key: array.shape for key, array in gradients.items()}
        {'0.weight': (3, 8, 4), '0.bias': (3, 8), '2.weight': (3, 1, 8), '2.bias': (3, 1)}
        >>> loss, of_batch = model.loss_and_grad(x, y, training=False)
        >>> bool(np.allclose(gradients["0.weight"].mean(axis=0), of_batch["0.weight"]))
        True
        """
        with self._call("per_sample_gradients", n_threads) as call:
            _ = call.compiled
            x, y, grad = _gradients.rows_of(call, x, y)
            taken = call.network.per_sample_gradients(x, y, call.threads, grad)
            return _gradients.per_sample(taken)

    def hessian_vector_product(
        self, x: Any, y: Any, v: Mapping[str, Any], *, n_threads: int | None = None
    ) -> dict[str, Array]:
        """Compute H v, where H is the Hessian of the loss of a batch by the parameters.

        The result is extrapolated from central differences of the gradient along `v`, computed in
        float64 on a copy of the model, with steps that are chosen so that several agree; for smooth
        networks it has about ten correct digits. It takes 6 to 20 forward and backward passes of
        the batch. Dropout is off and BatchNorm uses its running statistics.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like
            Targets of the kind that the compiled loss takes.
        v : mapping of str to array
            Under the keys of `state_dict`, an array for each parameter that is trained.
        n_threads : int, optional

        Returns
        -------
        dict of str to ndarray
            Under the keys of `v`, in torch's layout and the model's dtype.

        Raises
        ------
        ValueError, TypeError
            As `input_gradient`, or if keys or shapes of `v` do not fit.
        ModelBusyError
            If another thread is training this model.

        Warns
        -----
        RuntimeWarning
            If no two steps agree, because the gradient jumps at these weights.

        Examples
        --------
        The largest eigenvalue of the Hessian, by the power method:

        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1, bias=False), dtype="float64")
        >>> model.compile("sgd", "mse")
        >>> x, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.zeros(2)
        >>> v = {"0.weight": np.array([[1.0, 1.0]])}
        >>> for _ in range(30):
        ...     v = model.hessian_vector_product(x, y, v)
        ...     size = np.linalg.norm(v["0.weight"])
        ...     v["0.weight"] /= size
        >>> round(float(size), 6)
        4.0
        """
        with self._call("hessian_vector_product", n_threads) as call:
            _ = call.compiled
            rows = call.rows(x, y, None)
            call.check(rows)
            return _gradients.hessian_vector_product(call, self._tree, rows, v)

    def lr_find(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        lr_min: float = 1e-6,
        lr_max: float = 10.0,
        steps: int = 100,
        batch_size: int = 32,
        smoothing: float = 0.8,
        divergence: float = 4.0,
        n_threads: int | None = None,
    ) -> RateSearch:
        """Look for a learning rate: train a copy with a rate that grows from step to step.

        The model stays bit for bit as it is. The rate grows geometrically, and the search ends when
        the smoothed loss is more than `divergence` times the smallest one. Learning rates of
        ``param_groups`` keep their ratio to the others; a schedule is not applied.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like
            Targets of the kind that the compiled loss takes.
        sample_weight : array_like of shape (n,), optional
        lr_min, lr_max : float, default 1e-6 and 10
            The first and the last rate.
        steps : int, default 100
            At most so many; when all rows have been used, they are shuffled anew.
        batch_size : int, default 32
        smoothing : float, default 0.8
            Share of the last average in the moving average of the losses; 0: no average.
        divergence : float, default 4
            How many times the smallest loss ends the search.
        n_threads : int, optional

        Returns
        -------
        RateSearch
            ``rates``, ``losses``, ``smoothed``, ``suggestion``; `plot.lr_find` draws them.

        Raises
        ------
        ValueError, TypeError
            If the model is not compiled, X or y do not fit, or a number is out of its range.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> from fastnn import nn
        >>> from fastnn.datasets import load_digits
        >>> x, y = load_digits()
        >>> model = nn.Sequential(nn.Rescale(1 / 16), nn.Linear(64, 32), nn.ReLU())
        >>> model.append(nn.Linear(32, 10)).compile("adam", "cross_entropy")
        >>> found = model.lr_find(x, y)
        >>> 1e-4 < found.suggestion < 0.1
        True
        >>> model.lr = found.suggestion
        """
        from . import _rate_search  # imported only when it is needed

        with self._call("lr_find", n_threads) as call:
            _ = call.compiled
            self._tree.expect_idle(call.where)
            rows = call.rows(x, y, sample_weight)
            call.check(rows)
            return _rate_search.search(
                call,
                self,
                rows,
                lr_min=lr_min,
                lr_max=lr_max,
                steps=steps,
                batch_size=batch_size,
                smoothing=smoothing,
                divergence=divergence,
            )

    def diagnose(self, x: Any, y: Any) -> Report:
        """Look for what often goes wrong, and say what to do about it.

        Looked for are: inputs that are not scaled, columns and targets that never change, units
        that are dead, gradients that vanish or explode, a first loss above that of a constant
        prediction (ln C for C classes, the variance of the targets for MSE), Softmax before a loss
        that contains it, a model that cannot learn 32 rows by heart (without dropout and noise),
        and a learning rate far from what `lr_find` finds. At most 1024 rows are looked at, from all
        over X. Copies are trained; the model is left bit for bit as it is. With a Python function
        as loss, whether rows are learned by heart is not judged.

        Parameters
        ----------
        x : array_like or sparse matrix of shape (n, n_features)
        y : array_like
            Targets of the kind that the compiled loss takes.

        Returns
        -------
        fastnn.diagnose.Report
            ``print(report)`` shows it; ``report.findings`` and ``report.to_dict()`` are data.

        Raises
        ------
        ValueError, TypeError
            If the model is not compiled, or X or y do not fit.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3), seed=1)
        >>> model.compile("adam", "cross_entropy")
        >>> x = np.random.default_rng(0).standard_normal((300, 2))
        >>> y = (x[:, 0] > 0) + (x[:, 1] > 0)
        >>> model.diagnose(x, y)
        <Report: nothing was found>
        >>> for finding in model.diagnose(255 * x, y).findings:
        ...     print(finding.name)
        unscaled_inputs
        large_first_loss
        """
        from . import _diagnosis  # imported only when it is needed

        with self._call("diagnose") as call:
            _ = call.compiled
            self._tree.expect_idle(call.where)
            return _diagnosis.report(call, self, call.rows(x, y, None))

    # Values.

    def state_dict(self) -> dict[str, Array]:
        """Return the values of all parameters under torch's keys and in torch's layout.

        Returns
        -------
        dict of str to ndarray
            ``"0.weight"`` is (out, in). The arrays are views of the model, except that
            ``num_batches_tracked`` is a copy. While fit runs, views that were taken before are
            read-only (but not slices of them), and its callbacks get read-only copies of the values
            at the end of the epoch. Rescale and Standardize have no number and no entry.

        Raises
        ------
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> {key: array.shape for key, array in model.state_dict().items()}
        {'0.weight': (8, 4), '0.bias': (8,), '2.weight': (2, 8), '2.bias': (2,)}
        """
        if self._network is None:
            return {}
        with self._call("state_dict") as call:
            return _state.torch_keys(call.network)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> _state.IncompatibleKeys:
        """Set the values of all parameters from a dictionary, which may be one of torch.

        Parameters
        ----------
        state_dict : mapping of str to array
            Values that NumPy can convert to arrays of the model's dtype.
        strict : bool, default True
            Whether to refuse missing and unexpected keys.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``, as in torch.

        Raises
        ------
        ValueError, TypeError
            If a key, shape, dtype or value does not fit, such as numbers outside the range of the
            model's dtype, or a negative ``running_var`` or counter. Either all values change or
            none.
        ModelBusyError
            If another thread is training this model. (The call waits for predictions.)

        Examples
        --------
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> model.load_state_dict({"0.weight": [[1, 2]], "0.bias": [3]})
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        >>> model.predict([[10, 1]]).tolist()
        [[15.0]]
        """
        with self._call("load_state_dict") as call:
            return _state.load(call.where, call.network, state_dict, call.flag("strict", strict))

    def save(self, path: str | PathLike[str], *, include_optimizer: bool = True) -> None:
        """Save the model to a file, from which ``fastnn.load`` makes an equal one.

        The file has the layers with their settings, values and freeze flags, the settings of
        compile, the optimizer's state, the position of all random streams, the history, and a
        checksum; see docs/saving.md. It holds no code, and nothing of a subclass: what
        ``fastnn.load`` returns is a Sequential. Equal models give equal files, byte for byte. The
        file at `path` is replaced as a whole: whenever this call fails or is killed, the former
        file is there. In callbacks, the state is that of the end of the epoch.

        Parameters
        ----------
        path : str or PathLike
            Ends with ``.safetensors``, or with ``.npz`` for a file that ``numpy.load`` reads.
        include_optimizer : bool, default True
            Whether training can go on from the file. Without the optimizer's state, the file is
            smaller, and the loaded model is as if it had just been compiled.

        Raises
        ------
        ValueError
            If `path` has another suffix, or a value of the model is not finite.
        TypeError
            If a layer, the loss or the optimizer is of a class of your own. Pickle such a model.
        OSError
            If the file cannot be written.
        ModelBusyError
            If another thread trains the model; a callback of that fit may save it.

        Examples
        --------
        >>> import tempfile
        >>> import fastnn
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(3, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     fastnn.load(f"{folder}/model.safetensors")
        Sequential(
          (0): Linear(in_features=3, out_features=2, bias=True)
        )
        """
        from fastnn import _files

        where = "Sequential.save"
        optimizer = _validate.flag(where, "include_optimizer", include_optimizer)
        saved = _config.taken(where, self, optimizer=optimizer)
        _files.write(where, path, saved.config, saved.arrays)

    def freeze(self) -> Self:
        """Freeze all layers: training does not change their parameters.

        Returns
        -------
        Sequential
            The model.

        Examples
        --------
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh()).freeze().append(nn.Linear(8, 2))
        >>> model[0].frozen, model[2].frozen
        (True, False)
        """
        for layer in self:
            layer._set_frozen("Sequential.freeze", True)
        return self

    def unfreeze(self) -> Self:
        """Unfreeze all layers: training changes their parameters again.

        Returns
        -------
        Sequential
            The model.

        Examples
        --------
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 2).freeze())
        >>> model.unfreeze()[0].frozen
        False
        """
        for layer in self:
            layer._set_frozen("Sequential.unfreeze", False)
        return self

    # Properties of the model.

    @property
    def optimizer(self) -> Optimizer | None:
        """The compiled optimizer; None before compile.

        Examples
        --------
        >>> from fastnn import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 2))
        >>> model.compile(optim.SGD(lr=0.5), "mse")
        >>> model.optimizer.lr
        0.5
        """
        return None if self._compiled is None else self._compiled.optimizer

    @property
    def lr(self) -> float:
        """The learning rate of the next step, which may be set between steps and in callbacks.

        What is set takes effect at the next step: a number, or a schedule, which begins there, in
        the place of the one that the optimizer had. The optimizer's state and its counts of steps
        stay as they are. Parameters whose group in ``param_groups`` has a learning rate keep that
        one. Outside of a fit, the rate of a schedule that lasts a fit is its first one.

        Raises
        ------
        ValueError, TypeError
            A value that is no learning rate, or a model that is not compiled.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn, optim
        >>> model = nn.Sequential(nn.Linear(4, 2))
        >>> model.compile(optim.SGD(lr=0.5), "mse")
        >>> model.lr = 0.1
        >>> model.lr, model.optimizer.lr
        (0.1, 0.1)
        >>> model.lr = optim.lr_scheduler.ExponentialLR(0.5, gamma=0.5)
        >>> loss = model.train_step(np.ones((8, 4)), np.ones((8, 2)))
        >>> model.lr
        0.25
        """
        call = self._call("lr")
        optimizer = call.compiled.optimizer
        if optimizer.schedule is not None:
            with call:
                return float(call.network.lr)
        rate: Any = optimizer.hyper()["lr"]
        return float(rate)

    @lr.setter
    def lr(self, value: LearningRate) -> None:
        with self._call("lr") as call:
            epochs = 0 if self._run is None else self._run.settings["epochs"]
            compiled = call.compiled.with_lr(call.where, call.network, value, epochs)
            self._compiled = compiled

    def _scale_lr(self, where: str, factor: float, lowest: float) -> float:
        """Multiply the learning rates of all groups, for callbacks; return that of the others."""
        with self._call("lr") as call:
            self._compiled = call.compiled.with_scaled_lr(where, call.network, factor, lowest)
        return self.lr

    @property
    def loss(self) -> Loss | None:
        """The compiled loss; None before compile.

        Examples
        --------
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 2))
        >>> model.compile("sgd", "mse")
        >>> type(model.loss) is nn.MSELoss
        True
        """
        return None if self._compiled is None else self._compiled.loss

    @property
    def n_features(self) -> int:
        """Number of columns of X.

        Examples
        --------
        >>> from fastnn import nn
        >>> nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).n_features
        4
        """
        return self._tree.need_network("n_features").n_features

    @property
    def n_outputs(self) -> int:
        """Number of columns of the output.

        Examples
        --------
        >>> from fastnn import nn
        >>> nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).n_outputs
        2
        """
        return self._tree.need_network("n_outputs").n_outputs

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the values and of the arithmetic: float32 or float64.

        Examples
        --------
        >>> from fastnn import nn
        >>> nn.Sequential(nn.Linear(4, 2), dtype="float64").dtype
        dtype('float64')
        """
        return np.dtype(self._tree.dtype)

    @property
    def seed(self) -> int:
        """Seed of the initial values, of dropout and of shuffling.

        Examples
        --------
        >>> from fastnn import nn
        >>> nn.Sequential(nn.Linear(4, 2), seed=7).seed
        7
        """
        return self._tree.seed

    @property
    def threads_used(self) -> int:
        """Number of threads of the last fit, step, forward or backward; 0 before the first.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 2), n_threads=1)
        >>> out = model.forward(np.ones((3, 4)))
        >>> model.threads_used
        1
        """
        return 0 if self._network is None else int(self._network.threads_used)

    def summary(self, print_fn: Callable[[str], Any] | None = print) -> Summary:
        """Print a table of the layers with parameters, bytes and flops per row, as Keras does.

        Parameters
        ----------
        print_fn : callable, optional
            Function that prints the text; with None the table is only returned.

        Returns
        -------
        Summary
            The table: ``str(...)`` is its text, and its attributes are the figures. Its repr is one
            short line, so that a notebook does not show the table twice.

        Examples
        --------
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> model.summary(print_fn=None).parameters
        58
        """
        from ._summary import summarize  # imported only when it is needed

        table = summarize(self._tree.layers, self.n_features, self._tree.dtype)
        if print_fn is not None:
            print_fn(str(table))
        return table

    # The model in other libraries.

    def to_torch(self) -> Any:
        """Make a ``torch.nn.Sequential`` of this model, with copies of its values.

        Its ``state_dict`` has the keys of this one. It gives raw outputs, as `forward` does: in
        torch the link belongs to the loss, too. Parameters of frozen layers have
        ``requires_grad=False``. Layers that torch does not have, such as `Standardize`, become
        small modules of `fastnn.exchange`, and `nn.from_torch` knows them.

        Returns
        -------
        torch.nn.Sequential
            In training mode, as every new module: call its ``eval()`` before predicting with it.

        Raises
        ------
        ValueError
            A layer that torch does not have.
        ImportError
            If torch is not installed.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import numpy as np, torch
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
        >>> module = model.to_torch()
        >>> list(module.state_dict()) == list(model.state_dict())
        True
        >>> x = np.ones((3, 4), np.float32)
        >>> bool(np.allclose(module(torch.tensor(x)).detach(), model.forward(x), atol=1e-6))
        True
        """
        from fastnn.exchange import _torch

        where = "Sequential.to_torch"
        return _torch.write(where, _layer_data.taken(where, self._tree))

    def to_onnx(
        self,
        path: Any = None,
        *,
        outputs: Literal["predictions", "raw"] = "predictions",
        opset: int | None = None,
    ) -> Any:
        """Make an ONNX model of this model, with its values, and optionally write it to a file.

        Its input ``x`` has the shape (n, n_features), with any n, and the model's dtype; Rescale
        and Standardize are part of it. Rows that Flatten takes have to be flattened by the caller.

        Parameters
        ----------
        path : str or PathLike, optional
            File to write, such as ``"model.onnx"``. The weights are inside of it. A file that is
            there is replaced as a whole, as by `save`.
        outputs : {"predictions", "raw"}, default "predictions"
            The name of the output, of shape (n, n_outputs): what `predict` gives, where the
            compiled loss' link is included; or what `forward` gives.
        opset : int, optional
            Version of ONNX's operators. By default 18, the oldest that has all that are needed.

        Returns
        -------
        onnx.ModelProto

        Raises
        ------
        ValueError, TypeError
            A model without parameters, or a wrong argument.
        OSError
            If the file cannot be written.
        ImportError
            If onnx is not installed; the extra ``fastnn-cpu[onnx]`` has it.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> import onnx
        >>> from fastnn import nn
        >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> model.compile("adam", "cross_entropy")
        >>> made = model.to_onnx()
        >>> onnx.checker.check_model(made, full_check=True)
        >>> [node.op_type for node in made.graph.node]
        ['Gemm', 'Relu', 'Gemm', 'Softmax']
        >>> [node.op_type for node in model.to_onnx(outputs="raw").graph.node]
        ['Gemm', 'Relu', 'Gemm']
        """
        from fastnn.exchange import _onnx

        call = self._call("to_onnx")
        loss = None if self._compiled is None else self._compiled.loss
        model = _layer_data.taken(call.where, self._tree, loss)
        made = _onnx.write(call.where, model, outputs, opset)
        if path is not None:
            _onnx.save(call.where, path, made)
        return made

    # The model as a list of layers.

    def append(self, layer: Layer | Sequential) -> Self:
        """Append a layer.

        Earlier views of values no longer belong to the model, and it has to be compiled again.

        Parameters
        ----------
        layer : Layer

        Returns
        -------
        Sequential
            The model.

        Raises
        ------
        ValueError, TypeError
            If `layer` is not a layer or does not fit the outputs; the model is as before.
        ModelBusyError
            If another thread is training this model.

        Examples
        --------
        >>> from fastnn import nn
        >>> len(nn.Sequential(nn.Linear(4, 8)).append(nn.ReLU()).append(nn.Linear(8, 2)))
        3
        """
        self._tree.expect_idle("Sequential.append")
        self._take(self._tree.having("Sequential.append", (*self._tree.layers, layer)))
        return self

    def __len__(self) -> int:
        return len(self._tree.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._tree.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        if not isinstance(index, slice):
            return self._tree.at(index)
        return Sequential(
            *self._tree.layers[index],
            dtype=self._tree.dtype,
            seed=self._tree.seed,
            n_threads=self._threads or None,
        )

    def __setitem__(self, index: Any, layer: Layer | Sequential) -> None:
        """Replace layer `index`.

        The other layers keep their values. Earlier views of values no longer belong to the model,
        and it has to be compiled again.
        """
        self._take(self._tree.with_layer_at(index, layer))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._tree}"

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _ASSIGNABLE or is_free(self, name)):
            advice = "it follows from how the model was made; make a new Sequential"
            if name in ("optimizer", "loss"):
                advice = "call compile"
            raise AttributeError(refusal(self, name, advice, _ASSIGNABLE))
        object.__setattr__(self, name, value)

    # Copies and pickles hold the config and the arrays, and so do not depend on the level.

    def _use(self, parts: _config.Parts) -> None:
        """Become the model that consists of `parts`."""
        vars(self).update(
            _tree=parts.tree,
            _compiled=parts.compiled,
            _has_function_loss=parts.compiled is not None
            and isinstance(parts.compiled.loss, FunctionLoss),
            _epochs_seen=parts.epochs_seen,
            history=parts.history,
            _run=None,
        )

    def __getstate__(self) -> dict[str, Any]:
        return _pickled.state_of(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        _pickled.restore(self, state)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = memo[id(self)] = object.__new__(type(self))
        twin.__setstate__(_pickled.deeply_copied(self.__getstate__(), memo))
        return twin
