// Workspace: the memory of a step, allocated once for a batch size: activations, their gradients and scratch.
// Parameters, their gradients and the optimizer's states live longer and are not in it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "plan/plan.h"

namespace fastnn::plan {

template <class T>
class Workspace {
 public:
  // For batches of up to `rows` rows. need_dx: with memory for the gradient of the input. dense: with memory for dense
  // rows of X; without it, X has to be read as sparse rows.
  Workspace(const Network<T>& network, Index rows, bool need_dx, bool dense = true);

  Index capacity() const { return capacity_; }
  bool has_dx() const { return has_dx_; }
  bool has_input() const { return has_input_; }
  // Makes all views show the first `rows` rows.
  void set_rows(Index rows);
  // Slots have dx2 only where the gradient of that input is among those that the plan computes.
  void set_wanted(const std::vector<bool>& wanted) {
    for (const auto& second : seconds_) slots_[second.node].dx2.data = wanted[second.wanted] ? second.memory : nullptr;
  }
  layers::Slot<T>& slot(int layer) { return slots_[static_cast<std::size_t>(layer)]; }
  Matrix<T> input() { return input_; }
  Matrix<T> output() { return slots_.back().y; }
  Matrix<T> dout() { return gradients_.back(); }
  Matrix<T> dinput() { return gradients_.front(); }
  // The gradient of the output of node `value`, or of the prepared rows if `value` is graph::kInput. The nodes that
  // read that value store it.
  Matrix<T> gradient(int value) { return gradients_[static_cast<std::size_t>(value + 1)]; }

  Matrix<T> targets;            // dense targets, rows x outputs
  Buffer<std::int32_t> labels;  // class targets
  Buffer<T> weights;
  // What a chunk adds to the sums of its batch. Threads store theirs at the same time, each in a cache line of its own.
  struct alignas(kAlign) OfChunk {
    double loss = 0, right = 0, gradient_bound = 0;
  };
  Buffer<OfChunk> chunks;
  Buffer<double> norms, penalties;  // a number per tile
  void need_tiles(Index tiles) {
    if (norms.size() < tiles) norms = Buffer<double>(tiles), penalties = Buffer<double>(tiles);
  }
  // The gradient of a tile, summed over a part of the rows.
  Matrix<T> part_gradient(const Plan& plan, const Tile& tile, Index part) {
    return {part_gradients_.data() + part * plan.part_size + tile.parts_at, tile.rows.count, tile.cols.count,
            padded<T>(tile.cols.count)};
  }
  // The slot of a layer that is not wide as one thread sees it: with a W^T that the thread makes for itself. To make it
  // from W, which the thread reads anyway, takes less time than to move what another thread has made from the cache of
  // its core, and back there for the next update.
  struct OwnSlot {
    layers::Slot<T> slot;
    std::uint64_t batch = 0;  // the number of the batch for which it was made
  };
  OwnSlot& own_slot(int thread, int layer) { return own_[static_cast<std::size_t>(thread)]->slots[layer]; }
  std::uint64_t next_batch() { return ++batch_; }  // the number of another one; no slot has it

  // The memory that each thread has of its own, and that for the gradients of tiles over a part of the rows.
  void need_threads(int n_threads, const Plan& plan) {
    while (own_.size() < static_cast<std::size_t>(n_threads)) own_.push_back(make_own());
    const Index share = std::max(tile_size_, plan.tile_size * (plan.parts() > 0 ? 2 : 1));
    const Index numbers = plan.parts() * plan.part_size;
    if (n_threads > 1 && part_gradients_.size() < numbers) part_gradients_ = Buffer<T>(numbers);
    if (tile_scratch_.size() < n_threads * share) tile_scratch_ = Buffer<T>(n_threads * share);
    tile_size_ = share;
  }
  // The memory for the cells of a batch of sparse rows, in the blocks of the plan.
  void need_cells(Index cells, const Plan& plan, Index columns) {
    const Index starts = plan.chunks * (blocks_of(plan, columns) + 1);
    if (cells_.size() < cells) cells_ = Buffer<kernels::Cell<T>>(cells);
    if (cell_starts_.size() < starts) cell_starts_ = Buffer<Index>(starts);
    if (chunk_cells.size() < plan.chunks) chunk_cells = Buffer<Index>(plan.chunks);
  }
  kernels::CellBlocks<T> cell_blocks(const Plan& plan, Index columns) {
    return {cells_.data(), cell_starts_.data(), plan.cell_block, blocks_of(plan, columns), plan.chunk};
  }
  Buffer<Index> chunk_cells;  // the number of the first cell of each chunk
  // Memory of a thread for the gradient of a tile; with 1 as `which` for that of its second part, if the plan has parts.
  Matrix<T> tile_scratch(int thread, Index rows, Index cols, Index which = 0) {
    return {tile_scratch_.data() + thread * tile_size_ + which * rows * padded<T>(cols), rows, cols, padded<T>(cols)};
  }

 private:
  struct Shape {
    Index rows = 0, cols = 0;
  };
  struct Own {
    Arena<T> arena;
    Buffer<OwnSlot> slots;  // by layer
  };
  void take_all(const Network<T>& network);
  void take_activations(const Network<T>& network);
  void take_gradients(const Network<T>& network);
  Matrix<T> take(Index cols) { return arena_.take(capacity_, cols); }
  std::unique_ptr<Own> make_own() const;

  static Index blocks_of(const Plan& plan, Index columns) {
    return plan.cell_block > 0 ? ceil_div(columns, plan.cell_block) : 0;
  }

  Index capacity_, rows_ = -1;
  bool has_dx_, has_input_;
  Matrix<T> input_;
  std::vector<layers::Slot<T>> slots_;
  std::vector<Matrix<T>> gradients_;  // of the prepared rows, then of the output of each node
  struct Second {
    std::size_t node, wanted;  // wanted: the index in Plan::wanted
    T* memory;                 // of dx2
  };
  std::vector<Second> seconds_;            // of the nodes with two inputs
  Arena<T> arena_;                         // the memory of all matrices
  std::vector<Shape> own_shapes_;          // of W^T that each thread makes for itself, by layer
  std::vector<std::unique_ptr<Own>> own_;  // by thread
  std::uint64_t batch_ = 0;
  std::vector<Buffer<double>> sums_;
  Buffer<T> tile_scratch_, part_gradients_;
  Buffer<kernels::Cell<T>> cells_;
  Buffer<Index> cell_starts_;
  Index tile_size_ = 0;  // the part of tile_scratch_ that each thread has
};

}  // namespace fastnn::plan
