// SPDX-License-Identifier: BSD-3-Clause
#include "core/elementary.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/simd_math.h"

namespace fastnn {

namespace {
template <class T>
struct Function {
  const char* name;
  Vec<T> (*of)(Vec<T> x);
};
template <class T>
constexpr Function<T> kFunctions[] = {{"exp", exp<T>},        {"expm1", expm1<T>}, {"log", log<T>},
                                      {"log1p", log1p<T>},    {"tanh", tanh<T>},   {"sqrt", sqrt<T>},
                                      {"sigmoid", sigmoid<T>}};

// u = n log(base), in two parts: the rounding errors of the logarithm and of the product are known.
struct Exponent {
  Vec<double> value, rest;
};
Exponent exponent_of(double base, double n) noexcept {
  using V = Vec<double>;
  const auto [e, m, scale] = detail::split(V::set(base));
  const auto [log_value, log_rest] = detail::logarithm(e, m - V::set(1));
  const auto logarithm = log_value + log_rest, lost = (log_value - logarithm) + log_rest, count = V::set(n);
  const auto u = count * logarithm;
  return {u, fma(count, logarithm, -u) + count * lost};
}

// (sin(y) - y) / y^3 and (cos(y) - 1) / y^2 in y^2: the Taylor series, whose first term left out is below 1e-20 for
// |y| <= pi / 4.
constexpr std::array kSin{-1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
                          -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
constexpr std::array kCos{-1.0 / 2,
                          1.0 / 24,
                          -1.0 / 720,
                          1.0 / 40320,
                          -1.0 / 3628800,
                          1.0 / 479001600,
                          -1.0 / 87178291200,
                          1.0 / 20922789888000,
                          -1.0 / 6402373705728000};
}  // namespace

// -(exp(u) - 1). The rest of u is added to first order, with the derivative exp(u).
double power_complement(double base, double n) noexcept {
  const auto [u, rest] = exponent_of(base, n);
  const auto y = expm1(u);
  return -fma(rest, y + Vec<double>::set(1), y).lanes()[0];
}

// A product of few factors is as accurate, and exact for powers of two.
double power(double base, double exponent) noexcept {
  constexpr double kFewFactors = 24;
  if (exponent == 0) return 1;
  if (exponent > 0 && exponent <= kFewFactors && exponent == std::floor(exponent)) {
    double product = base;
    for (int n = 1; n < static_cast<int>(exponent); ++n) product *= base;
    return product;
  }
  if (base < std::numeric_limits<double>::min()) return exponent > 0 ? 0 : std::numeric_limits<double>::infinity();
  const auto [u, rest] = exponent_of(base, exponent);
  const auto y = exp(u);
  return fma(rest, y, y).lanes()[0];
}

// pi x = k pi / 2 + y with a whole k and |y| <= pi / 4.
double cos_pi(double x) noexcept {
  using V = Vec<double>;
  const double twice = 2 * std::abs(x), k = std::floor(twice + 0.5);
  const auto y = V::set((twice - k) * 1.5707963267948966), z = y * y;
  const auto quadrant = static_cast<int>(k - 4 * std::floor(k / 4));
  const auto value =
      quadrant % 2 == 1 ? fma(y * z, detail::polynomial(kSin, z), y) : fma(z, detail::polynomial(kCos, z), V::set(1));
  const double found = value.lanes()[0];
  return quadrant == 1 || quadrant == 2 ? -found : found;
}

template <class T>
bool elementary(const std::string& name, const T* x, Index n, T* y) noexcept {
  constexpr Index kLanes = Vec<T>::kLanes;
  for (const auto& function : kFunctions<T>) {
    if (name != function.name) continue;
    for (Index i = 0; i < n; i += kLanes) {
      T lanes[kLanes] = {};
      std::copy(x + i, x + std::min(n, i + kLanes), lanes);
      function.of(Vec<T>::loadu(lanes)).storeu(lanes);
      std::copy(lanes, lanes + std::min(n - i, kLanes), y + i);
    }
    return true;
  }
  return false;
}

template bool elementary(const std::string&, const float*, Index, float*) noexcept;
template bool elementary(const std::string&, const double*, Index, double*) noexcept;

}  // namespace fastnn
