// Numbers of the standard normal distribution from uniform ones, by the inverse of its distribution function. For double
// these are the rational approximations of Wichura, "Algorithm AS 241: The percentage points of the normal
// distribution", Applied Statistics 37 (1988), whose relative error is about 1e-16. float needs fewer terms and no
// quotient, in the variable of Giles, "Approximating the erfinv function", GPU Computing Gems, Jade edition (2011): its
// relative error is below 3.5e-7. All operations are +, -, *, / and square roots, without fma, so the bits are the same
// on every level and for any width of vectors, and NumPy's arithmetic gives them, too.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/simd_math.h"

namespace fastnn {

namespace detail {

// Coefficients of numerators and denominators, lowest power first: of r = 0.180625 - q^2 for |q| <= 0.425; of
// r = sqrt(-log(p)) - 1.6 for tails with p > exp(-25); of sqrt(-log(p)) - 5 beyond.
inline constexpr std::array kMiddleTop{3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                       1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                       3.3430575583588128105e4, 2.5090809287301226727e3};
inline constexpr std::array kMiddleBottom{1.0,
                                          4.2313330701600911252e1,
                                          6.8718700749205790830e2,
                                          5.3941960214247511077e3,
                                          2.1213794301586595867e4,
                                          3.9307895800092710610e4,
                                          2.8729085735721942674e4,
                                          5.2264952788528545610e3};
inline constexpr std::array kTailTop{1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                     3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                     2.27238449892691845833e-2, 7.74545014278341407640e-4};
inline constexpr std::array kTailBottom{1.0,
                                        2.05319162663775882187e0,
                                        1.67638483018380384940e0,
                                        6.89767334985100004550e-1,
                                        1.48103976427480074590e-1,
                                        1.51986665636164571966e-2,
                                        5.47593808499534494600e-4,
                                        1.05075007164441684324e-9};
inline constexpr std::array kFarTop{6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                    2.71155556874348757815e-5, 2.01033439929228813265e-7};
inline constexpr std::array kFarBottom{1.0,
                                       5.99832206555887937690e-1,
                                       1.36929880922735805310e-1,
                                       1.48753612908506148525e-2,
                                       7.86869131145613259100e-4,
                                       1.84631831751005468180e-5,
                                       1.42151175831644588870e-7,
                                       2.04426310338993978564e-15};
// 1 / 3, 1 / 5, ...: log((1 + s) / (1 - s)) = 2 s (1 + s^2 / 3 + s^4 / 5 + ...), where |s| <= 1/5.
inline constexpr std::array kLogSeries{1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9,  1.0 / 11,
                                       1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23};
inline constexpr double kLn2Whole = 0.69314718055994530942;

// For float, with u = log(4 p (1 - p)) = log(1 - 4 q^2), where p is the probability and q = p - 1/2: the quotient of the
// number and q as polynomials in u + 3.5 for u >= -7 (error 1.5e-8), which leaves out one number of 2,200, and in
// sqrt(-u) - 3.5 below (error 6.1e-9 up to p = 2^-33); log(1 + f) / f for |f| <= 1/3 (error 3.1e-8 of the logarithm).
// They minimise the largest error and were then rounded to float.
inline constexpr std::array kSingleMiddle{4.9294677F,     -0.6656939F,   -0.018998854F,   0.0013608497F,
                                          0.0004486104F,  4.490066e-05F, -1.1288176e-06F, -9.565292e-07F,
                                          -9.681017e-08F, 6.856227e-09F, 1.6152457e-09F};
inline constexpr std::array kSingleTail{9.434178F,      2.849269F,     0.009270591F,    -0.0058292532F, 0.0030736222F,
                                        -0.0019476337F, 0.0012809415F, -0.00061115384F, 0.00013534892F};
inline constexpr std::array kSingleLog{0.99999934F, -0.49999753F, 0.33341748F, -0.250176F,
                                       0.1972613F,  -0.16266754F, 0.17469162F, -0.16079767F};
inline constexpr float kSingleLowest = -7, kSingleCentre = 3.5F;  // where the middle ends; what is added to u

// The functions take several vectors, whose chains of operations do not wait for each other.

// c[0] + c[1] x + ..., each product and each sum rounded.
template <class T, std::size_t kVectors, class Coefficients>
[[gnu::always_inline]] inline std::array<Vec<T>, kVectors> plain_polynomial(const Coefficients& c,
                                                                            const std::array<Vec<T>, kVectors>& x) {
  std::array<Vec<T>, kVectors> sum;
  sum.fill(Vec<T>::set(static_cast<T>(c.back())));
#pragma GCC unroll 16
  for (std::size_t i = 2; i <= c.size(); ++i)
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kVectors; ++v) sum[v] = sum[v] * x[v] + Vec<T>::set(static_cast<T>(c[c.size() - i]));
  return sum;
}
template <class T, std::size_t kVectors, class Coefficients>
[[gnu::always_inline]] inline std::array<Vec<T>, kVectors> quotient(const Coefficients& top, const Coefficients& bottom,
                                                                    const std::array<Vec<T>, kVectors>& x) {
  auto above = plain_polynomial(top, x);
  const auto below = plain_polynomial(bottom, x);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) above[v] = above[v] / below[v];
  return above;
}
// log(p) for normal p > 0, with an error of some ulp.
template <std::size_t kVectors>
[[gnu::always_inline]] inline std::array<Vec<double>, kVectors> plain_log(const std::array<Vec<double>, kVectors>& p) {
  std::array<Vec<double>, kVectors> exponent, s, square;
  const auto one = Vec<double>::set(1);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    const auto [e, m, scale] = split(p[v]);
    exponent[v] = e;
    s[v] = (m - one) / (m + one);
    square[v] = s[v] * s[v];
  }
  auto log = plain_polynomial(kLogSeries, square);
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v)
    log[v] = exponent[v] * Vec<double>::set(kLn2Whole) + Vec<double>::set(2) * s[v] * log[v];
  return log;
}

}  // namespace detail

