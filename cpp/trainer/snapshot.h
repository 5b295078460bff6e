// Snapshot: values, optimizer state and counters of a model at a moment it can go back to.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "core/buffer.h"

namespace fastnn::trainer {

// How far a model has come; dropout draws from `step`, BatchNorm counts `batches`.
struct Progress {
  std::int64_t step = 0;
  std::int64_t batches = 0;
};

template <class T>
class Snapshot {
 public:
  using States = std::vector<std::shared_ptr<Buffer<T>>>;

  void take(const Buffer<T>& values, const States& states, Progress progress) {
    if (values_.size() != values.size()) values_ = Buffer<T>(values.size());
    copy(values_.data(), values);
    if (states_.size() != states.size()) states_ = std::vector<Buffer<T>>(states.size());
    for (std::size_t s = 0; s < states.size(); ++s) {
      if (states_[s].size() != states[s]->size()) states_[s] = Buffer<T>(states[s]->size());
      copy(states_[s].data(), *states[s]);
    }
    progress_ = progress;
  }
  Progress put_back(T* values, const States& states) const {
    copy(values, values_);
    for (std::size_t s = 0; s < states_.size(); ++s) copy(states[s]->data(), states_[s]);
    return progress_;
  }

 private:
  static void copy(T* to, const Buffer<T>& from) {
    if (from.size() > 0) std::memcpy(to, from.data(), sizeof(T) * static_cast<std::size_t>(from.size()));
  }
  Buffer<T> values_;
  std::vector<Buffer<T>> states_;
  Progress progress_;
};

}  // namespace fastnn::trainer
