// The one list of losses: Python's classes, functions, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "losses/bce.h"
#include "losses/bce_with_logits.h"
#include "losses/cross_entropy.h"
#include "losses/focal.h"
#include "losses/gaussian_nll.h"
#include "losses/half_mse.h"
#include "losses/hinge.h"
#include "losses/huber.h"
#include "losses/kl_div.h"
#include "losses/l1.h"
#include "losses/log_cosh.h"
#include "losses/loss.h"
#include "losses/mse.h"
#include "losses/nll.h"
#include "losses/own.h"
#include "losses/poisson_deviance.h"
#include "losses/poisson_nll.h"
#include "losses/quantile.h"
#include "losses/smooth_l1.h"

namespace fastnn::losses {

namespace {
constexpr Row kRows[] = {
    entry<Mse>("mse", "MSELoss", "(out - target)^2"),
    entry<HalfMse>("half_mse", "HalfMSELoss", "(out - target)^2 / 2"),
    entry<L1>("l1", "L1Loss", "|out - target|"),
    entry<Huber>("huber", "HuberLoss", "e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond; e = out - target"),
    entry<SmoothL1>("smooth_l1", "SmoothL1Loss",
                    "e^2 / (2 beta) for |e| < beta, |e| - beta / 2 beyond; e = out - target"),
    entry<LogCosh>("log_cosh", "LogCoshLoss", "log(cosh(out - target))"),
    entry<Quantile>("quantile", "QuantileLoss", "max(q e, (q - 1) e) for each quantile q; e = target - out"),
    entry<PoissonNll>("poisson_nll", "PoissonNLLLoss", "exp(out) - target out, or out - target log(out + eps)"),
    entry<PoissonDeviance>("poisson_deviance", "PoissonDevianceLoss",
                           "target log(target / exp(out)) - target + exp(out)"),
    entry<GaussianNll>("gaussian_nll", "GaussianNLLLoss", "(log(var) + (mean - target)^2 / var) / 2, var at least eps"),
    entry<CrossEntropy>("cross_entropy", "CrossEntropyLoss", "log(sum_j exp(out_j)) - out_label"),
    entry<Nll>("nll", "NLLLoss", "-out_label"),
    entry<KlDiv>("kl_div", "KLDivLoss", "target (log(target) - out), or exp(target) (target - out)"),
    entry<BceWithLogits>("bce_with_logits", "BCEWithLogitsLoss", "log(1 + exp(out)) - target out"),
    entry<Bce>("bce", "BCELoss", "-target log(out) - (1 - target) log(1 - out)"),
    entry<Focal>("focal", "FocalLoss", "weight (1 - p)^gamma (-log(p)), p the probability of the target"),
    entry<Hinge>("hinge", "HingeLoss", "max(0, 1 - target out)"),
    entry<SquaredHinge>("squared_hinge", "SquaredHingeLoss", "max(0, 1 - target out)^2"),
};
constexpr Row kOwn = entry<Own>("", "a Python function", "computed by the caller");
}  // namespace

const Row& own() { return kOwn; }
Registry<Row> registry() { return {"loss", kRows}; }

}  // namespace fastnn::losses
