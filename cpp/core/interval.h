// Interval: the permitted values of a parameter, or of the targets or outputs of a loss.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>
#include <string>

#include "core/check.h"
#include "core/types.h"

namespace fastnn {

// The numbers from lowest to highest; an open end is not included. NaN is never outside.
struct Interval {
  static constexpr double kNoEnd = std::numeric_limits<double>::infinity();
  double lowest = -kNoEnd, highest = kNoEnd;
  bool open_below = false, open_above = false;

  constexpr bool everything() const { return lowest == -kNoEnd && highest == kNoEnd; }

  // The smallest and the largest number of type T in the interval. Subnormal numbers count as zero.
  template <class T>
  T first() const {
    const auto end = static_cast<T>(lowest);
    if (!open_below) return end;
    return end == 0 ? std::numeric_limits<T>::min() : std::nextafter(end, std::numeric_limits<T>::infinity());
  }
  template <class T>
  T last() const {
    const auto end = static_cast<T>(highest);
    if (!open_above) return end;
    return end == 0 ? -std::numeric_limits<T>::min() : std::nextafter(end, -std::numeric_limits<T>::infinity());
  }
  // Checks the value after rounding it to T.
  template <class T>
  bool excludes(double value) const {
    return static_cast<T>(value) < first<T>() || static_cast<T>(value) > last<T>();
  }
  // The index of the first of n numbers that is outside; the last index if none is.
  template <class T>
  Index first_excluded(const T* x, Index n) const {
    Index c = 0;
    while (c + 1 < n && !excludes<T>(static_cast<double>(x[c]))) ++c;
    return c;
  }

  // A number outside of the interval as text, with as many digits as show that it is outside: 1.0000000001, not 1.
  std::string shown(double value) const {
    std::ostringstream words;
    detail::write(words, value);
    if (!excludes<double>(std::stod(words.str()))) words.str(""), words << std::setprecision(17) << value;
    return words.str();
  }

  // "0 to 1", "at least 0", "above 0 and below 1"; empty for all numbers.
  std::string text() const {
    std::ostringstream words;
    const bool below = lowest != -kNoEnd, above = highest != kNoEnd;
    if (below && above && !open_below && !open_above) {
      words << lowest << " to " << highest;
    } else {
      if (below) words << (open_below ? "above " : "at least ") << lowest;
      if (below && above) words << " and ";
      if (above) words << (open_above ? "below " : "at most ") << highest;
    }
    return words.str();
  }
};

// Functions with which the rows of registries define intervals.
inline constexpr Interval kAnyNumber{};
constexpr Interval at_least(double lowest) { return {.lowest = lowest}; }
constexpr Interval above(double lowest) { return {.lowest = lowest, .open_below = true}; }
struct Below {
  double end;
};
constexpr Below below(double end) { return {end}; }
constexpr Interval within(double lowest, double highest) { return {.lowest = lowest, .highest = highest}; }
constexpr Interval within(double lowest, Below highest) {
  return {.lowest = lowest, .highest = highest.end, .open_above = true};
}

}  // namespace fastnn
