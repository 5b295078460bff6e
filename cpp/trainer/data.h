// What a call trains on or predicts from, as the border hands it to the engine.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernels/gather.h"

namespace fastnn::trainer {

// The caller's arrays; an empty Source where there is none.
struct Data {
  kernels::Source x, y, weights, grad;
};

}  // namespace fastnn::trainer
