// Kullback-Leibler divergence of targets from outputs that are log-probabilities: t (log(t) - out), 0 where t is 0;
// with log_target=True targets are logarithms as well, exp(t) (t - out). reduction="mean" is over all elements, as in
// torch, and "batchmean", which is the divergence of the distributions, over rows. predict gives probabilities.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "core/simd_math.h"
#include "losses/elementwise.h"
#include "losses/exp_link.h"

namespace fastnn::losses {

struct KlDivParams {
  Reduction reduction = Reduction::kMean;
  bool log_target = false;
};

template <class T>
struct KlDiv : Elementwise<T, KlDiv<T>> {
  using Params = KlDivParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::log_target>("log_target", "targets are logarithms of probabilities")};
  static constexpr const char* kPredicts = "the probabilities";
  static constexpr const char* kNote = "Outputs are logarithms of probabilities: a LogSoftmax ends the network.";
  static Interval targets(const Params& p) { return p.log_target ? kAnyNumber : at_least(0); }
  explicit KlDiv(const Params& p) : is_log(p.log_target) {}

  Vec<T> value(Vec<T> z, Vec<T> t) const {
    if (is_log) return exp(t) * (t - z);
    return select(less(Vec<T>::zero(), t), t * log(t), Vec<T>::zero()) - t * z;
  }
  Vec<T> gradient(Vec<T>, Vec<T> t) const { return is_log ? -exp(t) : -t; }

  void link(T* out, Index k) const {
    for (Index c = 0; c < k; c += Vec<T>::kLanes) exp(Vec<T>::load(out + c)).store(out + c);
    std::fill(out + k, out + padded<T>(k), T(0));
  }
  void link_backward(const T* p, T* grad, Index k) const { exp_link_backward(p, grad, k); }

  bool is_log;
};

}  // namespace fastnn::losses
