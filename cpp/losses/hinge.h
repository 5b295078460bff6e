// Hinge losses of a score z and a target of -1 or 1: max(0, 1 - t z), or its square. A target of 0 counts as -1, so
// classes 0 and 1 are targets as well. A score above 0 says yes; where t z = 1 the gradient is 0.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "losses/elementwise.h"

namespace fastnn::losses {

template <class T, class Member>
struct Margin : Elementwise<T, Member> {
  static constexpr Task kTask = Task::kBinary;
  static constexpr Interval kTargets{.lowest = -1, .highest = 1};
  static constexpr double kBoundary = 0;
  static constexpr const char* kPredicts = "the scores: above 0 is yes";
  static constexpr const char* kNote = "A target of 0 counts as -1, so classes 0 and 1 are targets as well.";

  double right(const T* out, const T* target, std::int32_t, Index k) const {
    return right_side(out, target, k, T(kBoundary));
  }

  static Vec<T> sign(Vec<T> t) { return select(less(abs(t), Vec<T>::set(std::numeric_limits<T>::min())), -one(), t); }
  // 1 - t z where it is positive, and 0 elsewhere; NaN stays NaN.
  static Vec<T> missing(Vec<T> z, Vec<T> sign) { return max(one() - sign * z, Vec<T>::zero()); }
  static Vec<T> one() { return Vec<T>::set(1); }
};

template <class T>
struct Hinge : Margin<T, Hinge<T>> {
  Vec<T> value(Vec<T> z, Vec<T> t) const { return this->missing(z, this->sign(t)); }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const {
    const auto zero = Vec<T>::zero(), side = this->sign(t), gap = this->missing(z, side);
    return select(less(zero, gap), -side, gap);
  }
};

template <class T>
struct SquaredHinge : Margin<T, SquaredHinge<T>> {
  Vec<T> value(Vec<T> z, Vec<T> t) const {
    const auto gap = this->missing(z, this->sign(t));
    return gap * gap;
  }
  Vec<T> gradient(Vec<T> z, Vec<T> t) const {
    const auto side = this->sign(t);
    return Vec<T>::set(-2) * side * this->missing(z, side);
  }
};

}  // namespace fastnn::losses
