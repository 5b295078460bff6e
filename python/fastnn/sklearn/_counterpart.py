# SPDX-License-Identifier: BSD-3-Clause
"""Estimators from and for scikit-learn's own classes of the same names."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import neural_network
from sklearn.base import clone
from sklearn.neural_network._base import ACTIVATIONS
from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted

from fastnn import nn
from fastnn._hints import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["made_from", "made_of"]

# Attributes without a name of the public kind that a fitted estimator of scikit-learn has, too.
_PRIVATE = ("_label_binarizer", "_no_improvement_count")
_VALUES = ("coefs_", "intercepts_")
# Attributes that scikit-learn's estimators do not have.
_OWN = ("network_", "history_", "validation_loss_curve_")


def made_of(where: str, ours: Any) -> Any:
    """Return scikit-learn's estimator with the values of a fitted one of ours."""
    activation, coefs, intercepts = _plain_layers(where, ours)
    link = ours.out_activation_
    known = link in ACTIVATIONS
    shares = link == "logistic" and _kind_of_targets(ours) == "multiclass"
    if not known or shares:
        raise ValueError(
            f"[{where}] the outputs have the activation {link!r}"
            f"{' for each of several classes' if shares else ''}, which scikit-learn's "
            f"{type(ours).__name__} does not know; expected {_expected(ours)}"
        )
    theirs = _with_parameters(_base(type(ours)).__name__, ours)
    if activation is not None:
        theirs.set_params(activation=activation)
    if link == "exp":  # its outputs are rates with this loss alone
        theirs.set_params(loss="poisson")
    theirs.__dict__.update(_attributes(ours))
    theirs.coefs_, theirs.intercepts_ = coefs, intercepts
    theirs.n_layers_ = len(coefs) + 1
    if theirs.early_stopping:  # the values to which a warm start returns if it finds no better ones
        theirs._best_coefs = [each.copy() for each in coefs]
        theirs._best_intercepts = [each.copy() for each in intercepts]
    return theirs


def _kind_of_targets(ours: Any) -> str:
    binarizer = vars(ours).get("_label_binarizer")
    return "" if binarizer is None else str(binarizer.y_type_)


def _expected(ours: Any) -> str:
    return "loss='log_loss'" if hasattr(ours, "classes_") else "'identity'"


def _attributes(estimator: Any) -> dict[str, Any]:
    """Return copies of the fitted attributes that both libraries have, but for the values."""
    return {
        name: copy.deepcopy(value)
        for name, value in vars(estimator).items()
        if name in _PRIVATE
        or (name.endswith("_") and not name.startswith("_") and name not in (*_VALUES, *_OWN))
    }


def _with_parameters(name: str, ours: Any) -> Any:
    """Return a new estimator of scikit-learn with those of our parameters that it permits."""
    kind = getattr(neural_network, name)
    given = clone(ours).get_params(deep=False)
    taken: dict[str, Any] = {}
    for each in kind().get_params(deep=False):
        value = given.get(each)
        constraint = {each: kind._parameter_constraints[each]}
        try:
            validate_parameter_constraints(constraint, {each: value}, name)
        except InvalidParameterError:
            continue
        taken[each] = value
    return kind(**taken)


def _plain_layers(where: str, ours: Any) -> tuple[str | None, list[Any], list[Any]]:
    """Return the one activation of all hidden layers, and the weights (in, out) and biases."""
    kind = getattr(neural_network, _base(type(ours)).__name__)
    spelled = {
        "sigmoid" if name == "logistic" else name: name
        for name in kind._parameter_constraints["activation"][0].options
    }
    coefs: list[Any] = []
    intercepts: list[Any] = []
    found: set[str] = set()
    for layer in ours.network_:
        if isinstance(layer, nn.Linear):
            coefs.append(layer.weight.T.copy(order="C"))
            intercepts.append(np.array(layer.bias))
        elif isinstance(layer, nn.BatchNorm1d):
            coefs[-1], intercepts[-1] = _normalized(layer, coefs[-1], intercepts[-1])
        elif layer.registry_name in spelled:
            found.add(spelled[layer.registry_name])
        elif not isinstance(layer, nn.Dropout):
            raise ValueError(
                f"[{where}] a hidden layer has {layer!r}, which scikit-learn's "
                f"{type(ours).__name__} does not have; expected the activations "
                f"{', '.join(sorted(spelled.values()))}, and normalization of batches or none"
            )
    if len(found) > 1:
        raise ValueError(
            f"[{where}] the hidden layers have the activations {', '.join(sorted(found))}; "
            f"expected the same for all, as scikit-learn's {type(ours).__name__} has it"
        )
    return next(iter(found), None), coefs, intercepts


def _normalized(layer: Any, coefs: Any, intercepts: Any) -> tuple[Any, Any]:
    """Return weights and biases that give the normalized outputs, by the running statistics."""
    scale = layer.weight / np.sqrt(layer.running_var + layer.eps)
    return coefs * scale, (intercepts - layer.running_mean) * scale + layer.bias


def _base(cls: type) -> type:
    """Return MLPClassifier or MLPRegressor, of which `cls` may be a subclass."""
    return next(each for each in cls.__mro__ if each.__module__.startswith("fastnn."))


def made_from(where: str, cls: Any, theirs: Any) -> Any:
    """Return an estimator of the class `cls` with the values of scikit-learn's fitted one."""
    base = _base(cls)
    expected = getattr(neural_network, base.__name__)
    if not isinstance(theirs, expected):
        raise TypeError(
            f"[{where}] got {shown(theirs)}; expected a sklearn.neural_network.{base.__name__}"
        )
    check_is_fitted(theirs)
    ours = cls()
    names = ours.get_params(deep=False)
    given = clone(theirs).get_params(deep=False)
    ours.set_params(**{name: value for name, value in given.items() if name in names})
    ours.__dict__.update(dict(_fitted(theirs)))
    ours._synchronize()
    return ours


def _fitted(theirs: Any) -> Iterator[tuple[str, Any]]:
    yield from _attributes(theirs).items()
    for name in _VALUES:
        yield name, [np.array(each) for each in getattr(theirs, name)]
    if theirs.early_stopping:
        yield "_best_values", None
