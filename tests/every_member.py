# SPDX-License-Identifier: BSD-3-Clause
# written by tools/stubs.py from the registries of the core; do not edit
"""Uses every member once; mypy compares it with the stubs.

It is over 450 lines long because it has one for each argument.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fastnn.functional as F
from fastnn import metrics, nn, optim
from fastnn.functional import OptimizerState
from fastnn.optim import lr_scheduler

x: NDArray[Any] = np.array([0.25, 0.75])
assert_type(nn.Identity(), nn.Identity)
assert_type(nn.ReLU(), nn.ReLU)
assert_type(
    nn.LeakyReLU(
        negative_slope=0.01,
    ),
    nn.LeakyReLU,
)
assert_type(
    nn.ELU(
        alpha=1.0,
    ),
    nn.ELU,
)
assert_type(nn.SELU(), nn.SELU)
assert_type(
    nn.CELU(
        alpha=1.0,
    ),
    nn.CELU,
)
assert_type(nn.Tanh(), nn.Tanh)
assert_type(nn.Sigmoid(), nn.Sigmoid)
assert_type(
    nn.Softplus(
        beta=1.0,
        threshold=20.0,
    ),
    nn.Softplus,
)
assert_type(
    nn.GELU(
        approximate="none",
    ),
    nn.GELU,
)
assert_type(nn.SiLU(), nn.SiLU)
assert_type(nn.Mish(), nn.Mish)
assert_type(nn.ReLU6(), nn.ReLU6)
assert_type(
    nn.Hardtanh(
        min_val=-1.0,
        max_val=1.0,
    ),
    nn.Hardtanh,
)
assert_type(nn.Hardsigmoid(), nn.Hardsigmoid)
assert_type(nn.Hardswish(), nn.Hardswish)
assert_type(nn.Softsign(), nn.Softsign)
assert_type(nn.LogSigmoid(), nn.LogSigmoid)
assert_type(nn.Exp(), nn.Exp)
assert_type(nn.Step(), nn.Step)
assert_type(nn.Softmax(), nn.Softmax)
assert_type(nn.LogSoftmax(), nn.LogSoftmax)
assert_type(
    nn.MSELoss(
        reduction="mean",
    ),
    nn.MSELoss,
)
assert_type(
    nn.HalfMSELoss(
        reduction="mean",
    ),
    nn.HalfMSELoss,
)
assert_type(
    nn.L1Loss(
        reduction="mean",
    ),
    nn.L1Loss,
)
assert_type(
    nn.HuberLoss(
        reduction="mean",
        delta=1.0,
    ),
    nn.HuberLoss,
)
assert_type(
    nn.SmoothL1Loss(
        reduction="mean",
        beta=1.0,
    ),
    nn.SmoothL1Loss,
)
assert_type(
    nn.LogCoshLoss(
        reduction="mean",
    ),
    nn.LogCoshLoss,
)
assert_type(
    nn.QuantileLoss(
        reduction="mean",
        quantiles=(0.1, 0.5, 0.9),
    ),
    nn.QuantileLoss,
)
assert_type(
    nn.PoissonNLLLoss(
        reduction="mean",
        log_input=True,
        full=False,
        eps=1e-08,
    ),
    nn.PoissonNLLLoss,
)
assert_type(
    nn.PoissonDevianceLoss(
        reduction="mean",
    ),
    nn.PoissonDevianceLoss,
)
assert_type(
    nn.GaussianNLLLoss(
        reduction="mean",
        full=False,
        eps=1e-06,
        log_variance=True,
    ),
    nn.GaussianNLLLoss,
)
assert_type(
    nn.CrossEntropyLoss(
        reduction="mean",
        weight=None,
        label_smoothing=0.0,
    ),
    nn.CrossEntropyLoss,
)
assert_type(
    nn.NLLLoss(
        reduction="mean",
        weight=None,
    ),
    nn.NLLLoss,
)
assert_type(
    nn.KLDivLoss(
        reduction="mean",
        log_target=False,
    ),
    nn.KLDivLoss,
)
assert_type(
    nn.BCEWithLogitsLoss(
        reduction="mean",
        pos_weight=None,
    ),
    nn.BCEWithLogitsLoss,
)
assert_type(
    nn.BCELoss(
        reduction="mean",
    ),
    nn.BCELoss,
)
assert_type(
    nn.FocalLoss(
        reduction="mean",
        gamma=2.0,
        alpha=0.25,
    ),
    nn.FocalLoss,
)
assert_type(
    nn.HingeLoss(
        reduction="mean",
    ),
    nn.HingeLoss,
)
assert_type(
    nn.SquaredHingeLoss(
        reduction="mean",
    ),
    nn.SquaredHingeLoss,
)
assert_type(nn.init.Default(), nn.init.Default)
assert_type(
    nn.init.XavierUniform(
        gain=1.0,
    ),
    nn.init.XavierUniform,
)
assert_type(
    nn.init.XavierNormal(
        gain=1.0,
    ),
    nn.init.XavierNormal,
)
assert_type(
    nn.init.KaimingUniform(
        a=0.0,
        mode="fan_in",
        nonlinearity="leaky_relu",
    ),
    nn.init.KaimingUniform,
)
assert_type(
    nn.init.KaimingNormal(
        a=0.0,
        mode="fan_in",
        nonlinearity="leaky_relu",
    ),
    nn.init.KaimingNormal,
)
assert_type(nn.init.LecunUniform(), nn.init.LecunUniform)
assert_type(nn.init.LecunNormal(), nn.init.LecunNormal)
assert_type(
    nn.init.Sklearn(
        activation="relu",
    ),
    nn.init.Sklearn,
)
assert_type(
    nn.init.Orthogonal(
        gain=1.0,
    ),
    nn.init.Orthogonal,
)
assert_type(
    nn.init.Normal(
        mean=0.0,
        std=1.0,
    ),
    nn.init.Normal,
)
assert_type(
    nn.init.Uniform(
        a=0.0,
        b=1.0,
    ),
    nn.init.Uniform,
)
assert_type(nn.init.Zeros(), nn.init.Zeros)
assert_type(nn.init.Ones(), nn.init.Ones)
assert_type(
    nn.init.Constant(
        val=0.0,
    ),
    nn.init.Constant,
)
assert_type(
    optim.SGD(
        lr=0.001,
        momentum=0.0,
        dampening=0.0,
        weight_decay=0.0,
        nesterov=False,
        l1=0.0,
        form="torch",
    ),
    optim.SGD,
)
assert_type(
    optim.Adam(
        lr=0.001,
        betas=(0.9, 0.999),
        eps=1e-08,
        weight_decay=0.0,
        amsgrad=False,
        decoupled_weight_decay=False,
        form="torch",
        l1=0.0,
    ),
    optim.Adam,
)
assert_type(
    optim.AdamW(
        lr=0.001,
        betas=(0.9, 0.999),
        eps=1e-08,
        weight_decay=0.01,
        amsgrad=False,
        l1=0.0,
    ),
    optim.AdamW,
)
assert_type(
    optim.RMSprop(
        lr=0.01,
        alpha=0.99,
        eps=1e-08,
        weight_decay=0.0,
        momentum=0.0,
        centered=False,
        l1=0.0,
    ),
    optim.RMSprop,
)
assert_type(
    optim.Adagrad(
        lr=0.01,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        l1=0.0,
    ),
    optim.Adagrad,
)
assert_type(
    optim.Adadelta(
        lr=1.0,
        rho=0.9,
        eps=1e-06,
        weight_decay=0.0,
        l1=0.0,
    ),
    optim.Adadelta,
)
assert_type(
    optim.Adamax(
        lr=0.002,
        betas=(0.9, 0.999),
        eps=1e-08,
        weight_decay=0.0,
        l1=0.0,
    ),
    optim.Adamax,
)
assert_type(
    optim.NAdam(
        lr=0.002,
        betas=(0.9, 0.999),
        eps=1e-08,
        weight_decay=0.0,
        momentum_decay=0.004,
        decoupled_weight_decay=False,
        l1=0.0,
    ),
    optim.NAdam,
)
assert_type(
    optim.RAdam(
        lr=0.001,
        betas=(0.9, 0.999),
        eps=1e-08,
        weight_decay=0.0,
        decoupled_weight_decay=False,
        l1=0.0,
    ),
    optim.RAdam,
)
assert_type(
    optim.Lion(
        lr=0.0001,
        betas=(0.9, 0.99),
        weight_decay=0.0,
        l1=0.0,
    ),
    optim.Lion,
)
assert_type(
    optim.EMA(
        decay=0.999,
        bias_correction=False,
        warmup=False,
        start_epoch=0,
        start_step=0,
        every=1,
        unit="steps",
    ),
    optim.EMA,
)
assert_type(
    optim.SWA(
        start_epoch=0,
        start_step=0,
        every=1,
        unit="epochs",
    ),
    optim.SWA,
)
assert_type(
    lr_scheduler.ConstantLR(
        lr=None,
        factor=0.3333333333333333,
        total_iters=5,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.ConstantLR,
)
assert_type(
    lr_scheduler.StepLR(
        lr=None,
        step_size=30,
        gamma=0.1,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.StepLR,
)
assert_type(
    lr_scheduler.MultiStepLR(
        lr=None,
        milestones=(30.0, 80.0),
        gamma=0.1,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.MultiStepLR,
)
assert_type(
    lr_scheduler.ExponentialLR(
        lr=None,
        gamma=0.95,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.ExponentialLR,
)
assert_type(
    lr_scheduler.LinearLR(
        lr=None,
        start_factor=0.3333333333333333,
        end_factor=1.0,
        total_iters=5,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.LinearLR,
)
assert_type(
    lr_scheduler.PolynomialLR(
        lr=None,
        total_iters=None,
        power=1.0,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.PolynomialLR,
)
assert_type(
    lr_scheduler.CosineAnnealingLR(
        lr=None,
        T_max=None,
        eta_min=0.0,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.CosineAnnealingLR,
)
assert_type(
    lr_scheduler.CosineAnnealingWarmRestarts(
        lr=None,
        T_0=10,
        T_mult=1,
        eta_min=0.0,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.CosineAnnealingWarmRestarts,
)
assert_type(
    lr_scheduler.OneCycleLR(
        max_lr=None,
        total_steps=None,
        pct_start=0.3,
        anneal_strategy="cos",
        cycle_momentum=True,
        base_momentum=0.85,
        max_momentum=0.95,
        div_factor=25.0,
        final_div_factor=10000.0,
        three_phase=False,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.OneCycleLR,
)
assert_type(
    lr_scheduler.InverseSquareRootLR(
        lr=None,
        timescale=10000.0,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.InverseSquareRootLR,
)
assert_type(
    lr_scheduler.InvScalingLR(
        lr=None,
        power_t=0.5,
    ),
    lr_scheduler.InvScalingLR,
)
assert_type(
    lr_scheduler.AdaptiveLR(
        lr=None,
        tol=0.0001,
        n_iter_no_change=10,
        factor=5.0,
        min_lr=1e-06,
    ),
    lr_scheduler.AdaptiveLR,
)
assert_type(
    lr_scheduler.ArrayLR(
        values=(1.0,),
        lr=1.0,
        warmup=0,
        warmup_factor=0.3333333333333333,
        by="step",
    ),
    lr_scheduler.ArrayLR,
)
assert_type(metrics.Accuracy(), metrics.Accuracy)
assert_type(metrics.AUC(average="macro", multi_class="ovr"), metrics.AUC)
assert_type(metrics.AveragePrecision(average="macro"), metrics.AveragePrecision)
assert_type(metrics.ConfusionCounts(), metrics.ConfusionCounts)
assert_type(metrics.F1(average="auto", zero_division=0.0), metrics.F1)
assert_type(metrics.Hamming(), metrics.Hamming)
assert_type(metrics.LogLoss(), metrics.LogLoss)
assert_type(metrics.MAE(), metrics.MAE)
assert_type(metrics.MAPE(), metrics.MAPE)
assert_type(metrics.MSE(), metrics.MSE)
assert_type(metrics.Precision(average="auto", zero_division=0.0), metrics.Precision)
assert_type(metrics.R2(), metrics.R2)
assert_type(metrics.Recall(average="auto", zero_division=0.0), metrics.Recall)
assert_type(metrics.RMSE(), metrics.RMSE)
assert_type(metrics.TopK(k=5), metrics.TopK)
assert_type(F.identity(x), NDArray[Any])
assert_type(F.identity_backward(x, x), NDArray[Any])
assert_type(F.relu(x), NDArray[Any])
assert_type(F.relu_backward(x, x), NDArray[Any])
assert_type(F.leaky_relu(x), NDArray[Any])
assert_type(F.leaky_relu_backward(x, x), NDArray[Any])
assert_type(F.elu(x), NDArray[Any])
assert_type(F.elu_backward(x, x), NDArray[Any])
assert_type(F.selu(x), NDArray[Any])
assert_type(F.selu_backward(x, x), NDArray[Any])
assert_type(F.celu(x), NDArray[Any])
assert_type(F.celu_backward(x, x), NDArray[Any])
assert_type(F.tanh(x), NDArray[Any])
assert_type(F.tanh_backward(x, x), NDArray[Any])
assert_type(F.sigmoid(x), NDArray[Any])
assert_type(F.sigmoid_backward(x, x), NDArray[Any])
assert_type(F.softplus(x), NDArray[Any])
assert_type(F.softplus_backward(x, x), NDArray[Any])
assert_type(F.gelu(x), NDArray[Any])
assert_type(F.gelu_backward(x, x), NDArray[Any])
assert_type(F.silu(x), NDArray[Any])
assert_type(F.silu_backward(x, x), NDArray[Any])
assert_type(F.mish(x), NDArray[Any])
assert_type(F.mish_backward(x, x), NDArray[Any])
assert_type(F.relu6(x), NDArray[Any])
assert_type(F.relu6_backward(x, x), NDArray[Any])
assert_type(F.hardtanh(x), NDArray[Any])
assert_type(F.hardtanh_backward(x, x), NDArray[Any])
assert_type(F.hardsigmoid(x), NDArray[Any])
assert_type(F.hardsigmoid_backward(x, x), NDArray[Any])
assert_type(F.hardswish(x), NDArray[Any])
assert_type(F.hardswish_backward(x, x), NDArray[Any])
assert_type(F.softsign(x), NDArray[Any])
assert_type(F.softsign_backward(x, x), NDArray[Any])
assert_type(F.log_sigmoid(x), NDArray[Any])
assert_type(F.log_sigmoid_backward(x, x), NDArray[Any])
assert_type(F.exp(x), NDArray[Any])
assert_type(F.exp_backward(x, x), NDArray[Any])
assert_type(F.step(x), NDArray[Any])
assert_type(F.step_backward(x, x), NDArray[Any])
assert_type(F.softmax(x), NDArray[Any])
assert_type(F.softmax_backward(x, x), NDArray[Any])
assert_type(F.log_softmax(x), NDArray[Any])
assert_type(F.log_softmax_backward(x, x), NDArray[Any])
assert_type(F.dropout(x), NDArray[Any])
assert_type(F.dropout_backward(x, x), NDArray[Any])
assert_type(F.batch_norm(x), NDArray[Any])
assert_type(F.batch_norm_backward(x, x), tuple[NDArray[Any], NDArray[Any], NDArray[Any]])
assert_type(F.layer_norm(x), NDArray[Any])
assert_type(F.layer_norm_backward(x, x), tuple[NDArray[Any], NDArray[Any], NDArray[Any]])
assert_type(F.rms_norm(x), NDArray[Any])
assert_type(F.rms_norm_backward(x, x), tuple[NDArray[Any], NDArray[Any]])
assert_type(F.prelu(x), NDArray[Any])
assert_type(F.prelu_backward(x, x), tuple[NDArray[Any], NDArray[Any]])
assert_type(F.gaussian_noise(x), NDArray[Any])
assert_type(F.gaussian_noise_backward(x, x), NDArray[Any])
assert_type(F.mse_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.half_mse_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.l1_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.huber_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.smooth_l1_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.log_cosh_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.quantile_loss([[0.25, 0.5, 0.75]], [[0.5]]), tuple[float, NDArray[Any]])
assert_type(F.poisson_nll_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.poisson_deviance_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.gaussian_nll_loss([[0.25, 0.75]], [[0.5]]), tuple[float, NDArray[Any]])
assert_type(F.cross_entropy([[0.25, 0.75]], [1]), tuple[float, NDArray[Any]])
assert_type(F.nll_loss([[0.25, 0.75]], [1]), tuple[float, NDArray[Any]])
assert_type(F.kl_div_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.bce_with_logits([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.bce_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.focal_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.hinge_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
assert_type(F.squared_hinge_loss([[0.25, 0.75]], [[0.5, 1.0]]), tuple[float, NDArray[Any]])
F.sgd_step_([x], [x])
assert_type(F.sgd_state([x]), OptimizerState)
F.adam_step_([x], [x], F.adam_state([x]))
assert_type(F.adam_state([x]), OptimizerState)
F.adamw_step_([x], [x], F.adamw_state([x]))
assert_type(F.adamw_state([x]), OptimizerState)
F.rmsprop_step_([x], [x], F.rmsprop_state([x]))
assert_type(F.rmsprop_state([x]), OptimizerState)
F.adagrad_step_([x], [x], F.adagrad_state([x]))
assert_type(F.adagrad_state([x]), OptimizerState)
F.adadelta_step_([x], [x], F.adadelta_state([x]))
assert_type(F.adadelta_state([x]), OptimizerState)
F.adamax_step_([x], [x], F.adamax_state([x]))
assert_type(F.adamax_state([x]), OptimizerState)
F.nadam_step_([x], [x], F.nadam_state([x]))
assert_type(F.nadam_state([x]), OptimizerState)
F.radam_step_([x], [x], F.radam_state([x]))
assert_type(F.radam_state([x]), OptimizerState)
F.lion_step_([x], [x], F.lion_state([x]))
assert_type(F.lion_state([x]), OptimizerState)
F.ema_([x.copy()], [x], 1)
F.swa_([x.copy()], [x], 1)
