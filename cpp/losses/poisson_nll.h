// Negative log-likelihood of counts t under a Poisson distribution of rate r: r - t log(r), without the terms of t
// alone. The output is log(r), or r itself with log_input=False, where eps keeps the logarithm finite. full adds
// Stirling's approximation of log(t!), t log(t) - t + log(2 pi t) / 2 for t > 1, as torch does. predict gives the rate.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "core/simd_math.h"
#include "losses/elementwise.h"
#include "losses/exp_link.h"

namespace fastnn::losses {

struct PoissonNllParams {
  Reduction reduction = Reduction::kMean;
  bool log_input = true, full = false;
  double eps = 1e-8;
};

template <class T>
struct PoissonNll : Elementwise<T, PoissonNll<T>> {
  using Params = PoissonNllParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::log_input>("log_input", "outputs are logarithms of rates instead of rates"),
      field<&Params::full>("full", "add Stirling's approximation of log(target!)"),
      field<&Params::eps>("eps", above(0), "added to a rate before its logarithm is taken", tries(1e-3))};
  static constexpr Interval kTargets{.lowest = 0};
  static constexpr const char* kPredicts = "the rates";
  static constexpr const char* kOutputsRemedy =
      "rates cannot be negative (a Softplus or Exp at the end of the network, or log_input=True)";
  static Interval outputs(const Params& p) { return p.log_input ? kAnyNumber : at_least(0); }
  explicit PoissonNll(const Params& p) : is_log(p.log_input), full(p.full), eps(Vec<T>::set(static_cast<T>(p.eps))) {}

  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto likelihood = is_log ? exp(z) - t * z : z - t * log(z + eps);
    return full ? likelihood + stirling(t) : likelihood;
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return is_log ? exp(z) - t : Vec<T>::set(1) - t / (z + eps); }

  void link(T* out, Index k) const {
    if (!is_log) return;
    for (Index c = 0; c < k; c += Vec<T>::kLanes) exp(Vec<T>::load(out + c)).store(out + c);
    std::fill(out + k, out + padded<T>(k), T(0));
  }
  void link_backward(const T* p, T* grad, Index k) const {
    if (is_log) exp_link_backward(p, grad, k);
  }

  bool is_log, full;
  Vec<T> eps;

 private:
  static Vec<T> stirling(Vec<T> t) {
    const auto one = Vec<T>::set(1), half = Vec<T>::set(T(0.5));
    const auto most = max(t, one);  // NaN stays NaN
    const auto terms = (most * log(most) - most) + half * log(Vec<T>::set(static_cast<T>(6.283185307179586477)) * most);
    return select(at_most(t, one), Vec<T>::zero(), terms);
  }
};

}  // namespace fastnn::losses
