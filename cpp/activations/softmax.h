// softmax(z)_j = exp(z_j) / sum_k exp(z_k) over the columns of a row, with dz = a (dy - sum_k dy_k a_k).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "activations/activation.h"
#include "kernels/softmax.h"

namespace fastnn::activations {

template <class T>
struct Softmax {
  static constexpr Needs kNeeds = Needs::kOutput;
  static constexpr const char* kNote =
      "It takes whole rows. CrossEntropyLoss contains it: that loss takes outputs without it.";

  static void forward(ConstMatrix<T> z, Matrix<T> a) { kernels::softmax(z, a); }
  static void backward(ConstMatrix<T> a, Matrix<T> grad) { kernels::softmax_backward(a, grad); }
};

}  // namespace fastnn::activations
