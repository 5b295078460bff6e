// What a call trains on or predicts from, as the border hands it to the engine.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/gather.h"

namespace fastnn::run {

// The caller's arrays; an empty Source where there is none.
struct Data {
  kernels::Source x, y, weights, grad;
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
