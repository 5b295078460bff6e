// Sample weights, and sums over rows from which averages are computed: sum(w l) / sum(w) of a batch, an epoch or an
// evaluation. Only the ratios of the weights matter. Before weights are rounded to T, they are divided by a power of
// two, that of the largest weight of the batch. So weights of 1e-300 or 1e300 work, and ordinary weights keep their
// bits.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

#include "kernels/gather.h"

namespace fastnn::losses {

// 2^exponent; zero below the smallest normal number.
inline double power_of_two(int exponent) noexcept {
  if (exponent < -1022) return 0;
  return std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52U);
}
// The exponent of the largest power of two that is at most x, for a finite x > 0; at least -1023.
inline int binary_exponent(double x) noexcept {
  return static_cast<int>(std::bit_cast<std::uint64_t>(x) >> 52U) - 1023;
}

// Sums over rows, in units of 2^exponent: of weights, of weight * loss, of weight * (fraction of right outputs), and of
// what a mean of losses is divided by, which differs from the weights where the loss has weights of classes.
struct Sums {
  // The smallest exponent, that of the smallest normal doubles; smaller weights are not distinguished from them.
  static constexpr int kLowestExponent = -1022, kHighestExponent = 1022;
  double weight = 0, loss = 0, right = 0, divisor = 0;
  int exponent = kLowestExponent;

  // The factors that bring these sums and those of other rows to a common unit.
  struct Factors {
    double own, its;
    int exponent;
  };
  Factors factors(const Sums& other) const noexcept {
    const int common = std::max(exponent, other.exponent);
    return {power_of_two(exponent - common), power_of_two(other.exponent - common), common};
  }
  void add(const Sums& other) noexcept {
    const auto [own, its, common] = factors(other);
    weight = weight * own + other.weight * its;
    loss = loss * own + other.loss * its;
    right = right * own + other.right * its;
    divisor = divisor * own + other.divisor * its;
    exponent = common;
  }
  double accuracy() const noexcept { return weight > 0 ? right / weight : 0; }
};

// The sums of rows that all have weight 1.
inline Sums unweighted(Index rows) noexcept {
  return {.weight = static_cast<double>(rows), .divisor = static_cast<double>(rows), .exponent = 0};
}

// Stores the weights of rows ids[0] to ids[rows - 1] in `to`, in units of 2^sums.exponent, and returns their sum.
// valid: all of them are finite and not negative.
struct Weighed {
  Sums sums;
  bool valid = true;
};
template <class T>
Weighed weigh(const kernels::Source& weights, kernels::RowIds ids, Index rows, T* to) noexcept {
  const auto [lowest, size] = kernels::extent(weights, ids, rows);
  Weighed result;
  result.valid = lowest >= 0 && std::isfinite(size);
  result.sums.exponent = 0;
  if (std::isfinite(size))
    result.sums.exponent = std::clamp(binary_exponent(size), Sums::kLowestExponent, Sums::kHighestExponent);
  const double unit = power_of_two(-result.sums.exponent);
  result.sums.weight = kernels::gather_column<T>(weights, ids, rows, unit, to);
  result.sums.divisor = result.sums.weight;
  return result;
}

// The sum over rows of the weight of the row times that of its class; weights == nullptr: all rows have weight 1.
template <class T>
double weight_of_classes(std::span<const double> table, const std::int32_t* classes, const T* weights,
                         Index rows) noexcept {
  double sum = 0;
  for (Index r = 0; r < rows; ++r)
    sum += (weights ? static_cast<double>(weights[r]) : 1.0) * table[static_cast<std::size_t>(classes[r])];
  return sum;
}

}  // namespace fastnn::losses
