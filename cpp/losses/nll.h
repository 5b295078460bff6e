// Negative log-likelihood of a class index, from outputs that are log-probabilities: l = -weight_label out_label.
// predict gives probabilities; a row is right if the label is the index of its first largest output.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "core/simd_math.h"
#include "losses/classes.h"
#include "losses/exp_link.h"

namespace fastnn::losses {

struct NllParams {
  Reduction reduction = Reduction::kMean;
  Reals weight;
};

template <class T>
struct Nll {
  using Params = NllParams;
  static constexpr std::array kFields{kReduction<Params>, kClassWeights<Params>};
  static constexpr TargetKind kTarget = TargetKind::kClass;
  static constexpr Task kTask = Task::kMulticlass;
  static constexpr Mean kMean = Mean::kRows;
  static constexpr const char* kNote = "Outputs are logarithms of probabilities: a LogSoftmax ends the network.";
  static Reals class_weights(const Params& p) { return p.weight; }
  explicit Nll(const Params& p) : weight(p.weight) {}

  double row(const T* out, const T*, std::int32_t label, Index k, T scale, T* dout) const {
    const double its = weight.empty() ? 1 : weight.data[label];
    if (dout) {
      std::fill_n(dout, padded<T>(k), T(0));
      dout[label] = -scale * static_cast<T>(its);
    }
    return -its * static_cast<double>(out[label]);
  }
  void link(T* out, Index k) const {
    for (Index c = 0; c < k; c += Vec<T>::kLanes) exp(Vec<T>::load(out + c)).store(out + c);
    std::fill(out + k, out + padded<T>(k), T(0));
  }
  void link_backward(const T* p, T* grad, Index k) const { exp_link_backward(p, grad, k); }
  double right(ConstMatrix<T> out, const Targets<T>& targets, const T* weights) const {
    return right_classes(out, targets, weights);
  }

  Reals weight;
};

}  // namespace fastnn::losses
