// The registry of optimizers as everybody else sees it: rows of names, hyperparameters and the update of one tile.
// No vectors here: who reads the registry is compiled once, whatever the instruction set.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
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

std::span<const Row> registry();
const Row* find(const std::string& name);

}  // namespace fastnn::optimizers
