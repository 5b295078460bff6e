// The contract of an initializer, which draws the initial values of a parameter: fill() sets a matrix from a stream of
// random words, in the order of its rows, and knows the columns that the layer takes and gives. Everything is computed
// in double and rounded once, without the C library, so that the values are the same on every level.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cmath>

#include "core/registry.h"
#include "core/rng.h"
#include "core/types.h"

namespace fastnn::initializers {

// The columns that a layer takes and gives.
struct Fans {
  Index in = 0, out = 0;
};

template <class T>
using Fill = void (*)(const Values& values, Matrix<T> to, Fans fans, PhiloxStream& words);

struct Row : fastnn::Row {
  bool needs_fans;   // it is for the matrix of a product, or it scales with the columns of the layer
  bool for_vectors;  // it may fill a bias
  Fill<float> fill_f32;
  Fill<double> fill_f64;

  template <class T>
  Fill<T> fill() const {
    return of_type<T>(fill_f32, fill_f64);
  }
};

// An initializer and its parameters.
struct Chosen {
  const Row* row = nullptr;  // nullptr: torch's default of the layer
  Values values = {};
};

// The list of all initializers (registry.cpp).
Registry<Row> registry();

// The name of the initializer of a layer for which none was chosen.
inline constexpr const char* kDefault = "default";

// Sets each element to draw(), row by row.
template <class T, class Draw>
void each(Matrix<T> to, Draw draw) {
  for (Index r = 0; r < to.rows; ++r)
    for (Index c = 0; c < to.cols; ++c) to.row(r)[c] = static_cast<T>(draw());
}

// A number from [low, high) for u from [0, 1). The difference of the ends may overflow; half of it does not.
template <class T>
T between(double low, double high, double u) {
  const double half = std::isfinite(high - low) ? 1.0 : 0.5;
  const auto value = static_cast<T>((low * half + (high * half - low * half) * u) / half);
  const auto first = static_cast<T>(low), last = static_cast<T>(high);  // rounding may give a number beyond
  return std::clamp(value, first, std::max(first, std::nextafter(last, first)));
}
template <class T>
void uniform(Matrix<T> to, double low, double high, PhiloxStream& words) {
  each(to, [&] { return between<T>(low, high, to_unit(words.next())); });
}

}  // namespace fastnn::initializers
