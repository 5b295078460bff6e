// The one list of optimizers: Python's classes, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "optimizers/adam.h"
#include "optimizers/adamw.h"
#include "optimizers/optimizer.h"
#include "optimizers/rmsprop.h"
#include "optimizers/sgd.h"

namespace fastnn::optimizers {

namespace {
constexpr Row kRows[] = {
    entry<Sgd>("sgd", "SGD", "w -= lr v, v = momentum v + (1 - dampening) g"),
    entry<Adam>("adam", "Adam", "w -= lr m / (sqrt(v) + eps), m and v bias-corrected means of g and g^2"),
    entry<AdamW>("adamw", "AdamW", "w *= 1 - lr weight_decay, then as adam"),
    entry<Rmsprop>("rmsprop", "RMSprop", "w -= lr g / (sqrt(v) + eps), v a mean of g^2"),
};
}  // namespace

Registry<Row> registry() { return {"optimizer", kRows}; }

}  // namespace fastnn::optimizers
