// SPDX-License-Identifier: BSD-3-Clause
#include "inputs/standardize.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/check.h"

namespace fastnn::inputs {

// All new values are checked and allocated before the first is stored, so that a refusal changes nothing.
template <class T>
void Standardize<T>::change(const Settings& settings) {
  const auto mean = settings.find("mean"), scale = settings.find("scale");
  require((mean == settings.end()) == (scale == settings.end()), "[standardize] one of mean and scale is missing");
  if (mean == settings.end()) return;
  const char* dtype = sizeof(T) == 4 ? "float32" : "float64";
  Buffer<T> means(padded<T>(columns_)), inverses(padded<T>(columns_));  // padded, because gather reads whole vectors
  Buffer<double> exact_means(columns_), exact_inverses(columns_), zeros(columns_);
  for (const auto* given : {&*mean, &*scale})
    require(static_cast<Index>(given->second.size()) == columns_, "[standardize] ", given->first, " has ",
            given->second.size(), " values, expected ", columns_);
  for (Index c = 0; c < columns_; ++c) {
    const auto place = static_cast<std::size_t>(c);
    const double center = mean->second[place], spread = scale->second[place];
    require(spread > 0, "[standardize] scale has ", spread, " at ", c, "; expected numbers above 0");
    means[c] = static_cast<T>(center), inverses[c] = static_cast<T>(1 / spread);
    require(std::isfinite(means[c]), "[standardize] mean has ", center, " at ", c, ", which is infinite as ", dtype);
    require(std::isfinite(inverses[c]) && inverses[c] >= std::numeric_limits<T>::min(), "[standardize] scale has ",
            spread, " at ", c, ", whose inverse is infinite or zero as ", dtype);
    exact_means[c] = center, exact_inverses[c] = 1 / spread;
  }
  mean_ = std::move(means), inverse_ = std::move(inverses);
  exact_mean_ = std::move(exact_means), exact_inverse_ = std::move(exact_inverses), zeros_ = std::move(zeros);
}

template class Standardize<float>;
template class Standardize<double>;

}  // namespace fastnn::inputs
