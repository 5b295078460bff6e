# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""Activations, layers, losses and optimizer steps as functions."""

from collections.abc import Sequence
from typing import Literal

from numpy.typing import ArrayLike

from ._arrays import Array
from ._optimizers import Arrays, OptimizerState

__all__ = [
    "adadelta_state",
    "adadelta_step_",
    "adagrad_state",
    "adagrad_step_",
    "adam_state",
    "adam_step_",
    "adamax_state",
    "adamax_step_",
    "adamw_state",
    "adamw_step_",
    "batch_norm",
    "batch_norm_backward",
    "bce_loss",
    "bce_with_logits",
    "celu",
    "celu_backward",
    "cross_entropy",
    "dropout",
    "dropout_backward",
    "elu",
    "elu_backward",
    "ema_",
    "exp",
    "exp_backward",
    "focal_loss",
    "gaussian_nll_loss",
    "gaussian_noise",
    "gaussian_noise_backward",
    "gelu",
    "gelu_backward",
    "half_mse_loss",
    "hardsigmoid",
    "hardsigmoid_backward",
    "hardswish",
    "hardswish_backward",
    "hardtanh",
    "hardtanh_backward",
    "hinge_loss",
    "huber_loss",
    "identity",
    "identity_backward",
    "kl_div_loss",
    "l1_loss",
    "layer_norm",
    "layer_norm_backward",
    "leaky_relu",
    "leaky_relu_backward",
    "lion_state",
    "lion_step_",
    "log_cosh_loss",
    "log_sigmoid",
    "log_sigmoid_backward",
    "log_softmax",
    "log_softmax_backward",
    "mish",
    "mish_backward",
    "mse_loss",
    "nadam_state",
    "nadam_step_",
    "nll_loss",
    "poisson_deviance_loss",
    "poisson_nll_loss",
    "prelu",
    "prelu_backward",
    "quantile_loss",
    "radam_state",
    "radam_step_",
    "relu",
    "relu6",
    "relu6_backward",
    "relu_backward",
    "rms_norm",
    "rms_norm_backward",
    "rmsprop_state",
    "rmsprop_step_",
    "selu",
    "selu_backward",
    "sgd_state",
    "sgd_step_",
    "sigmoid",
    "sigmoid_backward",
    "silu",
    "silu_backward",
    "smooth_l1_loss",
    "softmax",
    "softmax_backward",
    "softplus",
    "softplus_backward",
    "softsign",
    "softsign_backward",
    "squared_hinge_loss",
    "step",
    "step_backward",
    "swa_",
    "tanh",
    "tanh_backward",
]

