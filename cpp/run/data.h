// What a call trains on or predicts from, as the border hands it to the engine.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/gather.h"

namespace fastnn::run {

// What refusals call the arrays of a call.
struct Names {
  const char *x = "X", *y = "y", *weights = "sample_weight", *grad = "grad", *outputs = "outputs";
};
inline constexpr Names kNames;
inline constexpr Names kValidationNames{"validation X", "validation y", "validation sample_weight", "",
                                        "validation outputs"};
inline constexpr Names kBackwardNames{.grad = "dout"};
inline constexpr Names kClassWeightNames{.weights = "class_weight"};
inline constexpr Names kBothWeightsNames{.weights = "class_weight times sample_weight"};

// The caller's arrays; an empty Source where there is none.
struct Data {
  kernels::Source x, y, weights, grad;
  const Names* names = &kNames;
};

struct Scores {
  double loss = 0;
  double accuracy = 0;
  double weight = 0;  // of all rows; zero where none of them counts
};

// Calls of fewer flops are over within twenty microseconds or so: nobody interrupts them, and no other Python thread
// could make use of the GIL.
inline constexpr double kBriefFlops = 5e5;

}  // namespace fastnn::run
