# SPDX-License-Identifier: BSD-3-Clause
"""The documentation of the parameters and attributes that both estimators have."""

from __future__ import annotations

from inspect import cleandoc
from typing import TypeVar

__all__ = ["documented"]

PARAMETERS = """
hidden_layer_sizes : int or sequence of int, default (100,)
    Number of units of each hidden layer.
activation : str, activation of fastnn.nn, or a list of these, default "relu"
    Activation of the hidden layers, or one for each of them: "identity", "logistic", "tanh",
    "relu", and the other names of `fastnn.nn`, such as "gelu" and "selu"; or an object:
    ``nn.LeakyReLU(0.2)``.
solver : str or optimizer of fastnn.optim, default "adam"
    Stochastic gradient descent, Adam, "lbfgs" on all rows at once, and the other names of
    `fastnn.optim`, such as "adamw" and "rmsprop", with the rate `learning_rate_init` and, where
    their defaults are those here, with `beta_1`, `beta_2` and `epsilon`. An object has all values
    itself: ``optim.RMSprop(lr=0.01, momentum=0.9)``.
alpha : float, default 1e-4
    Factor of the penalty alpha / 2 sum(w^2) / n of all weights but biases, where n is the number of
    rows of a batch, or the sum of their weights. It belongs to "sgd", "adam" and "lbfgs"; others
    have `weight_decay`.
batch_size : int or "auto", default "auto"
    Rows of a batch; "auto" is min(200, n).
learning_rate : str, schedule of fastnn.optim.lr_scheduler, list or callable, default "constant"
    How the learning rate changes. "constant", "invscaling" and "adaptive" are scikit-learn's, for
    all solvers but "adam": not at all; to learning_rate_init / (t + 1)^power_t after t rows; or to
    a fifth when there was no improvement, until it is below 1e-6. "cosine", "one_cycle", "step"
    and the other names of `fastnn.optim.lr_scheduler` are for all; so are objects, lists of the
    rates of steps, and functions of the epoch. A schedule that lasts a fit lasts `max_iter` epochs.
learning_rate_init : float, default 1e-3
power_t : float, default 0.5
max_iter : int, default 200
    The most epochs, or iterations of "lbfgs".
shuffle : bool, default True
    Whether to train on the rows in another order in each epoch.
random_state : int, RandomState or None, default None
    Decides the initial values, the rows for validation, and the orders of the rows.
tol : float, default 1e-4
    Training ends when the loss, or the validation score, has not improved by this much for more
    than `n_iter_no_change` epochs.
verbose : bool or int, default False
    Whether to print the loss of each epoch.
warm_start : bool, default False
    Whether fit goes on from the values of the last fit.
momentum : float, default 0.9
    Momentum of "sgd", from 0 to 1.
nesterovs_momentum : bool, default True
    Whether "sgd" looks ahead with its momentum.
early_stopping : bool, default False
    Whether to hold out rows, end by the score on them, and return to the best values.
validation_fraction : float, default 0.1
    The share of the rows that is held out.
beta_1 : float, default 0.9
    Decay of Adam's mean of gradients.
beta_2 : float, default 0.999
    Decay of Adam's mean of squared gradients.
epsilon : float, default 1e-8
    What Adam adds to the root.
n_iter_no_change : int or inf, default 10
max_fun : int, default 15000
    The most evaluations of the loss by "lbfgs".
"""

ADDITIONS = """
dropout : float or list of float, default 0
    In training, the share of units of each hidden layer that are left out, or one for each layer.
normalization : {"batch", "layer", "rms"} or None, default None
    What comes between the linear part and the activation of hidden layers.
weight_decay : float or None, default None
    Decay of the weights in each step, as the solver defines it; None is its default. "sgd" and
    "adam" are then torch's, with decay in the place of alpha. Biases have none.
max_grad_norm : float or None, default None
    Clip the gradients of each step to this common norm.
dtype : {"float32", "float64"} or None, default None
    Dtype of the values; None is float32 for X of float32, otherwise float64.
n_init : int, default 1
    Number of trainings from other initial values, of which the best is kept: by the best
    validation score, or by the last validation loss, or by the last loss of training. The first
    one is that without restarts. A warm start and partial_fit make none.
max_time : float or None, default None
    Seconds after which fit ends, with a warning and a fitted model.
n_jobs : int or None, default None
    Number of threads; None is what the core finds fastest. Negative numbers count from the number
    of processors: -1 is all of them. The numbers do not depend on it.
callbacks : list of Callback or None, default None
    Callbacks of `fastnn.callbacks`.
"""

ATTRIBUTES = """
network_ : fastnn.nn.Sequential
    The model inside. Its values are those of `coefs_` and `intercepts_`, and its `predict` gives
    the outputs of clean arrays without scikit-learn's checks.
coefs_ : list of ndarray of shape (in, out)
    Weights of each layer: views of the model's, so that writing into them changes the model.
intercepts_ : list of ndarray of shape (out,)
    Biases of each layer, views as well.
loss_ : float
    The loss of the last epoch, with the penalty.
best_loss_ : float or None
    The lowest loss of all epochs; None with early stopping.
loss_curve_ : list of float
    The loss of each epoch.
validation_loss_curve_ : list of float or None
    The loss of each epoch on the rows for validation, without the penalty; None without such rows.
history_ : fastnn.nn.History
    The record of the last training: losses, penalties and learning rates of its epochs, steps,
    seconds. Not with "lbfgs".
validation_scores_ : list of float or None
    With early stopping, the score of each epoch on the rows held out.
best_validation_score_ : float or None
    The highest of them.
t_ : int
    Number of rows trained on, over all epochs.
n_iter_ : int
    Number of epochs, or iterations, of the last call.
n_layers_ : int
    Number of layers, the input included.
n_outputs_ : int
out_activation_ : str
    Activation of the outputs: "softmax", "logistic", "identity" or "exp".
n_features_in_ : int
feature_names_in_ : ndarray of shape (n_features_in_,)
    Names of the columns, if X is a frame with names that are strings.
"""

_SHARED = {
    "{parameters}": PARAMETERS,
    "{additions}": ADDITIONS,
    "{attributes}": ATTRIBUTES,
}

Class = TypeVar("Class", bound=type)


def documented(cls: Class) -> Class:
    """Insert the shared lines into the documentation of an estimator."""
    text = cleandoc(cls.__doc__ or "")
    for name, lines in _SHARED.items():
        text = text.replace(name, lines.strip())
    cls.__doc__ = text.replace("{{", "{").replace("}}", "}")
    return cls