// The numbers with the probability u below them, given as q = u - 1/2 and p = min(u, 1 - u), since u itself loses the
// digits of its distance from 1. p must be normal numbers above 0.
template <std::size_t kVectors>
[[gnu::always_inline]] inline std::array<Vec<double>, kVectors> normal_quantile(
    const std::array<Vec<double>, kVectors>& q, const std::array<Vec<double>, kVectors>& p) {
  std::array<Vec<double>, kVectors> r, found;
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) r[v] = Vec<double>::set(0.180625) - q[v] * q[v];
  found = detail::quotient(detail::kMiddleTop, detail::kMiddleBottom, r);
  std::array<Mask<double>, kVectors> tail;
  Mask<double> tails{};
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    found[v] = q[v] * found[v];
    tail[v] = less(Vec<double>::set(0.425), abs(q[v]));
    tails = tails | tail[v];
  }
  if (!any(tails)) return found;
  auto t = detail::plain_log(p);
  const auto far_start = Vec<double>::set(5);
  Mask<double> fars{};
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    t[v] = sqrt(-t[v]);
    r[v] = t[v] - Vec<double>::set(1.6);
    fars = fars | less(far_start, t[v]);
  }
  auto size = detail::quotient(detail::kTailTop, detail::kTailBottom, r);
  if (any(fars)) {
    for (std::size_t v = 0; v < kVectors; ++v) r[v] = t[v] - far_start;
    const auto far = detail::quotient(detail::kFarTop, detail::kFarBottom, r);
    for (std::size_t v = 0; v < kVectors; ++v) size[v] = select(less(far_start, t[v]), far[v], size[v]);
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v)
    found[v] = select(tail[v], select(less(q[v], Vec<double>::zero()), -size[v], size[v]), found[v]);
  return found;
}
template <std::size_t kVectors>
[[gnu::always_inline]] inline std::array<Vec<float>, kVectors> normal_quantile(
    const std::array<Vec<float>, kVectors>& q, const std::array<Vec<float>, kVectors>& p) {
  const auto one = Vec<float>::set(1), four = Vec<float>::set(4), centre = Vec<float>::set(detail::kSingleCentre);
  std::array<Vec<float>, kVectors> exponent, f, u, x;
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    const auto [e, m, scale] = detail::split(four * p[v] * (one - p[v]));
    exponent[v] = e, f[v] = m - one;
  }
  u = detail::plain_polynomial(detail::kSingleLog, f);
  std::array<Mask<float>, kVectors> tail;
  Mask<float> tails{};
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) {
    u[v] = exponent[v] * Vec<float>::set(static_cast<float>(detail::kLn2Whole)) + f[v] * u[v];
    x[v] = u[v] + centre;
    tail[v] = less(u[v], Vec<float>::set(detail::kSingleLowest));
    tails = tails | tail[v];
  }
  auto found = detail::plain_polynomial(detail::kSingleMiddle, x);
  if (any(tails)) [[unlikely]] {
    for (std::size_t v = 0; v < kVectors; ++v) x[v] = sqrt(abs(u[v])) - centre;  // u may be above 0 by a rounding error
    const auto far = detail::plain_polynomial(detail::kSingleTail, x);
    for (std::size_t v = 0; v < kVectors; ++v) found[v] = select(tail[v], far[v], found[v]);
  }
