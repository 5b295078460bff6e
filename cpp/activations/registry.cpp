// The one list of activations: Python's classes, functions, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "activations/activation.h"
#include "activations/gelu.h"
#include "activations/identity.h"
#include "activations/leaky_relu.h"
#include "activations/relu.h"
#include "activations/sigmoid.h"
#include "activations/softplus.h"
#include "activations/tanh.h"

namespace fastnn::activations {

namespace {
constexpr Row kRows[] = {
    entry<Identity>("identity", "Identity", "z"),
    entry<Relu>("relu", "ReLU", "max(z, 0)"),
    entry<LeakyRelu>("leaky_relu", "LeakyReLU", "z if z > 0 else negative_slope z"),
    entry<Tanh>("tanh", "Tanh", "tanh(z)"),
    entry<Sigmoid>("sigmoid", "Sigmoid", "1 / (1 + exp(-z))"),
    entry<Softplus>("softplus", "Softplus", "log(1 + exp(beta z)) / beta, z where beta z > threshold"),
    entry<Gelu>("gelu", "GELU", "z Phi(z), Phi the normal distribution function"),
};
}  // namespace

Registry<Row> registry() { return {"activation", kRows}; }

}  // namespace fastnn::activations
