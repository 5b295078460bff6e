// The one list of schedules: Python's classes, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "schedules/adaptive.h"
#include "schedules/array.h"
#include "schedules/constant.h"
#include "schedules/cosine_annealing.h"
#include "schedules/cosine_restarts.h"
#include "schedules/exponential.h"
#include "schedules/inv_scaling.h"
#include "schedules/inverse_square_root.h"
#include "schedules/linear.h"
#include "schedules/multi_step.h"
#include "schedules/one_cycle.h"
#include "schedules/polynomial.h"
#include "schedules/schedule.h"
#include "schedules/step.h"

namespace fastnn::schedules {

namespace {
constexpr Row kRows[] = {
    entry<Constant>("constant_lr", "ConstantLR", "rate = lr factor for t < total_iters, then lr"),
    entry<Step>("step_lr", "StepLR", "rate = lr gamma^floor(t / step_size)"),
    entry<MultiStep>("multi_step_lr", "MultiStepLR", "rate = lr gamma^k, k the number of milestones <= t"),
    entry<Exponential>("exponential_lr", "ExponentialLR", "rate = lr gamma^t"),
    entry<Linear>("linear_lr", "LinearLR",
                  "rate = lr (start_factor + (end_factor - start_factor) t / total_iters), t at most total_iters"),
    entry<Polynomial>("polynomial_lr", "PolynomialLR", "rate = lr (1 - t / total_iters)^power, then 0"),
    entry<CosineAnnealing>("cosine_annealing_lr", "CosineAnnealingLR",
                           "rate = eta_min + (lr - eta_min) (1 + cos(pi t / T_max)) / 2"),
    entry<CosineRestarts>(
        "cosine_annealing_warm_restarts", "CosineAnnealingWarmRestarts",
        "rate = eta_min + (lr - eta_min) (1 + cos(pi s / T)) / 2, s the time since the last restart, T the "
        "time between two"),
    entry<OneCycle>("one_cycle_lr", "OneCycleLR",
                    "rate: up from max_lr / div_factor to max_lr, down to max_lr / (div_factor final_div_factor)"),
    entry<InverseSquareRoot>("inverse_square_root_lr", "InverseSquareRootLR", "rate = lr / sqrt(1 + t / timescale)"),
    entry<InvScaling>("inv_scaling_lr", "InvScalingLR",
                      "rate = lr / (n + 1)^power_t, n the rows trained on before the present epoch"),
    entry<Adaptive>("adaptive_lr", "AdaptiveLR",
                    "rate = lr, divided by factor whenever the training loss stays where it is"),
    entry<Array>("array_lr", "ArrayLR", "rate = lr values[t], then the last of them"),
};
}  // namespace

Registry<Row> registry() { return {"schedule", kRows}; }

}  // namespace fastnn::schedules