#pragma GCC unroll 4
  for (std::size_t v = 0; v < kVectors; ++v) found[v] = q[v] * found[v];
  return found;
}

// normals[i] = the normal number of words[i], count a multiple of the vector's lanes. A word stands for
// u = (k + 1/2) / 2^32, where k is the word; double represents u - 1/2 and its distance from 1 exactly, and float
// rounds them.
template <class T>
void normals_of(const std::uint32_t* words, Index count, T* normals) {
  constexpr Index kLanes = Vec<T>::kLanes, kSome = 128;
  alignas(kAlign) T q[kSome], p[kSome];
  for (Index first = 0; first < count; first += kSome) {
    const Index some = std::min(kSome, count - first);
    // A loop of its own: reading a vector at once after storing its parts would wait for the stores.
    for (Index j = 0; j < some; ++j) {
      const std::uint32_t word = words[first + j];
      const auto centred = static_cast<std::int32_t>(word ^ 0x80000000U);  // k - 2^31
      const auto from_end = static_cast<std::int32_t>((centred < 0 ? word : ~word) & 0x7FFFFFFFU);
      q[j] = static_cast<T>(centred) * T(0x1p-32) + T(0x1p-33);
      p[j] = static_cast<T>(from_end) * T(0x1p-32) + T(0x1p-33);
    }
    const auto quantiles = [&]<std::size_t kVectors>(Index j, std::array<Vec<T>, kVectors> centred) {
      auto from_end = centred;
      for (std::size_t v = 0; v < kVectors; ++v) {
        const Index at = j + static_cast<Index>(v) * kLanes;
        centred[v] = Vec<T>::load(q + at), from_end[v] = Vec<T>::load(p + at);
      }
      const auto found = normal_quantile(centred, from_end);
      for (std::size_t v = 0; v < kVectors; ++v) found[v].store(normals + first + j + static_cast<Index>(v) * kLanes);
    };
    Index j = 0;
    for (; j + kLanes < some; j += 2 * kLanes) quantiles(j, std::array<Vec<T>, 2>{});
    if (j < some) quantiles(j, std::array<Vec<T>, 1>{});
  }
}

// The normal number of the upper 52 bits of a word: u = (k + 1/2) / 2^52, which double represents exactly. With `inside`
// below 1, the number is one of the middle of the distribution, of which so much is left.
inline double normal_of(std::uint64_t word, double inside = 1) {
  const double q = inside * (static_cast<double>(2 * (word >> 12) + 1) * 0x1p-53 - 0.5);
  const double p = 0.5 - (q < 0 ? -q : q);
  return normal_quantile(std::array{Vec<double>::set(q)}, std::array{Vec<double>::set(p)})[0].lanes()[0];
}

}  // namespace fastnn
