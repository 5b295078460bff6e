// SPDX-License-Identifier: BSD-3-Clause
#include "inputs/standardize.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/check.h"

namespace fastnn::inputs {

// All new values are checked and allocated before the first is stored, so that a refusal changes nothing. Without
// values there are no statistics afterwards.
template <class T>
void Standardize<T>::change(const Settings& settings) {
  const auto mean = settings.find("mean"), scale = settings.find("scale");
  require((mean == settings.end()) == (scale == settings.end()), "[standardize] one of mean and scale is missing");
  const Index n = mean == settings.end() ? 0 : columns_;
  const auto check_size = [n](const Settings::value_type& given) {
    require(static_cast<Index>(given.second.size()) == n, "[standardize] ", given.first, " has ", given.second.size(),
            " values, expected ", n);
  };
  if (n > 0) check_size(*mean), check_size(*scale);
  constexpr double kLargest = std::numeric_limits<T>::max(), kSmallest = std::numeric_limits<T>::min();
  const char* dtype = sizeof(T) == 4 ? "float32" : "float64";
  Buffer<T> means(padded<T>(n)), inverses(padded<T>(n));  // padded, because gather reads whole vectors
  Buffer<double> exact_means(n), exact_inverses(n), zeros(n);
  for (Index c = 0; c < n; ++c) {
    const double center = mean->second[static_cast<std::size_t>(c)];
    const double spread = scale->second[static_cast<std::size_t>(c)], inverse = 1 / spread;
    require(spread > 0, "[standardize] scale has ", spread, " at ", c, "; expected numbers above 0");
    require(std::abs(center) <= kLargest, "[standardize] mean has ", center, " at ", c, ", which is infinite as ",
            dtype);
    require(inverse >= kSmallest && inverse <= kLargest, "[standardize] scale has ", spread, " at ", c,
            ", whose inverse is ", inverse > 1 ? "infinite" : "zero", " as ", dtype);
    means[c] = static_cast<T>(center), inverses[c] = static_cast<T>(inverse);
    exact_means[c] = center, exact_inverses[c] = inverse;
  }
  mean_ = std::move(means), inverse_ = std::move(inverses);
  exact_mean_ = std::move(exact_means), exact_inverse_ = std::move(exact_inverses), zeros_ = std::move(zeros);
}

template class Standardize<float>;
template class Standardize<double>;

}  // namespace fastnn::inputs
