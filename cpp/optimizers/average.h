// Averages of the parameters over the updates of a training, which predict better than the parameters of the last one
// do: an exponential moving average (EMA), or the mean of some updates (SWA, Izmailov et al. 2018, "Averaging weights
// leads to wider optima"). Each is a share: average += share (w - average) in the update that counts as the n-th. The
// share of the first is 1. This header has no vector types, as registry.h.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

#include "core/registry.h"
#include "core/types.h"

namespace fastnn::optimizers {

enum class AverageUnit { kSteps, kEpochs };

// Which updates count: from epoch `start_epoch` and update `start_step` on, both counted from 0, each `every`-th update,
// or the last update of each `every`-th epoch.
struct AverageTimes {
  std::int64_t start_epoch = 0, start_step = 0, every = 1;
  AverageUnit unit = AverageUnit::kSteps;

  bool counts(std::int64_t epoch, std::int64_t step, bool last_of_epoch) const {
    if (epoch < start_epoch || step < start_step) return false;
    if (unit == AverageUnit::kSteps) return (step - start_step) % every == 0;
    return last_of_epoch && (epoch - start_epoch) % every == 0;
  }
};

struct Average : fastnn::Row {
  double (*share)(const Values& values, std::int64_t n);  // n: number of the update among those that count, from 1
  AverageTimes (*times)(const Values& values);
};

Registry<Average> averages();

// average += share (w - average), on rows of padded columns.
template <class T>
struct AverageTile {
  Index rows = 0, cols = 0;
  const T* param = nullptr;
  T* average = nullptr;
  Index stride = 0;
};
template <class T>
void add_to_average(const AverageTile<T>& tile, T share) noexcept;
// The same of n contiguous numbers at any address.
template <class T>
void add_to_average(const T* param, T* average, Index n, T share) noexcept;

}  // namespace fastnn::optimizers
