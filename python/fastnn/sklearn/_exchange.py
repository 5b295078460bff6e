# SPDX-License-Identifier: BSD-3-Clause
"""The methods of the estimators that make something else of them: files and other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from sklearn.utils.validation import check_is_fitted

from . import _counterpart, _saving

if TYPE_CHECKING:
    from os import PathLike

    from fastnn import nn

__all__ = ["Exchange"]


class Exchange:
    """Saving an estimator, and exchanging it with scikit-learn, PyTorch and ONNX."""

    network_: nn.Sequential

    def _synchronized(self) -> nn.Sequential:
        """Return the model inside of a fitted estimator, with the values of `coefs_`."""
        check_is_fitted(self)
        self._synchronize()  # type: ignore[attr-defined]
        return self.network_

    def to_sklearn(self) -> Any:
        """Make scikit-learn's own estimator, with copies of the values.

        Its predictions are the same but for rounding. Parameters that it has are taken over;
        those that it lacks, or whose value it does not know, concern training alone and are left
        at its defaults. Dropout is not part of a prediction, and batch normalization becomes part
        of the weights.

        Returns
        -------
        sklearn.neural_network.MLPClassifier or MLPRegressor
            Fitted. The state of the optimizer is not part of it.

        Raises
        ------
        ValueError
            If its predictions cannot be the same: other activations, layer normalization, a loss
            whose outputs it does not know.
        NotFittedError

        Examples
        --------
        >>> from fastnn import MLPClassifier
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> clf = MLPClassifier((4,), solver="lbfgs", random_state=0).fit(X, y)
        >>> type(clf.to_sklearn()).__module__.split(".")[0]
        'sklearn'
        >>> bool((clf.to_sklearn().predict(X) == clf.predict(X)).all())
        True
        """
        self._synchronized()
        return _counterpart.made_of(f"{type(self).__name__}.to_sklearn", self)

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Self:
        """Make an estimator of scikit-learn's fitted one, with copies of the values.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor
            Of the same name as this class.

        Returns
        -------
        MLPClassifier or MLPRegressor
            Fitted, with all its attributes. A warm start or partial_fit begins with a new state
            of the optimizer.

        Raises
        ------
        TypeError
            If it is another object.
        NotFittedError

        Examples
        --------
        >>> from sklearn.neural_network import MLPRegressor as Theirs
        >>> from fastnn import MLPRegressor
        >>> theirs = Theirs(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0)
        >>> theirs = theirs.fit([[0.0], [1.0]], [0.0, 1.0])
        >>> MLPRegressor.from_sklearn(theirs).predict([[0.5]]).round(6).tolist() == (
        ...     theirs.predict([[0.5]]).round(6).tolist()
        ... )
        True
        """
        return _counterpart.made_from(f"{cls.__name__}.from_sklearn", cls, estimator)  # type: ignore[no-any-return]

    def save(self, path: str | PathLike[str]) -> None:
        """Save the fitted estimator to a file, from which ``fastnn.load`` makes an equal one.

        The file has parameters, attributes, labels, the model inside and the state of its
        optimizer, so that partial_fit goes on with the same bits. It holds no code and no pickle;
        see docs/saving.md. `callbacks` are not part of it.

        Parameters
        ----------
        path : str or PathLike
            Ends with ``.safetensors``, or with ``.npz`` for a file that ``numpy.load`` reads.

        Raises
        ------
        TypeError
            If a parameter or a label is of a class of your own. Pickle such an estimator.
        ValueError
            If `path` has another suffix, or a value of the model is not finite.
        OSError
            If the file cannot be written.
        NotFittedError

        Examples
        --------
        >>> import tempfile
        >>> import fastnn
        >>> clf = fastnn.MLPClassifier((4,), solver="lbfgs", random_state=0)
        >>> clf = clf.fit([[0.0], [1.0]], ["no", "yes"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     clf.save(f"{folder}/clf.safetensors")
        ...     fastnn.load(f"{folder}/clf.safetensors").predict([[1.0]]).tolist()
        ['yes']
        """
        self._synchronized()
        _saving.save(f"{type(self).__name__}.save", path, self)

    def to_onnx(self, path: Any = None, *, opset: int | None = None) -> Any:
        """Make an ONNX model that predicts as the estimator does, and optionally write a file.

        Its input ``x`` has the shape (n, n_features_in_), with any n, and the model's dtype. In a
        pipeline, use ``skl2onnx``, which knows this class, too.

        Parameters
        ----------
        path : str or PathLike, optional
            File to write, such as ``"model.onnx"``. A file that is there is replaced as a whole.
        opset : int, optional
            Version of ONNX's operators, by default 18.

        Returns
        -------
        onnx.ModelProto
            With the outputs ``label`` and ``probabilities`` of a classifier, which are those of
            predict and predict_proba, or ``predictions`` of a regressor.

        Raises
        ------
        TypeError
            If the labels are not all numbers or all strings.
        ImportError
            If onnx is not installed; the extra ``fastnn-cpu[onnx]`` has it.
        NotFittedError

        Examples
        --------
        >>> import fastnn
        >>> clf = fastnn.MLPClassifier((4,), solver="lbfgs", random_state=0)
        >>> made = clf.fit([[0.0], [1.0]], ["no", "yes"]).to_onnx()
        >>> [output.name for output in made.graph.output]
        ['label', 'probabilities']
        """
        from . import _onnx

        self._synchronized()
        return _onnx.written(f"{type(self).__name__}.to_onnx", self, path, opset)

    def to_torch(self) -> Any:
        """Make a torch.nn.Sequential with copies of the values.

        Returns
        -------
        torch.nn.Sequential
            It gives the outputs before softmax, logistic or exp, as torch's losses expect them.

        Raises
        ------
        ImportError
            If torch is not installed.
        NotFittedError

        Examples
        --------
        >>> import fastnn
        >>> model = fastnn.MLPRegressor(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0)
        >>> [type(layer).__name__ for layer in model.fit([[0.0], [1.0]], [0, 1]).to_torch()]
        ['Linear', 'ReLU', 'Linear']
        """
        return self._synchronized().to_torch()
