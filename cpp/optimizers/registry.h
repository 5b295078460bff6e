// The registry of optimizers as everybody else sees it: rows of names, hyperparameters and the update of one tile.
// No vectors here: who reads the registry is compiled once, whatever the instruction set.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "core/hyper.h"
#include "core/types.h"

namespace fastnn::optimizers {

inline constexpr int kMaxStates = 4;
inline constexpr int kMaxCoefficients = 12;

// What one parameter's update needs in one step; computed once a step in double, read by every tile.
using Coefficients = std::array<double, kMaxCoefficients>;

// rows x cols (cols already padded) of parameter, gradient and state; all rows 64-byte aligned. Gradient columns
// beyond the parameter's own are zero, and the update of zeros must be zero.
template <class T>
struct Tile {
  Index rows = 0, cols = 0;
  T* param = nullptr;
  T* state[kMaxStates] = {};  // nullptr where the values of the hyperparameters need none
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

struct Row {
  const char* name;        // "adamw"
  const char* class_name;  // "AdamW"
  const char* formula;
  int max_states;                      // at most, and with these values:
  int (*states)(const double* hyper);  // arrays of state a parameter (all zero at the start)
  std::span<const Hyper> hypers;
  Coefficients (*coefficients)(const double* hyper, std::int64_t t);
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

std::span<const Row> registry();
const Row* find(const std::string& name);

}  // namespace fastnn::optimizers
