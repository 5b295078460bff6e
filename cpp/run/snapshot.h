// Snapshot: a copy of the values, the optimizer state and the counters of a model, from which it can be restored.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/buffer.h"
#include "losses/average.h"

namespace fastnn::run {

// The batches whose gradients have been accumulated since the last update.
struct Group {
  std::int64_t batches = 0, rows = 0;
  losses::Sums sums;
};

// Counters of a model. Dropout's random numbers depend on them.
struct Progress {
  std::int64_t step = 0;
  std::int64_t draw = 0;      // training passes since the last update
  std::int64_t averaged = 0;  // updates that have been added to the average of the parameters
  Group group;
};

template <class T>
class Snapshot {
 public:
  // steps: number of updates of each parameter.
  void take(const Buffer<T>& values, const Buffer<T>& states, const std::vector<std::int64_t>& steps,
            const std::vector<std::int64_t>& batches, Progress progress) {
    steps_ = steps;
    batches_ = batches;
    const Index size = values.size() + states.size();
    if (copy_.size() != size) copy_ = Buffer<T>(size);
    copy(copy_.data(), values.data(), values.size());
    copy(copy_.data() + values.size(), states.data(), states.size());
    progress_ = progress;
  }
  const std::vector<std::int64_t>& batches() const { return batches_; }
  Progress put_back(T* values, Buffer<T>& states, std::vector<std::int64_t>& steps) const {
    std::copy(steps_.begin(), steps_.end(), steps.begin());
    const Index n_values = copy_.size() - states.size();
    copy(values, copy_.data(), n_values);
    copy(states.data(), copy_.data() + n_values, states.size());
    return progress_;
  }

 private:
  static void copy(T* to, const T* from, Index size) {
    if (size > 0) std::memcpy(to, from, sizeof(T) * static_cast<std::size_t>(size));
  }
  Buffer<T> copy_;  // values, then states
  std::vector<std::int64_t> steps_, batches_;
  Progress progress_;
};

}  // namespace fastnn::run
