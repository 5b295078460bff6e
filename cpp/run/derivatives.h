// Derivatives: gradients of single rows as results, which leave nothing behind in the model. A chunk of rows goes forward
// through all layers once, without training, and back once for each function that is differentiated: the loss of the
// row, whose gradient by the outputs may be given, or each of the row's outputs. Many calls may run on one network at a
// time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "plan/workspace.h"
#include "run/compiled.h"
#include "run/engine.h"

namespace fastnn::run {

template <class T>
class Derivatives final : public parallel::Program {
 public:
  Derivatives(const Network<T>& network, const Compiled<T>* compiled, const Data& data, Index rows,
              const Wanted& wanted);
  Verdict run(int asked_threads, parallel::Poll poll);
  const OutputOutside& outside() const { return outside_; }
  int threads_used() const { return threads_used_; }

  Index items(int phase) const noexcept override;
  double item_flops(int phase) const noexcept override;
  bool may_skip(int) const noexcept override { return true; }
  void run(int phase, Index item, parallel::Worker& worker) noexcept override;
  int finish(int phase, bool stopped) noexcept override {
    return phase == kRepack && !stopped ? kChunks : parallel::kEnd;
  }

 private:
  enum { kRepack, kChunks };  // The phases: an item packs a block of rows of a W; an item computes a chunk of rows.
  struct Strip {
    const Parameter* parameter;
    Range rows;
  };
  struct Packed {
    PackedMatrix<T> w, wt;  // of a layer; empty if they are not needed
  };
  // The memory of one thread.
  struct Memory {
    Memory(const Network<T>& network, Index rows, bool need_dx, bool need_predictions)
        : workspace(network, rows, need_dx), predictions(need_predictions ? rows : 0, network.n_outputs()) {}
    plan::Workspace<T> workspace;
    MatrixBuffer<T> predictions;
    Buffer<T> tile;
  };

  void plan_repacking();
  bool needs_dx(int layer) const;
  std::unique_ptr<Memory> new_memory() const;
  void chunk(Memory& memory, Index item) noexcept;
  void forward(plan::Workspace<T>& ws, Index first, Index count) noexcept;
  void of_loss(plan::Workspace<T>& ws, Index first, Index count) noexcept;
  void of_each_output(Memory& memory, Index first, Index count) noexcept;
  void backward(Memory& memory, Index first, Index count) noexcept;
  void by_parameters(Memory& memory, int layer, Index first, Index count) noexcept;
  void by_parameter(Memory& memory, const layers::Slot<T>& row, std::size_t parameter, T* to) noexcept;
  layers::Batch batch() const { return {.rows = rows_, .seed = net_.seed(), .packed = true}; }

  const Network<T>& net_;
  const Compiled<T>* compiled_;
  Data data_;
  Index rows_, chunk_;
  const Wanted& wanted_;
  double row_flops_;
  T scale_ = 1;                  // of the gradient of a row's loss
  std::vector<bool> gradients_;  // those that the backward pass computes, as Network::wanted_gradients
  std::vector<std::unique_ptr<Memory>> memories_;  // of each thread
  std::vector<Packed> packed_;                     // by layer
  Buffer<T> packed_memory_;
  std::vector<Strip> strips_;
  OutputOutside outside_;
  int threads_used_ = 1;
  std::atomic<Verdict> verdict_{Verdict::kGood};
};

}  // namespace fastnn::run
