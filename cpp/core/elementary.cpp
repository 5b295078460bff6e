// SPDX-License-Identifier: BSD-3-Clause
#include "core/elementary.h"

#include <algorithm>

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
}  // namespace

// -(exp(u) - 1) with u = n log(base). The rounding errors of the logarithm and of the product are known (log_rest,
// u_rest) and are added to first order, with the derivative exp(u).
double power_complement(double base, double n) noexcept {
  using V = Vec<double>;
  const auto one = V::set(1), count = V::set(n);
  const auto [e, m, scale] = detail::split(V::set(base));
  const auto [log_value, log_rest] = detail::logarithm(e, m - one);
  const auto logarithm = log_value + log_rest, lost = (log_value - logarithm) + log_rest;
  const auto u = count * logarithm, u_rest = fma(count, logarithm, -u) + count * lost;
  const auto y = expm1(u);
  return -fma(u_rest, y + one, y).lanes()[0];
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
