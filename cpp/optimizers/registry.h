// The registry of optimizers as everybody else sees it: rows of names, parameters, states and the update of one tile.
// No vectors here: who reads the registry is compiled once, whatever the instruction set.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "core/registry.h"
#include "core/types.h"

namespace fastnn::optimizers {

inline constexpr int kMaxStates = 4;

// An array of state that an optimizer keeps of a parameter, all zero at the start, under torch's name.
struct State {
  const char* name;
  bool optional = false;  // kept under some values of the hyperparameters only
};
// Which states are meant: bit s for state s.
using StateSet = unsigned;
constexpr bool contains(StateSet set, int state) { return (set >> static_cast<unsigned>(state) & 1U) != 0; }
constexpr StateSet only(int state) { return 1U << static_cast<unsigned>(state); }

// What one parameter's update needs in one step, a struct of the member's own; computed once a step in double, read by
// every tile.
using Coefficients = Values;

// rows x cols (cols already padded) of parameter, gradient and state; all rows 64-byte aligned. Gradient columns
// beyond the parameter's own are zero, and the update of zeros must be zero.
template <class T>
struct Tile {
  Index rows = 0, cols = 0;
  T* param = nullptr;
  T* state[kMaxStates] = {};  // nullptr where it is not kept
  Index stride = 0;           // of param and states
  const T* grad = nullptr;
  Index grad_stride = 0;
  const T* left = nullptr;  // the gradient is left[r] * grad[c] instead: of a batch of a single row, never adjusted
  T grad_factor = 1;        // clipping by global norm
  T l1 = 0;                 // adds l1 sign(w) to the gradient
};

template <class T>
struct Loops {
  // False if any new parameter is not finite.
  bool (*update)(const Coefficients& c, const Tile<T>& tile) noexcept;
};

struct Row : fastnn::Row {
  std::span<const State> states;  // all there may be
  StateSet (*kept)(const Values& values);
  Coefficients (*coefficients)(const Values& values, std::int64_t t);  // t: number of the parameter's update, from 1
  // Every optimizer has these two.
  double (*lr)(const Values& values);
  double (*l1)(const Values& values);
  Loops<float> f32;
  Loops<double> f64;

  template <class T>
  const Loops<T>& loops() const {
    return of_type<T>(f32, f64);
  }
};

// The update of n numbers that lie side by side at any address, as callers have them: whole lines in place, and what is
// left over through lines of its own.
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
    Tile<T> tile{.rows = rows, .cols = cols, .stride = cols, .grad_stride = cols, .l1 = flat.l1};
    tile.param = flat.param + at;
    tile.grad = flat.grad + at;
    for (int s = 0; s < kMaxStates; ++s) tile.state[s] = flat.state[s] ? flat.state[s] + at : nullptr;
    if (rows > 0 && cols > 0) row.loops<T>().update(c, tile);
  };
  constexpr Index kRow = 16 * kPad<T>;  // rows are asked for a few ahead
  const Index rows = n / kRow, lines = n % kRow / kPad<T> * kPad<T>, rest = n % kPad<T>;
  part(first, rows, kRow);
  part(first + rows * kRow, 1, lines);
  if (rest == 0) return;
  const Index at = first + n - rest;
  alignas(kAlign) T line[kMaxStates + 2][kPad<T>] = {};
  const auto bytes = static_cast<std::size_t>(rest) * sizeof(T);
  Tile<T> tile{.rows = 1, .cols = kPad<T>, .param = line[0], .stride = kPad<T>, .grad = line[1], .l1 = flat.l1};
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
