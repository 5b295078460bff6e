// gelu(z) = z Phi(z), Phi the normal distribution function; or torch's approximation of it with tanh.
// Both are written so that the left tail keeps its relative accuracy: nothing is computed as 1 + (almost -1).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>

#include "activations/activation.h"
#include "core/simd_math.h"

namespace fastnn::activations {

enum class Approximate { kNone, kTanh };
struct GeluParams {
  Approximate approximate = Approximate::kNone;
};

template <class T>
struct Gelu {
  using Params = GeluParams;
  static constexpr Needs kNeeds = Needs::kInput;
  static constexpr std::array kFields{field<&Params::approximate>("approximate", choices("none", "tanh"),
                                                                  "the exact form, or the approximation with tanh")};
  explicit Gelu(const Params& p) : exact(p.approximate == Approximate::kNone) {}

  Vec<T> f(Vec<T> z) const { return exact ? f_exact(z) : f_tanh(z); }
  Vec<T> df(Vec<T> z) const { return exact ? df_exact(z) : df_tanh(z); }

  // With x = |z| and Phi(-x) = exp(-x^2/2) M(x): max(z, 0) - x Phi(-x), whatever the sign of z.
  static Vec<T> f_exact(Vec<T> z) {
    const auto x = min(abs(z), Vec<T>::set(40));  // Phi(-40) is zero
    return max(z, Vec<T>::zero()) - exp_half_square(x) * (x * normal_tail(x));
  }
  // Phi(z) + z phi(z): for negative z it is h = exp(-x^2/2) (M(x) - x / sqrt(2 pi)), for positive z 1 - h.
  static Vec<T> df_exact(Vec<T> z) {
    const auto x = min(abs(z), Vec<T>::set(40));
    const auto density = Vec<T>::set(static_cast<T>(0.39894228040143267794)) * x;
    const auto h = exp_half_square(x) * (normal_tail(x) - density);
    return select(less(z, Vec<T>::zero()), h, Vec<T>::set(1) - h);
  }

  // (1 + tanh(u)) / 2 = sigmoid(2 u) with 2 u = z (kLinear + kCubic z^2): beyond |z| = 30 it is 0 or 1 in either dtype.
  static constexpr T kLinear = static_cast<T>(1.5957691216057308), kCubic = static_cast<T>(0.07135481627260025);
  static Vec<T> clipped(Vec<T> z) { return max(min(z, Vec<T>::set(30)), Vec<T>::set(-30)); }
  static Vec<T> argument(Vec<T> z) { return z * fma(Vec<T>::set(kCubic), z * z, Vec<T>::set(kLinear)); }
  static Vec<T> f_tanh(Vec<T> z) { return z * sigmoid(argument(clipped(z))); }
  // s + z s', s' = s(2u) s(-2u) (2u)': with both sides of the sigmoid, since 1 - s would lose the right tail.
  static Vec<T> df_tanh(Vec<T> z) {
    const auto x = clipped(z), u = argument(x);
    const auto [s, rest] = sigmoid_sides(u);
    const auto slope = x * fma(Vec<T>::set(3 * kCubic), x * x, Vec<T>::set(kLinear));
    return fma(s * rest, slope, s);
  }

  bool exact;
};

}  // namespace fastnn::activations
