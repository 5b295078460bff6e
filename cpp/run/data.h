// The data of a call that trains or predicts, as the bindings pass them to the engine.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <vector>

#include "kernels/gather.h"

namespace fastnn::run {

// The names of the arrays of a call in error messages.
struct Names {
  const char *x = "X", *y = "y", *weights = "sample_weight", *grad = "grad", *outputs = "outputs";
};
inline constexpr Names kNames;
inline constexpr Names kValidationNames{"validation X", "validation y", "validation sample_weight", "",
                                        "validation outputs"};
inline constexpr Names kBackwardNames{.grad = "dout"};
inline constexpr Names kClassWeightNames{.weights = "class_weight"};
inline constexpr Names kBothWeightsNames{.weights = "class_weight times sample_weight"};

// The caller's arrays; a Source is empty if the array was not given.
struct Data {
  kernels::Source x, y, weights, grad;
  const Names* names = &kNames;
};

// What is differentiated, by what, and the arrays for the results (of the network's dtype, without gaps).
struct Wanted {
  enum Of { kLoss, kOutputs, kPredictions } of = kLoss;
  // By the caller's rows: rows x features, or rows x outputs x features. nullptr: not wanted.
  void* by_input = nullptr;
  // By parameters, only of kLoss: for each parameter of the network rows x its rows x its columns, or nullptr.
  std::vector<void*> by_parameter = {};
};

struct Scores {
  double loss = 0;
  double accuracy = 0;
  double weight = 0;  // sum of the weights of all rows, in units of 2^exponent
  int exponent = 0;
  std::vector<double> sums = {};  // of the compiled metrics, with weights in the same unit
};

// Calls of fewer flops end within about twenty microseconds, so they neither poll for signals nor release the GIL.
inline constexpr double kBriefFlops = 5e5;

}  // namespace fastnn::run
