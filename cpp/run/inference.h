// Inference: forward passes that leave nothing behind: predict and evaluate. Rows run in chunks through a few buffers a
// thread, two for a chain of layers; many calls may run on one network at a time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "run/compiled.h"
#include "run/engine.h"

namespace fastnn::run {

// The buffer to which each node writes its output: that of its first input if the layer may overwrite it and no later
// node reads it; otherwise the first buffer whose contents are no longer needed.
template <class T>
class Buffers {
 public:
  explicit Buffers(const Network<T>& network);
  int count() const { return count_; }
  Index columns() const { return columns_; }  // of the widest node
  int of(int node) const { return of_[static_cast<std::size_t>(node)]; }
  static constexpr int kRows = -1;  // the buffer of the prepared rows
  // Can the first layer read the caller's rows in place?
  bool reads_callers_rows() const { return reads_callers_rows_; }

 private:
  std::vector<int> of_;
  int count_ = 0;
  Index columns_ = 0;
  bool reads_callers_rows_ = false;
};

// The memory that one thread needs for a chunk.
template <class T>
struct Scratch {
  Scratch(Index rows, const Network<T>& network, const Buffers<T>& buffers)
      : capacity(rows),
        input(rows, network.n_features()),
        targets(rows, network.n_outputs()),
        labels(rows),
        weights(rows) {
    for (int k = 0; k < buffers.count(); ++k) values.emplace_back(rows, buffers.columns());
  }
  Index capacity;
  MatrixBuffer<T> input, targets;
  std::vector<MatrixBuffer<T>> values;
  Buffer<std::int32_t> labels;
  Buffer<T> weights;
  Buffer<T> packed;  // the packed W of wide layers, in the first scratch of a call; empty until a call has many rows
};

// The scratch memory that no call uses at present. What was returned last is kept in an atomic pointer, so that a
// single caller never needs the mutex. No caller waits for the mutex, which stays locked forever in a child that was
// forked while another thread held it: if it is locked, the caller allocates new scratch memory.
template <class T>
class ScratchPool {
 public:
  using Lease = std::unique_ptr<Scratch<T>>;
  explicit ScratchPool(const Network<T>& network) : buffers(network), net_(network) {}
  ScratchPool(const ScratchPool&) = delete;
  ~ScratchPool() { delete spare_.load(); }
  Lease take(Index rows);
  void give_back(Lease scratch) noexcept;  // frees it if it cannot be kept

  const Buffers<T> buffers;

 private:
  const Network<T>& net_;
  std::atomic<Scratch<T>*> spare_{nullptr};
  std::mutex mutex_;
  std::vector<Lease> idle_;
};

// The number of threads for a pass of so many flops that leaves nothing behind: `asked` if it is above 0.
int threads_for(double flops, int asked);

template <class T>
class Inference final : public parallel::Program {
 public:
  Inference(const Network<T>& network, ScratchPool<T>& pool, const Compiled<T>* compiled, const Data& data, Index rows);
  int pick_threads(int asked) const { return threads_for(flops_, asked); }
  // Stores the results of row r at out + r * out_stride.
  void write_to(T* out, Index out_stride, bool link) { out_ = out, out_stride_ = out_stride, link_ = link; }
  // With the loss, the sums of the compiled metrics and, if asked for, the accuracy.
  void score(bool accuracy) { score_ = true, accuracy_ = accuracy, measures_ = !compiled_->metrics.empty(); }
  Verdict run(int n_threads, parallel::Poll poll);
  Scores scores() const;
  const OutputOutside& outside() const { return outside_; }

  Index items(int phase) const noexcept override;
  double item_flops(int phase) const noexcept override;
  bool may_skip(int) const noexcept override { return true; }
  void run(int phase, Index item, parallel::Worker& worker) noexcept override;
  int finish(int phase, bool stopped) noexcept override;

 private:
  enum { kRepack, kChunks };  // The phases: an item packs a block of rows of a W; an item computes a chunk of rows.
  struct Strip {
    const Parameter* parameter;
    Range rows;
  };
  void plan_repacking(Scratch<T>& scratch);
  void chunk(Scratch<T>& scratch, Index item) noexcept;
  ConstMatrix<T> input(Scratch<T>& scratch, Index first, Index count) noexcept;
  Matrix<T> carry(Scratch<T>& scratch, ConstMatrix<T> x, Index first) noexcept;
  Matrix<T> value(Scratch<T>& scratch, int node, Index rows) noexcept;
  // Returns whether `out` has become the predictions.
  bool score_chunk(Scratch<T>& scratch, Matrix<T> out, kernels::RowIds ids, Index item) noexcept;
  bool measure_chunk(Matrix<T> out, const losses::Targets<T>& targets, const T* weights, Index item) noexcept;

  const Network<T>& net_;
  ScratchPool<T>& pool_;
  const Compiled<T>* compiled_;
  Data data_;
  Index rows_, chunk_;
  Index row_cells_;    // as Goal::row_cells
  int sparse_reader_;  // the node that reads sparse rows, or graph::kNoNode
  double flops_;
  T* out_ = nullptr;
  Index out_stride_ = 0;
  bool link_ = false, score_ = false, accuracy_ = false, measures_ = false;
  std::vector<losses::Sums> sums_;  // of each chunk
  std::vector<double> chunk_sums_;  // of metrics, of each chunk
  OutputOutside outside_;
  std::vector<typename ScratchPool<T>::Lease> scratches_;
  std::vector<PackedMatrix<T>> packed_w_;  // by layer; if empty, W is read row-major
  std::vector<Strip> repack_tiles_;
  std::atomic<Verdict> verdict_{Verdict::kGood};
};

}  // namespace fastnn::run
