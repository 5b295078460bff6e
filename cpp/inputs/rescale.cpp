// SPDX-License-Identifier: BSD-3-Clause
#include "inputs/rescale.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/check.h"

namespace fastnn::inputs {

namespace {

template <class T>
Buffer<T> per_column(const std::vector<double>& given, Index columns) {
  Buffer<T> values(given.empty() ? 0 : padded<T>(columns));  // padded, because gather reads whole vectors
  for (Index c = 0; c < values.size() && c < columns; ++c)
    values[c] = static_cast<T>(given[given.size() == 1 ? 0 : static_cast<std::size_t>(c)]);
  return values;
}

// Refuses factors that are neither one number nor one per column, and numbers that become infinite or zero in T. Zero
// itself is allowed: it makes a column constant.
template <class T>
void check_factors(const std::vector<double>& given, Index columns, const char* what, double smallest) {
  require(given.size() <= 1 || static_cast<Index>(given.size()) == columns, "[rescale] ", what, " has ", given.size(),
          " values, expected 1 or ", columns);
  const char* dtype = sizeof(T) == 4 ? "float32" : "float64";
  const auto largest = static_cast<double>(std::numeric_limits<T>::max());
  for (std::size_t c = 0; c < given.size(); ++c) {
    const double size = std::abs(given[c]);
    require(size <= largest, "[rescale] ", what, " has ", given[c], " at ", c, ", which is infinite as ", dtype,
            "; expected at most ", largest);
    const bool zero = std::bit_cast<std::uint64_t>(size) == 0;  // by the bits: subnormal numbers compare as zero
    require(zero || size >= smallest, "[rescale] ", what, " has ", given[c], " at ", c, ", which is zero as ", dtype,
            "; expected at least ", smallest, ", or 0");
  }
}

}  // namespace

template <class T>
bool Rescale<T>::keeps_zeros(const Settings& settings) const {
  const auto shift = settings.find("shift");
  return shift == settings.end() || std::ranges::all_of(shift->second, [](double each) { return each == 0; });
}

// All new values are checked and allocated before the first is stored, so that a refusal changes nothing.
template <class T>
void Rescale<T>::change(const Settings& settings) {
  const auto given = [&](const char* name) {
    const auto found = settings.find(name);
    return found == settings.end() ? std::vector<double>() : found->second;
  };
  const auto new_scale = given("scale"), new_shift = given("shift");
  check_factors<T>(new_scale, columns_, "scale", static_cast<double>(std::numeric_limits<T>::min()));
  check_factors<T>(new_shift, columns_, "shift", 0);
  auto scale = per_column<T>(new_scale, columns_);
  auto shift = keeps_zeros(settings) ? Buffer<T>() : per_column<T>(new_shift, columns_);
  const bool none = new_scale.empty() && new_shift.empty();
  const auto filled = [&](const std::vector<double>& values, double otherwise) {
    return none ? Buffer<double>() : per_column<double>(values.empty() ? std::vector{otherwise} : values, columns_);
  };
  auto exact_scale = filled(new_scale, 1), exact_shift = filled(new_shift, 0);
  scale_ = std::move(scale), shift_ = std::move(shift);
  exact_scale_ = std::move(exact_scale), exact_shift_ = std::move(exact_shift);
}

template class Rescale<float>;
template class Rescale<double>;

}  // namespace fastnn::inputs
