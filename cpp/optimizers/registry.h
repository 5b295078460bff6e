// The registry of optimizers as other rooms see it: for each a registry row with names, parameters, states and the
// update of one tile.
// This header has no vector types, so that the bindings, which are compiled once for the oldest processor, can include
// it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "core/registry.h"
#include "core/types.h"
#include "optimizers/average.h"

namespace fastnn::optimizers {

inline constexpr int kMaxStates = 4;

// A state array that an optimizer keeps for a parameter, under torch's name; it starts as zeros.
struct State {
  const char* name;
  bool optional = false;  // kept only with some values of the hyperparameters
};
// A set of states: bit s stands for state s.
using StateSet = unsigned;
constexpr bool contains(StateSet set, int state) { return (set >> static_cast<unsigned>(state) & 1U) != 0; }
constexpr StateSet only(int state) { return 1U << static_cast<unsigned>(state); }

// The coefficients of one parameter's update in one step, a struct that the member defines. They are computed once per
// step, in double, and read by every tile.
using Coefficients = Bytes;

// A tile to update: rows x cols (with padding) of parameter, gradient and states; all rows are 64-byte aligned. The
// padding columns of the gradient are zero, and the update of zeros must give zero.
template <class T>
struct UpdateTile {
  Index rows = 0, cols = 0;
  T* param = nullptr;
  T* state[kMaxStates] = {};  // nullptr for states that are not kept
  Index stride = 0;           // of param and states
  const T* grad = nullptr;
  Index grad_stride = 0;
  const T* second = nullptr;  // if set, with the layout of grad, to which it is added; without factor and l1
  const T* left = nullptr;    // if set, the gradient is left[r] * grad[c]: batches of one row; without factor and l1
  T grad_factor = 1;          // clipping by global norm
  T l1 = 0;                   // adds l1 sign(w) to the gradient
};

template <class T>
struct Loops {
  // Returns false if any new parameter or state is not finite.
  bool (*update)(const Coefficients& c, const UpdateTile<T>& tile) noexcept;
};

struct Row : fastnn::Row {
  std::span<const State> states;  // all states, with the optional ones
  StateSet (*kept)(const Values& values);
  // t: number of the parameter's update, from 1. batch_weight: the sum of the weights of the batch's rows.
  Coefficients (*coefficients)(const Values& values, std::int64_t t, double batch_weight);
  // The two hyperparameters that every optimizer has.
  double (*lr)(const Values& values);
  double (*l1)(const Values& values);
  // What multiplies w in the gradient: the penalty of a parameter is l2 / 2 sum(w^2) + l1 sum(|w|). It is 0 if weight
  // decay is decoupled, which is no gradient of a penalty.
  double (*l2)(const Values& values, double batch_weight);
  Values (*with_lr)(const Values& values, double lr);
  const char* momentum;  // the hyperparameter that a schedule may change in its place, or ""
  Values (*with_momentum)(const Values& values, double momentum);
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
};

// The update of contiguous numbers of a caller at any address: whole cache lines of numbers in place, and the remainder
// in buffers of one line.
template <class T>
struct Flat {
  T* param = nullptr;
  const T* grad = nullptr;
  T* state[kMaxStates] = {};
  T l1 = 0;
};
template <class T>
void update(const Row& row, const Coefficients& c, const Flat<T>& flat, Index first, Index n) noexcept {
  const auto part = [&](Index at, Index rows, Index cols) {
    UpdateTile<T> tile{.rows = rows, .cols = cols, .stride = cols, .grad_stride = cols, .l1 = flat.l1};
    tile.param = flat.param + at;
    tile.grad = flat.grad + at;
    for (int s = 0; s < kMaxStates; ++s) tile.state[s] = flat.state[s] ? flat.state[s] + at : nullptr;
    if (rows > 0 && cols > 0) row.loops<T>().update(c, tile);
  };
  constexpr Index kRow = 16 * kPad<T>;  // divided into rows, because the update prefetches by rows
  const Index rows = n / kRow, lines = n % kRow / kPad<T> * kPad<T>, rest = n % kPad<T>;
  part(first, rows, kRow);
  part(first + rows * kRow, 1, lines);
  if (rest == 0) return;
  const Index at = first + n - rest;
  alignas(kAlign) T line[kMaxStates + 2][kPad<T>] = {};
  const auto bytes = static_cast<std::size_t>(rest) * sizeof(T);
  UpdateTile<T> tile{.rows = 1, .cols = kPad<T>, .param = line[0], .stride = kPad<T>, .grad = line[1], .l1 = flat.l1};
  std::memcpy(line[0], flat.param + at, bytes);
  std::memcpy(line[1], flat.grad + at, bytes);
  for (int s = 0; s < kMaxStates; ++s)
    if (flat.state[s]) std::memcpy(tile.state[s] = line[s + 2], flat.state[s] + at, bytes);
  row.loops<T>().update(c, tile);
  std::memcpy(flat.param + at, line[0], bytes);
  for (int s = 0; s < kMaxStates; ++s)
    if (flat.state[s]) std::memcpy(flat.state[s] + at, line[s + 2], bytes);
}

Registry<Row> registry();

}  // namespace fastnn::optimizers
