# SPDX-License-Identifier: BSD-3-Clause
"""Sequential: Keras' loop over torch's layers, each call one call of the core.

Words and shapes are settled here; the binding checks memory; C++ runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _fit
from ._compiled import Compiled
from ._own_loop import OwnLoop

if TYPE_CHECKING:
    from fastnn._describe import Optimizer

    from ._history import History
    from ._layer import Layer
    from ._loss import Loss

__all__ = ["Sequential"]


class Sequential(OwnLoop):
    """Layers one after the other.

    There is no train() or eval(): fit and train_step train, predict and evaluate do not, and
    forward takes ``training=``. No result depends on the number of threads.

    Parameters
    ----------
    *layers : Layer
        A layer that already belongs to a model is copied, with its settings, its values and its
        freeze flag. ``model[1:3]`` is a Sequential of copies, also where the model is of a
        subclass; copies and pickles keep the class and call no constructor.
    dtype : float32 or float64, default float32
    seed : int, default 0
        Of the initial values, dropout and shuffling.
    n_threads : int, optional
        Obeyed if given; otherwise each call takes what is fastest.

    Attributes
    ----------
    history : History or None
        Of the last fit.
    stop_training : bool
        Set by callbacks to end fit after the present epoch; `stop` ends it within that epoch.

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

    @property
    def optimizer(self) -> Optimizer | None:
        """The compiled optimizer."""
        return None if self._compiled is None else self._compiled.optimizer

    @property
    def loss(self) -> Loss | None:
        """The compiled loss."""
        return None if self._compiled is None else self._compiled.loss

    def stop(self) -> None:
        """End the running fit within 0.2 s, as if it had come to its end.

        From another thread, a callback or a signal handler. The epoch in progress ends after the
        present batch and is not in the history that fit returns; callbacks are told
        ``on_train_end``. Without a running fit nothing happens: the next one is not affected.
        """
        self.stop_training = True
        if self._network is not None:
            self._network.stop = True

    def _part(self, layers: tuple[Layer, ...]) -> Sequential:
        return Sequential(
            *layers, dtype=self._dtype, seed=self._seed, n_threads=self._threads or None
        )

    def compile(
        self, optimizer: Any, loss: Any, metrics: Any = None, max_grad_norm: float | None = None
    ) -> None:
        """Choose how to train; compiling again resets the optimizer's state.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"adam"`` for the defaults, or ``optim.Adam(lr=...)``.
        loss : str or Loss
            ``"cross_entropy"``, or ``nn.CrossEntropyLoss()``.
        metrics : list of str, optional
            ``["accuracy"]`` for losses of classes.
        max_grad_norm : float, optional
            Clip the gradients of each step to this common norm.
        """
        where = "Sequential.compile"
        network = self._net("compile")
        compiled = Compiled.of(where, optimizer, loss, metrics, max_grad_norm)
        compiled.check_outputs(where, network.n_outputs)
        compiled.apply(where, network, self._trainable_numbers())
        self._compiled = compiled

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int = 32,
        epochs: int = 1,
        *,
        verbose: int = 0,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        n_threads: int | None = None,
    ) -> History:
        """Train for whole epochs.

        X is read in place, row by row, whatever its dtype and strides: it is never copied whole.

        Parameters
        ----------
        x : array_like of shape (n, n_features)
            With Flatten also (n, ...).
        y : array_like
            Class indices (n,), or numbers (n, n_outputs); (n,) and (n, 1) are the same one output.
        batch_size : int, default 32
            With BatchNorm at least 2, unless it is frozen.
        epochs : int, default 1
            Number of the last epoch, as in Keras: ``epochs - initial_epoch`` are run.
        verbose : {0, 1, 2}, default 0
            Quiet, a progress bar, or a line an epoch.
        callbacks : list of Callback, optional
        validation_split : float, default 0
            Share of the rows, from the end, that validate instead of training. Rows that train are
            counted down: of 9 rows and 0.5 four train and five validate.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Takes precedence over validation_split.
        shuffle : bool, default True
            A new order each epoch, from the seed; False: a loop of train_step, to the bit.
        drop_last : bool, default False
            Leave out a last batch of fewer than batch_size rows: with shuffle other rows each
            epoch. The epoch's loss is that of the rows it was trained on.
        class_weight : dict of int to float, optional
            Factors of the rows of a class; 1 for those not named. Not applied to validation rows.
            Relative within a batch, as sample_weight.
        sample_weight : array_like of shape (n,), optional
            Weights of the rows, finite and at least 0. They are relative within a batch, whose
            loss is sum(w l) / sum(w): only their ratios count, and batches of one row ignore them.
            With ``reduction="sum"`` they are factors, and nothing is divided.
        initial_epoch : int, default 0
        n_threads : int, optional

        Returns
        -------
        History
            Also kept as ``model.history``.

        Raises
        ------
        ValueError
            A number that is not finite, a target or an output outside the range of the loss, or
            training or validation rows that all weigh zero.
        TrainingDivergedError
            A parameter became infinite or NaN; the model is as after the last finite epoch.
        ModelBusyError
            Another thread is training this model.
        """
        network, _ = self._ready("fit")
        # Before anything of a running fit is overwritten: its history, its wish to stop.
        self._idle("fit")
        self.stop_training = network.stop = False
        settings = _fit.Settings.of(
            batch_size=batch_size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            verbose=verbose,
            shuffle=shuffle,
            drop_last=drop_last,
            n_threads=self._n_threads("fit", n_threads),
        )
        xs, ys, w = self._batch("fit", x, y, sample_weight)
        validation = _fit.checked_validation(validation_data, self)
        train, held_out = _fit.split_rows(xs, ys, w, 0 if validation else validation_split)
        _fit.check_statistics(self, settings.batch_size, len(train[0]))
        data = _fit.Data(_fit.weighted(train, class_weight, self), validation or held_out)
        return _fit.run(self, settings, data, _fit.chosen_callbacks(callbacks, verbose))
