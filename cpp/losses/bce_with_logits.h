// Binary cross-entropy of logits: l = max(z, 0) - z t + log(1 + exp(-|z|)), finite for all logits. predict applies
// the logistic function; an output is right if (z > 0) == (t > 1/2). pos_weight has a factor of each output for targets
// of 1: l = (1 - t) softplus(z) + pos_weight t softplus(-z).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "core/simd_math.h"
#include "losses/elementwise.h"
#include "losses/lists.h"

namespace fastnn::losses {

// What losses of logits of independent outputs have in common.
template <class T, class Member>
struct Logits : Elementwise<T, Member> {
  static constexpr Task kTask = Task::kBinary;
  static constexpr Interval kTargets{.lowest = 0, .highest = 1};
  static constexpr double kBoundary = 0;

  static Vec<T> entropy(Vec<T> z, Vec<T> t) { return (max(z, Vec<T>::zero()) - z * t) + log1p(exp(-abs(z))); }

  void link(T* out, Index k) const {
    for (Index c = 0; c < k; c += Vec<T>::kLanes) sigmoid(Vec<T>::load(out + c)).store(out + c);
    std::fill(out + k, out + padded<T>(k), T(0));
  }
  void link_backward(const T* p, T* grad, Index k) const {
    const auto one = Vec<T>::set(1);
    for (Index c = 0; c < k; c += Vec<T>::kLanes) {
      const auto s = Vec<T>::load(p + c);
      (Vec<T>::load(grad + c) * (s * (one - s))).store(grad + c);
    }
  }
  double right(const T* out, const T* target, std::int32_t, Index k) const {
    return right_side(out, target, k, T(kBoundary));
  }
};

struct BceWithLogitsParams {
  Reduction reduction = Reduction::kMean;
  Reals pos_weight;
};

template <class T>
struct BceWithLogits : Logits<T, BceWithLogits<T>> {
  using Params = BceWithLogitsParams;
  static constexpr std::array kFields{
      kReductionOverOutputs<Params>,
      field<&Params::pos_weight>("pos_weight", at_least(0), kPerOutput, "factor of each output for targets of 1",
                                 tries(3, 0.5, 1.5))};
  explicit BceWithLogits(const Params& p) : pos_weight(p.pos_weight) {}

  Vec<T> value(Vec<T> z, Vec<T> t) const { return this->entropy(z, t); }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const { return sigmoid(z) - t; }

  double row(const T* out, const T* target, std::int32_t label, Index k, T scale, T* dout) const {
    if (pos_weight.empty()) return Elementwise<T, BceWithLogits>::row(out, target, label, k, scale, dout);
    return Weighted{{}, pos_weight}.row(out, target, label, k, scale, dout);
  }

  Reals pos_weight;

 private:
  struct Weighted : Elementwise<T, Weighted> {
    Reals of_ones;
    Vec<T> value(Vec<T> z, Vec<T> t, Index c) const {
      const auto one = Vec<T>::set(1), zero = Vec<T>::zero(), rest = log1p(exp(-abs(z)));
      return (one - t) * (max(z, zero) + rest) + lanes_of<T>(of_ones, c) * t * (max(-z, zero) + rest);
    }
    Vec<T> gradient(Vec<T> z, Vec<T> t, Index c) const {
      const auto [s, r] = sigmoid_sides(z);
      return (Vec<T>::set(1) - t) * s - lanes_of<T>(of_ones, c) * t * r;
    }
  };
};

}  // namespace fastnn::losses
