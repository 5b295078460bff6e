// The one list of losses: Python's classes, functions, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "losses/bce.h"
#include "losses/bce_with_logits.h"
#include "losses/cross_entropy.h"
#include "losses/half_mse.h"
#include "losses/huber.h"
#include "losses/l1.h"
#include "losses/loss.h"
#include "losses/mse.h"

namespace fastnn::losses {

namespace {
constexpr Row kRows[] = {
    entry<Mse>("mse", "MSELoss", "(out - target)^2"),
    entry<HalfMse>("half_mse", "HalfMSELoss", "(out - target)^2 / 2"),
    entry<L1>("l1", "L1Loss", "|out - target|"),
    entry<Huber>("huber", "HuberLoss", "e^2 / 2 for |e| <= delta, delta (|e| - delta / 2) beyond; e = out - target"),
    entry<CrossEntropy>("cross_entropy", "CrossEntropyLoss", "log(sum_j exp(out_j)) - out_label"),
    entry<BceWithLogits>("bce_with_logits", "BCEWithLogitsLoss", "log(1 + exp(out)) - target out"),
    entry<Bce>("bce", "BCELoss", "-target log(out) - (1 - target) log(1 - out)"),
};
}  // namespace

Registry<Row> registry() { return {"loss", kRows}; }

}  // namespace fastnn::losses
