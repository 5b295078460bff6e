// The one list of activations: Python's classes, functions, stubs, tests and tables are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#include "activations/activation.h"
#include "activations/celu.h"
#include "activations/elu.h"
#include "activations/exp.h"
#include "activations/gelu.h"
#include "activations/hardsigmoid.h"
#include "activations/hardswish.h"
#include "activations/hardtanh.h"
#include "activations/identity.h"
#include "activations/leaky_relu.h"
#include "activations/log_sigmoid.h"
#include "activations/log_softmax.h"
#include "activations/mish.h"
#include "activations/relu.h"
#include "activations/relu6.h"
#include "activations/selu.h"
#include "activations/sigmoid.h"
#include "activations/silu.h"
#include "activations/softmax.h"
#include "activations/softplus.h"
#include "activations/softsign.h"
#include "activations/step.h"
#include "activations/tanh.h"

namespace fastnn::activations {

namespace {
constexpr Row kRows[] = {
    entry<Identity>("identity", "Identity", "z"),
    entry<Relu>("relu", "ReLU", "max(z, 0)"),
    entry<LeakyRelu>("leaky_relu", "LeakyReLU", "z if z > 0 else negative_slope z"),
    entry<Elu>("elu", "ELU", "z if z > 0 else alpha (exp(z) - 1)"),
    entry<Selu>("selu", "SELU", "1.0507 (z if z > 0 else 1.6733 (exp(z) - 1))"),
    entry<Celu>("celu", "CELU", "z if z > 0 else alpha (exp(z / alpha) - 1)"),
    entry<Tanh>("tanh", "Tanh", "tanh(z)"),
    entry<Sigmoid>("sigmoid", "Sigmoid", "1 / (1 + exp(-z))"),
    entry<Softplus>("softplus", "Softplus", "log(1 + exp(beta z)) / beta, z where beta z > threshold"),
    entry<Gelu>("gelu", "GELU", "z Phi(z), Phi the normal distribution function"),
    entry<Silu>("silu", "SiLU", "z / (1 + exp(-z))"),
    entry<Mish>("mish", "Mish", "z tanh(log(1 + exp(z)))"),
    entry<Relu6>("relu6", "ReLU6", "min(max(z, 0), 6)"),
    entry<Hardtanh>("hardtanh", "Hardtanh", "min(max(z, min_val), max_val)"),
    entry<Hardsigmoid>("hardsigmoid", "Hardsigmoid", "min(max(z + 3, 0), 6) / 6"),
    entry<Hardswish>("hardswish", "Hardswish", "z min(max(z + 3, 0), 6) / 6"),
    entry<Softsign>("softsign", "Softsign", "z / (1 + |z|)"),
    entry<LogSigmoid>("log_sigmoid", "LogSigmoid", "-log(1 + exp(-z))"),
    entry<Exp>("exp", "Exp", "exp(z)"),
    entry<Step>("step", "Step", "1 if z >= 0 else 0"),
    entry<Softmax>("softmax", "Softmax", "exp(z_j) / sum_k exp(z_k)"),
    entry<LogSoftmax>("log_softmax", "LogSoftmax", "z_j - log(sum_k exp(z_k))"),
};
}  // namespace

Registry<Row> registry() { return {"activation", kRows}; }

}  // namespace fastnn::activations