def identity(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute identity(z) = z."""

def identity_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = identity(z), which is dy f'(z), from the output a."""

def relu(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute relu(z) = max(z, 0)."""

def relu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = relu(z), which is dy f'(z), from the output a."""

def leaky_relu(
    z: ArrayLike,
    negative_slope: float = 0.01,
    *,
    out: Array | None = None,
) -> Array:
    """Compute leaky_relu(z) = z if z > 0 else negative_slope z."""

def leaky_relu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    negative_slope: float = 0.01,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = leaky_relu(z), which is dy f'(z), from the input z."""

def elu(
    z: ArrayLike,
    alpha: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute elu(z) = z if z > 0 else alpha (exp(z) - 1)."""

def elu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    alpha: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = elu(z), which is dy f'(z), from the input z."""

def selu(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute selu(z) = 1.0507 (z if z > 0 else 1.6733 (exp(z) - 1))."""

def selu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = selu(z), which is dy f'(z), from the input z."""

def celu(
    z: ArrayLike,
    alpha: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute celu(z) = z if z > 0 else alpha (exp(z / alpha) - 1)."""

def celu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    alpha: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = celu(z), which is dy f'(z), from the input z."""

def tanh(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute tanh(z) = tanh(z)."""

def tanh_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = tanh(z), which is dy f'(z), from the output a."""

def sigmoid(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute sigmoid(z) = 1 / (1 + exp(-z))."""

def sigmoid_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = sigmoid(z), which is dy f'(z), from the output a."""

def softplus(
    z: ArrayLike,
    beta: float = 1.0,
    threshold: float = 20.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute softplus(z) = log(1 + exp(beta z)) / beta, z where beta z > threshold."""

def softplus_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    beta: float = 1.0,
    threshold: float = 20.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = softplus(z), which is dy f'(z), from the input z."""

def gelu(
    z: ArrayLike,
    approximate: Literal["none", "tanh"] = "none",
    *,
    out: Array | None = None,
) -> Array:
    """Compute gelu(z) = z Phi(z), Phi the normal distribution function."""

def gelu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    approximate: Literal["none", "tanh"] = "none",
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = gelu(z), which is dy f'(z), from the input z."""

def silu(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute silu(z) = z / (1 + exp(-z))."""

def silu_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = silu(z), which is dy f'(z), from the input z."""

def mish(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute mish(z) = z tanh(log(1 + exp(z)))."""

def mish_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = mish(z), which is dy f'(z), from the input z."""

def relu6(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute relu6(z) = min(max(z, 0), 6)."""

def relu6_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = relu6(z), which is dy f'(z), from the output a."""

def hardtanh(
    z: ArrayLike,
    min_val: float = -1.0,
    max_val: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute hardtanh(z) = min(max(z, min_val), max_val)."""

def hardtanh_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    min_val: float = -1.0,
    max_val: float = 1.0,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = hardtanh(z), which is dy f'(z), from the output a."""

def hardsigmoid(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute hardsigmoid(z) = min(max(z + 3, 0), 6) / 6."""

def hardsigmoid_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = hardsigmoid(z), which is dy f'(z), from the input z."""

def hardswish(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute hardswish(z) = z min(max(z + 3, 0), 6) / 6."""

def hardswish_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = hardswish(z), which is dy f'(z), from the input z."""

def softsign(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute softsign(z) = z / (1 + |z|)."""

def softsign_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = softsign(z), which is dy f'(z), from the input z."""

def log_sigmoid(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute log_sigmoid(z) = -log(1 + exp(-z))."""

def log_sigmoid_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = log_sigmoid(z), which is dy f'(z), from the input z."""

def exp(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute exp(z) = exp(z)."""

def exp_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = exp(z), which is dy f'(z), from the output a."""

def step(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute step(z) = 1 if z >= 0 else 0.

    Its derivative is 0 everywhere, so the layers before it do not learn: it is for given weights
    and perceptrons.
    """

def step_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = step(z), which is dy f'(z), from the output a."""

def softmax(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute softmax(z) = exp(z_j) / sum_k exp(z_k).

    It takes whole rows. CrossEntropyLoss contains it: that loss takes outputs without it.
    """

def softmax_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = softmax(z), from the output a."""

def log_softmax(
    z: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute log_softmax(z) = z_j - log(sum_k exp(z_k)).

    It takes whole rows. NLLLoss takes such outputs; CrossEntropyLoss contains it and takes outputs
    without it.
    """

def log_softmax_backward(
    dy: ArrayLike,
    saved: ArrayLike,
    *,
    out: Array | None = None,
) -> Array:
    """Compute the gradient by z of a = log_softmax(z), from the output a."""

def dropout(
    x: ArrayLike,
    *,
    p: float = 0.5,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
    layer: int = 0,
    draw: int = 0,
    out: Array | None = None,
) -> Array:
    """Compute x * mask / (1 - p) in training, x otherwise."""

def dropout_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    p: float = 0.5,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
    layer: int = 0,
    draw: int = 0,
    out: Array | None = None,
) -> Array:
    """Compute the gradients of y = dropout(x), by x.

    The other arguments are those of the forward call.
    """

def batch_norm(
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    eps: float = 1e-05,
    momentum: float = 0.1,
    training: bool = False,
    out: Array | None = None,
) -> Array:
    """Compute (x - mean) / sqrt(var + eps) * weight + bias."""

def batch_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    eps: float = 1e-05,
    momentum: float = 0.1,
    training: bool = False,
    dx: Array | None = None,
    dweight: Array | None = None,
    dbias: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Compute the gradients of y = batch_norm(x), by x, weight, bias.

    The other arguments are those of the forward call.
    """

def layer_norm(
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-05,
    out: Array | None = None,
) -> Array:
    """Compute (x - mean) / sqrt(var + eps) * weight + bias, each row by itself."""

def layer_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    eps: float = 1e-05,
    dx: Array | None = None,
    dweight: Array | None = None,
    dbias: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Compute the gradients of y = layer_norm(x), by x, weight, bias.

    The other arguments are those of the forward call.
    """

def rms_norm(
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    eps: float | None = None,
    out: Array | None = None,
) -> Array:
    """Compute x / sqrt(mean(x^2) + eps) * weight, each row by itself."""

def rms_norm_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    eps: float | None = None,
    dx: Array | None = None,
    dweight: Array | None = None,
) -> tuple[Array, Array]:
    """Compute the gradients of y = rms_norm(x), by x, weight.

    The other arguments are those of the forward call.
    """

def prelu(
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    init: float = 0.25,
    out: Array | None = None,
) -> Array:
    """Compute x where x > 0, weight * x elsewhere."""

def prelu_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    init: float = 0.25,
    dx: Array | None = None,
    dweight: Array | None = None,
) -> tuple[Array, Array]:
    """Compute the gradients of y = prelu(x), by x, weight.

    The other arguments are those of the forward call.
    """

def gaussian_noise(
    x: ArrayLike,
    *,
    std: float = 0.1,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
    layer: int = 0,
    draw: int = 0,
    out: Array | None = None,
) -> Array:
    """Compute x + std * normal numbers in training, x otherwise."""

def gaussian_noise_backward(
    dy: ArrayLike,
    x: ArrayLike,
    *,
    std: float = 0.1,
    training: bool = True,
    seed: int = 0,
    step: int = 0,
    layer: int = 0,
    draw: int = 0,
    out: Array | None = None,
) -> Array:
    """Compute the gradients of y = gaussian_noise(x), by x.

    The other arguments are those of the forward call.
    """

def mse_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of (out - target)^2."""

def half_mse_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of (out - target)^2 / 2."""

def l1_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of |out - target|."""

def huber_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    delta: float = 1.0,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond; e = out - target."""

def smooth_l1_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    beta: float = 1.0,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of e^2 / (2 beta) for |e| < beta, |e| - beta / 2 beyond; e = out - target."""

def log_cosh_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of log(cosh(out - target))."""

def quantile_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of max(q e, (q - 1) e) for each quantile q; e = target - out.

    There are q k outputs for k targets and q quantiles: first the k outputs of the first quantile,
    then those of the second, and so on.
    """

def poisson_nll_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-08,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of exp(out) - target out, or out - target log(out + eps)."""

def poisson_deviance_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of target log(target / exp(out)) - target + exp(out)."""

def gaussian_nll_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    full: bool = False,
    eps: float = 1e-06,
    log_variance: bool = True,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all targets of (log(var) + (mean - target)^2 / var) / 2, var at least eps.

    There are 2 k outputs for k targets: first the k means, then the k variances or their
    logarithms.
    """

def cross_entropy(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    weight: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over rows of log(sum_j exp(out_j)) - out_label."""

def nll_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    weight: Sequence[float] | None = None,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over rows of -out_label.

    Outputs are logarithms of probabilities: a LogSoftmax ends the network.
    """

def kl_div_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    log_target: bool = False,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of target (log(target) - out), or exp(target) (target - out).

    Outputs are logarithms of probabilities: a LogSoftmax ends the network.
    """

def bce_with_logits(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    pos_weight: Sequence[float] | None = None,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of log(1 + exp(out)) - target out."""

def bce_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of -target log(out) - (1 - target) log(1 - out)."""

def focal_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    gamma: float = 2.0,
    alpha: float = 0.25,
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of weight (1 - p)^gamma (-log(p)), p the probability of the target."""

def hinge_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of max(0, 1 - target out).

    A target of 0 counts as -1, so classes 0 and 1 are targets as well.
    """

def squared_hinge_loss(
    out: ArrayLike,
    target: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    reduction: Literal["mean", "sum", "batchmean"] = "mean",
    dout: Array | None = None,
) -> tuple[float, Array]:
    """Compute the mean over all elements of max(0, 1 - target out)^2.

    A target of 0 counts as -1, so classes 0 and 1 are targets as well.
    """

def sgd_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState | None = None,
    *,
    lr: float = 0.001,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    l1: float = 0.0,
    form: Literal["torch", "sklearn"] = "torch",
) -> None:
    """Make one step in place: w -= lr v, v = momentum v + (1 - dampening) g."""

def sgd_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `sgd_step_`: zeros for each parameter.

    With its defaults it remembers nothing. A step that needs more adds zeros.
    """

def adam_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
    decoupled_weight_decay: bool = False,
    form: Literal["torch", "sklearn"] = "torch",
    l1: float = 0.0,
) -> None:
    """Make one step in place: w -= lr m / (sqrt(v) + eps), m and v bias-corrected means of g and g^2."""

def adam_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `adam_step_`: zeros for each parameter.

    With its defaults it remembers `exp_avg` and `exp_avg_sq`. A step that needs more adds zeros.
    """

def adamw_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-08,
    weight_decay: float = 0.01,
    amsgrad: bool = False,
    l1: float = 0.0,
) -> None:
    """Make one step in place: w *= 1 - lr weight_decay, then as adam."""

def adamw_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `adamw_step_`: zeros for each parameter.

    With its defaults it remembers `exp_avg` and `exp_avg_sq`. A step that needs more adds zeros.
    """

def rmsprop_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.01,
    alpha: float = 0.99,
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    centered: bool = False,
    l1: float = 0.0,
) -> None:
    """Make one step in place: w -= lr g / (sqrt(v) + eps), v a mean of g^2."""

def rmsprop_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `rmsprop_step_`: zeros for each parameter.

    With its defaults it remembers `square_avg`. A step that needs more adds zeros.
    """

def adagrad_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.01,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0,
    eps: float = 1e-10,
    l1: float = 0.0,
) -> None:
    """Make one step in place: w -= lr g / (sqrt(s) + eps), s the sum of g^2."""

def adagrad_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `adagrad_step_`: zeros for each parameter.

    With its defaults it remembers `sum`. A step that needs more adds zeros.
    """

def adadelta_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-06,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Make one step in place: w -= lr d, d = g sqrt(a + eps) / sqrt(v + eps), v and a means of g^2 and d^2."""

def adadelta_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `adadelta_step_`: zeros for each parameter.

    With its defaults it remembers `square_avg` and `acc_delta`. A step that needs more adds zeros.
    """

def adamax_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.002,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Make one step in place: w -= lr m / u, m a bias-corrected mean of g, u the largest |g| with decay."""

def adamax_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `adamax_step_`: zeros for each parameter.

    With its defaults it remembers `exp_avg` and `exp_inf`. A step that needs more adds zeros.
    """

def nadam_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.002,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    momentum_decay: float = 0.004,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
) -> None:
    """Make one step in place: as adam, with Nesterov's look-ahead in m."""

def nadam_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `nadam_step_`: zeros for each parameter.

    With its defaults it remembers `exp_avg` and `exp_avg_sq`. A step that needs more adds zeros.
    """

def radam_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.001,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-08,
    weight_decay: float = 0.0,
    decoupled_weight_decay: bool = False,
    l1: float = 0.0,
) -> None:
    """Make one step in place: as adam, with steps that are rectified while v has few terms."""

def radam_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `radam_step_`: zeros for each parameter.

    With its defaults it remembers `exp_avg` and `exp_avg_sq`. A step that needs more adds zeros.
    """

def lion_step_(
    params: Arrays,
    grads: ArrayLike | Sequence[ArrayLike],
    state: OptimizerState,
    *,
    lr: float = 0.0001,
    betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
    l1: float = 0.0,
) -> None:
    """Make one step in place: w *= 1 - lr weight_decay, then w -= lr sign(m), m a mean of g."""

def lion_state(
    params: Arrays,
) -> OptimizerState:
    """Make the state of `lion_step_`: zeros for each parameter.

    With its defaults it remembers `exp_avg`. A step that needs more adds zeros.
    """

def ema_(
    averages: Arrays,
    params: ArrayLike | Sequence[ArrayLike],
    n: int,
    *,
    decay: float = 0.999,
    bias_correction: bool = False,
    warmup: bool = False,
) -> None:
    """Add parameters to their averages in place: average = decay average + (1 - decay) w, in the first update w.

    It is what ``compile(average=...)`` does after each update.
    """

def swa_(
    averages: Arrays,
    params: ArrayLike | Sequence[ArrayLike],
    n: int,
) -> None:
    """Add parameters to their averages in place: the mean of w after the updates that count.

    It is what ``compile(average=...)`` does after each update.
    """
