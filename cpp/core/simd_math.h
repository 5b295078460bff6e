// Functions on vectors that Eigen's packets lack, accurate to a few ulp in relative terms, tails included.
// They are written without relying on fma for exactness, so every instruction-set level has the same accuracy.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <limits>

#include "core/simd.h"

namespace fastnn {

// log(1 + x) for x >= -1; -inf at -1. The second term gives back what rounding 1 + x lost.
template <class T>
Vec<T> log1p(Vec<T> x) {
  const auto one = Vec<T>::set(1);
  const auto u = one + x;
  return log(u) + (x - (u - one)) / max(u, Vec<T>::set(std::numeric_limits<T>::min()));
}

// 1 / (1 + exp(-x)), relatively accurate in both tails: exp never sees a positive argument.
template <class T>
Vec<T> sigmoid(Vec<T> x) {
  const auto one = Vec<T>::set(1);
  const auto e = exp(-abs(x));
  return select(less(x, Vec<T>::zero()), e, one) / (one + e);
}

// exp(-x^2 / 2) for 0 <= x <= 40. Rounding x^2 would cost x^2 / 2 ulp, so x is split: the square of its upper half is
// exact, and the rest is small enough for a short series.
template <class T>
Vec<T> exp_half_square(Vec<T> x) {
  const auto half = Vec<T>::set(T(0.5)), one = Vec<T>::set(1);
  const auto shifted = x * Vec<T>::set(sizeof(T) == sizeof(float) ? T(0x1p12 + 1) : T(0x1p27 + 1));
  const auto upper = shifted - (shifted - x);
  const auto rest = half * ((upper - x) * (upper + x));  // -(x^2 - upper^2) / 2
  const auto series = fma(fma(Vec<T>::set(T(1) / 24), rest, Vec<T>::set(T(1) / 6)), rest, half);
  return exp(-(half * upper * upper)) * fma(rest * rest, series, one + rest);
}

namespace detail {
// (1 + x) M(x), M(x) = exp(x^2 / 2) Phi(-x), as a polynomial in (x - c) / (x + c), lowest power first: interpolated at
// Chebyshev nodes in 60 digits. Relative errors 2.4e-9 (c = 4, x <= 14.5) and 1.4e-17 (c = 5, x <= 38.7); beyond that
// Phi(-x) is zero.
inline constexpr std::array kTailFloat{0.472053206f,    -0.0967034679f,   0.0139996304f,   0.0286000275f,
                                       -0.0321977281f,  0.0179395481f,    -0.00500252108f, -0.000300497001f,
                                       0.000691233524f, -6.57207547e-05f, -7.39324634e-05f};
inline constexpr std::array kTailDouble{
    0.46151582985003775,     -0.09155228183400882,   0.031030368425963187,    0.010002352385205339,
    -0.026401042966292542,   0.024536963244452856,   -0.015170415402539756,   0.0065220006563208553,
    -0.0016760723482432765,  7.7916908442719311e-06, 0.00018233419859308241,  -5.360803796862406e-05,
    -9.8964536462015615e-06, 9.0612110550127391e-06, -6.8992722795179217e-08, -1.3100326669859615e-06,
    1.2476274575233402e-07,  1.9900968926444781e-07, -2.198924620677515e-08,  -3.2132486137931933e-08,
    3.5388184840061293e-10,  4.0561311864666168e-09, 7.7803735465068952e-10};

template <class T>
constexpr const auto& tail_coefficients() {
  if constexpr (sizeof(T) == sizeof(float))
    return kTailFloat;
  else
    return kTailDouble;
}
}  // namespace detail

// M(x) = exp(x^2 / 2) Phi(-x) for x >= 0, Phi the normal distribution function: M(0) = 1/2, M(x) -> 1/(x sqrt(2 pi)).
// So erfc(y) = 2 exp(-y^2) M(y sqrt(2)).
template <class T>
Vec<T> normal_tail(Vec<T> x) {
  const auto& c = detail::tail_coefficients<T>();
  const auto center = Vec<T>::set(sizeof(T) == sizeof(float) ? T(4) : T(5)), one = Vec<T>::set(1);
  // t = (x - c) / (x + c) and the final division by 1 + x share one quotient.
  const auto quotient = one / ((x + center) * (one + x));
  const auto t = (x - center) * ((one + x) * quotient);
  auto sum = Vec<T>::set(c.back());
  for (std::size_t i = c.size() - 1; i-- > 0;) sum = fma(sum, t, Vec<T>::set(c[i]));
  return sum * ((x + center) * quotient);
}

}  // namespace fastnn
