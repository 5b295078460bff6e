// Negative log-likelihood of targets under normal distributions whose means and variances are outputs: 2 k outputs for
// k targets, first the k means, then their k variances, or logarithms of variances with log_variance=True, the default.
//   l = (log(v) + (mean - t)^2 / v) / 2, v the variance or eps if it is smaller; full adds log(2 pi) / 2.
// As in torch, the gradient by the variance is that of the formula at v, also where v is eps. With s = log(variance)
// and m = max(s, log(eps)), 1 / v is exp(-m): neither tail overflows before the square of the error does.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "core/simd_math.h"
#include "losses/blocks.h"

namespace fastnn::losses {

struct GaussianNllParams {
  Reduction reduction = Reduction::kMean;
  bool full = false;
  double eps = 1e-6;
  bool log_variance = true;
};

template <class T>
struct GaussianNll {
  using Params = GaussianNllParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>, field<&Params::full>("full", "add log(2 pi) / 2"),
      field<&Params::eps>("eps", above(0), "smallest variance", tries(0.05)),
      field<&Params::log_variance>("log_variance", "outputs are logarithms of variances instead of variances")};
  static constexpr TargetKind kTarget = TargetKind::kDense;
  static constexpr Task kTask = Task::kRegression;
  static constexpr Mean kMean = Mean::kTargets;
  static constexpr const char* kPredicts = "the means, then the variances";
  static constexpr const char* kNote =
      "There are 2 k outputs for k targets: first the k means, then the k variances or their logarithms.";
  static constexpr const char* kOutputsRemedy =
      "variances cannot be negative (a Softplus or Exp at the end of the network, or log_variance=True)";
  static Index outputs_per_target(const Params&) { return 2; }
  static Interval outputs(const Params& p) { return p.log_variance ? kAnyNumber : at_least(0); }
  static Index first_bounded(const Params&, Index k) { return k / 2; }  // means are any numbers
  explicit GaussianNll(const Params& p)
      : is_log(p.log_variance),
        constant(Vec<T>::set(static_cast<T>(p.full ? 0.91893853320467274178 : 0))),
        eps(Vec<T>::set(static_cast<T>(p.eps))),
        log_eps(log(eps)) {}

  double row(const T* out, const T* target, std::int32_t, Index k, T scale, T* dout) const {
    const Index n = k / 2;
    const auto factor = Vec<T>::set(scale), half = Vec<T>::set(T(0.5)), one = Vec<T>::set(1), zero = Vec<T>::zero();
    kernels::LaneSum sum;
    Block<T> mean, spread, line;
    for (Index c = 0; c < n; c += kPad<T>) {
      mean.read(out, c, n), spread.read(out + n, c, n);
      for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes) {
        const auto e = mean.at(j) - Vec<T>::loadu(target + c + j), s = spread.at(j);
        const auto most = is_log ? max(s, log_eps) : max(s, eps);
        const auto inverse = is_log ? exp(-most) : one / most, square = e * e * inverse;
        const auto value = half * ((is_log ? most : log(most)) + square) + constant;
        const auto counts = inside<T>(c + j, n);
        line.set(j, select(counts, value, zero));
        if (!dout) continue;
        const auto slope = half * (one - square) * (is_log ? exp(min(s - log_eps, zero)) : inverse);
        mean.set(j, factor * (e * inverse)), spread.set(j, factor * slope);
      }
      sum.add(line.data(), kPad<T>);
      if (dout) mean.write(dout, c, n), spread.write(dout + n, c, n);
    }
    if (dout) std::fill(dout + k, dout + padded<T>(k), T(0));
    return sum.total();
  }
  void link(T* out, Index k) const {
    if (!is_log) return;
    Block<T> spread;
    for (Index c = 0; c < k / 2; c += kPad<T>) {
      spread.read(out + k / 2, c, k / 2);
      for (Index j = 0; j < kPad<T>; j += Vec<T>::kLanes) spread.set(j, exp(spread.at(j)));
      spread.write(out + k / 2, c, k / 2);
    }
  }
  void link_backward(const T* p, T* grad, Index k) const {
    for (Index c = k / 2; is_log && c < k; ++c) grad[c] *= p[c];
  }
  double right(const T*, const T*, std::int32_t, Index) const { return 0; }

  bool is_log;
  Vec<T> constant, eps, log_eps;
};

}  // namespace fastnn::losses
