// The one list of optimizers: Python's classes, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "optimizers/adadelta.h"
#include "optimizers/adagrad.h"
#include "optimizers/adam.h"
#include "optimizers/adamax.h"
#include "optimizers/adamw.h"
#include "optimizers/lion.h"
#include "optimizers/nadam.h"
#include "optimizers/optimizer.h"
#include "optimizers/radam.h"
#include "optimizers/rmsprop.h"
#include "optimizers/sgd.h"

namespace fastnn::optimizers {

namespace {
constexpr Row kRows[] = {
    entry<Sgd>("sgd", "SGD", "w -= lr v, v = momentum v + (1 - dampening) g"),
    entry<Adam>("adam", "Adam", "w -= lr m / (sqrt(v) + eps), m and v bias-corrected means of g and g^2"),
    entry<AdamW>("adamw", "AdamW", "w *= 1 - lr weight_decay, then as adam"),
    entry<Rmsprop>("rmsprop", "RMSprop", "w -= lr g / (sqrt(v) + eps), v a mean of g^2"),
    entry<Adagrad>("adagrad", "Adagrad", "w -= lr g / (sqrt(s) + eps), s the sum of g^2"),
    entry<Adadelta>("adadelta", "Adadelta",
                    "w -= lr d, d = g sqrt(a + eps) / sqrt(v + eps), v and a means of g^2 and d^2"),
    entry<Adamax>("adamax", "Adamax", "w -= lr m / u, m a bias-corrected mean of g, u the largest |g| with decay"),
    entry<NAdam>("nadam", "NAdam", "as adam, with Nesterov's look-ahead in m"),
    entry<RAdam>("radam", "RAdam", "as adam, with steps that are rectified while v has few terms"),
    entry<Lion>("lion", "Lion", "w *= 1 - lr weight_decay, then w -= lr sign(m), m a mean of g"),
};
}  // namespace

Registry<Row> registry() { return {"optimizer", kRows}; }

}  // namespace fastnn::optimizers
