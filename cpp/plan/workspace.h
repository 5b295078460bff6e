// Workspace: the memory of a step, sized once when a model meets its batch size: activations, their gradients, scratch.
// It holds no parameters, no gradients of parameters and no optimizer state: those outlive it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <vector>

#include "plan/plan.h"

namespace fastnn::plan {

template <class T>
class Workspace {
 public:
  // For batches of at most `rows` rows; need_dx: the gradient of the input as well.
  Workspace(const Network<T>& network, Index rows, bool need_dx);

  Index capacity() const { return capacity_; }
  bool has_dx() const { return has_dx_; }
  // Views of the first `rows` rows.
  void set_rows(Index rows);
  layers::Slot<T>& slot(int layer) { return slots_[static_cast<std::size_t>(layer)]; }
  Matrix<T> input() { return input_; }
  Matrix<T> output() { return slots_.back().y; }
  Matrix<T> dout() { return gradients_.back(); }
  Matrix<T> dinput() { return gradients_.front(); }
  // Of what node `value` gives, or of the prepared rows (graph::kInput): where what reads it leaves its gradient.
  Matrix<T> gradient(int value) { return gradients_[static_cast<std::size_t>(value + 1)]; }

  Matrix<T> targets;            // dense targets, rows x outputs
  Buffer<std::int32_t> labels;  // class targets
  Buffer<T> weights;
  Buffer<double> loss, right, gradient_bounds;  // a number per chunk
  Buffer<double> norms;                         // a number per tile
  void need_norms(Index tiles) {
    if (norms.size() < tiles) norms = Buffer<double>(tiles);
  }
  void need_threads(int n_threads, Index tile_size) {
    const Index share = std::max(tile_size_, tile_size);
    if (tile_scratch_.size() < n_threads * share) tile_scratch_ = Buffer<T>(n_threads * share);
    tile_size_ = share;
  }
  Matrix<T> tile_scratch(int thread, Index rows, Index cols) {
    return {tile_scratch_.data() + thread * tile_size_, rows, cols, padded<T>(cols)};
  }

 private:
  void take_all(const Network<T>& network);
  void take_activations(const Network<T>& network);
  void take_gradients(const Network<T>& network);
  Matrix<T> take(Index cols) { return arena_.take(capacity_, cols); }

  Index capacity_;
  bool has_dx_;
  Matrix<T> input_;
  std::vector<layers::Slot<T>> slots_;
  std::vector<Matrix<T>> gradients_;  // that of the rows first, then those of the nodes
  Arena<T> arena_;                    // of all matrices
  std::vector<Buffer<double>> sums_;
  Buffer<T> tile_scratch_;
  Index tile_size_ = 0;  // a thread's share of it
};

}  // namespace fastnn::plan
