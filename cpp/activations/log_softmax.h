// log_softmax(z)_j = z_j - log(sum_k exp(z_k)) over the columns of a row, with dz = dy - exp(a) sum_k dy_k.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "kernels/softmax.h"

namespace fastnn::activations {

template <class T>
struct LogSoftmax {
  static constexpr Needs kNeeds = Needs::kOutput;
  static constexpr const char* kNote =
      "It takes whole rows. NLLLoss takes such outputs; CrossEntropyLoss contains it and takes outputs without it.";

  static void forward(ConstMatrix<T> z, Matrix<T> a) { kernels::log_softmax(z, a); }
  static void backward(ConstMatrix<T> a, Matrix<T> grad) { kernels::log_softmax_backward(a, grad); }
};

}  // namespace fastnn::activations
