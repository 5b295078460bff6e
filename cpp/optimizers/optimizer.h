// The contract of an optimizer: update one tile of parameters from one tile of gradients, with its own learning
// rate, decay and l1; it never writes gradients, and frozen tiles are never handed to it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "core/simd.h"
#include "optimizers/registry.h"

namespace fastnn::optimizers {

// A member is a template like this (see sgd.h):
//   template <class T> struct Lion {
//     static constexpr int kStates = 1;                             // at most
//     static int states(const double* hyper);                       // with these values
//     static constexpr std::array<Hyper, n> kHypers{...};           // "lr" first, then "weight_decay", "l1", its own
//     // hyper: this parameter's values (per-layer overrides applied); t: number of this parameter's update, from 1
//     static Coefficients coefficients(const double* hyper, std::int64_t t);
//     explicit Lion(const Coefficients& c);
//     // The new w; state in place, nullptr where states(hyper) is 0.
//     Vec<T> update(Vec<T> w, Vec<T> g, Vec<T>* state) const;
//   };
inline constexpr Hyper kLr{.name = "lr", .value = 1e-3, .lowest = 0, .doc = "learning rate"};
inline constexpr Hyper kL1{.name = "l1", .value = 0, .lowest = 0, .doc = "adds l1 * sign(w) to the gradient"};

// Rows of a tile lie far apart and the arrays of a large network in no near cache: a line is asked for this many rows
// ahead of its update.
inline constexpr Index kAhead = 4;

// Where a gradient comes from: memory; memory, scaled by grad_factor and with l1 sign(w) added; two factors.
enum class From { kMemory, kAdjusted, kFactors };

// Returns a vector that is zero as long as every new parameter and state is finite: w * 0 is NaN for Inf and NaN, and
// NaN's bits stay in a union. (A sum would be a chain of additions, slower than the update itself.)
// rule: a copy, so that it stays in registers whatever is stored.
template <class T, template <class> class O, From kFrom, int kStates>
Vec<T> update_rows(O<T> rule, Tile<T> tile) noexcept {
  const auto zero = Vec<T>::zero(), factor = Vec<T>::set(tile.grad_factor), l1 = Vec<T>::set(tile.l1);
  auto suspect = zero;
  auto left = zero;
  const auto update_vector = [&](Index c) {
    auto w = Vec<T>::loadu(tile.param + c);
    auto g = Vec<T>::loadu(tile.grad + c);
    if constexpr (kFrom == From::kFactors) g = fma(left, g, zero);  // rounded as the product of a longer batch
    if constexpr (kFrom == From::kAdjusted)
      g = g * factor + select(less(zero, w), l1, select(less(w, zero), -l1, zero));
    Vec<T> state[O<T>::kStates > 0 ? O<T>::kStates : 1] = {};
    for (int s = 0; s < kStates; ++s) state[s] = Vec<T>::loadu(tile.state[s] + c);
    w = rule.update(w, g, kStates > 0 ? state : nullptr);
    for (int s = 0; s < kStates; ++s) {
      state[s].storeu(tile.state[s] + c);
      suspect = suspect | (state[s] * zero);
    }
    w.storeu(tile.param + c);
    suspect = suspect | (w * zero);
  };
  for (Index r = 0; r < tile.rows; ++r) {
    const Index ahead = r + kAhead < tile.rows ? kAhead * tile.stride : 0;
    if constexpr (kFrom == From::kFactors) left = Vec<T>::set(tile.left[r]);
    for (Index line = 0; line < tile.cols; line += kPad<T>) {
      __builtin_prefetch(tile.param + ahead + line, 1);
      for (int s = 0; s < kStates; ++s) __builtin_prefetch(tile.state[s] + ahead + line, 1);
#pragma GCC unroll 4
      for (Index c = 0; c < kPad<T>; c += Vec<T>::kLanes) update_vector(line + c);
    }
    tile.param += tile.stride;
    tile.grad += tile.grad_stride;
    for (int s = 0; s < kStates; ++s) tile.state[s] += tile.stride;
  }
  return suspect;
}

// The loop for as many states as the tile has: the first ones of the kStates there may be.
template <class T, template <class> class O, From kFrom, int kStates>
Vec<T> update_states(const O<T>& rule, const Tile<T>& tile) noexcept {
  if constexpr (kStates > 0)
    if (!tile.state[kStates - 1]) return update_states<T, O, kFrom, kStates - 1>(rule, tile);
  return update_rows<T, O, kFrom, kStates>(rule, tile);
}

template <class T, template <class> class O>
bool update_loop(const Coefficients& c, const Tile<T>& tile) noexcept {
  const O<T> rule(c);
  constexpr int kStates = O<T>::kStates;
  if (tile.left) return all_zero(update_states<T, O, From::kFactors, kStates>(rule, tile));
  const bool adjusts = tile.grad_factor != T(1) || tile.l1 != T(0);
  return all_zero(adjusts ? update_states<T, O, From::kAdjusted, kStates>(rule, tile)
                          : update_states<T, O, From::kMemory, kStates>(rule, tile));
}

template <template <class> class O>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {name,
          class_name,
          formula,
          O<float>::kStates,
          O<float>::states,
          O<float>::kHypers,
          O<float>::coefficients,
          {update_loop<float, O>},
          {update_loop<double, O>}};
}

}  // namespace fastnn::optimizers
