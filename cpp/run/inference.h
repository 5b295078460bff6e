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

// Which buffer of a lane each node writes: that of its first input where the layer may overwrite it and nobody reads it
// later, else the first one that holds nothing which is still to be read.
template <class T>
class Buffers {
 public:
  explicit Buffers(const Network<T>& network);
  int count() const { return count_; }
  Index columns() const { return columns_; }  // of the widest node
  int of(int node) const { return of_[static_cast<std::size_t>(node)]; }
  static constexpr int kRows = -1;  // the buffer of the prepared rows
  // Can the first layer read the caller's rows where they lie?
  bool reads_callers_rows() const { return reads_callers_rows_; }

 private:
  std::vector<int> of_;
  int count_ = 0;
  Index columns_ = 0;
  bool reads_callers_rows_ = false;
};

// What one thread needs to carry a chunk.
template <class T>
struct Lane {
  Lane(Index rows, const Network<T>& network, const Buffers<T>& buffers)
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
  Buffer<T> panels;  // of W, for the call whose first lane this is; empty until one has many rows
};

// Lanes that no call uses now. The one given back last waits apart, so that a caller alone never meets the mutex.
// Nobody waits for the mutex: in a child forked while another thread held it, it stays locked. Such a caller makes a lane.
template <class T>
class LanePool {
 public:
  using Lease = std::unique_ptr<Lane<T>>;
  explicit LanePool(const Network<T>& network) : buffers(network), net_(network) {}
  LanePool(const LanePool&) = delete;
  ~LanePool() { delete spare_.load(); }
  Lease take(Index rows);
  void give_back(Lease lane) noexcept;  // a lane that finds no room is freed

  const Buffers<T> buffers;

 private:
  const Network<T>& net_;
  std::atomic<Lane<T>*> spare_{nullptr};
  std::mutex mutex_;
  std::vector<Lease> idle_;
};

template <class T>
class Inference final : public parallel::Program {
 public:
  Inference(const Network<T>& network, LanePool<T>& pool, const Compiled<T>* compiled, const Data& data, Index rows);
  int pick_threads(int asked) const;
  // Results of each row: T(link(out)) at out + row * out_stride.
  void write_to(T* out, Index out_stride, bool link) { out_ = out, out_stride_ = out_stride, link_ = link; }
  void score(bool accuracy) { score_ = true, accuracy_ = accuracy; }
  Verdict run(int n_threads, parallel::Poll poll);
  Scores scores() const;
  const OutputOutside& outside() const { return outside_; }

  Index items(int phase) const noexcept override;
  double item_flops(int phase) const noexcept override;
  bool may_skip(int) const noexcept override { return true; }
  void run(int phase, Index item, parallel::Worker& worker) noexcept override;
  int finish(int phase, bool stopped) noexcept override;

 private:
  enum { kPanels, kChunks };  // phases: an item repacks a block of rows of some W | carries a chunk of rows
  struct Strip {
    const Parameter* parameter;
    Range rows;
  };
  void plan_panels(Lane<T>& lane);
  void chunk(Lane<T>& lane, Index item) noexcept;
  ConstMatrix<T> input(Lane<T>& lane, Index first, Index count) noexcept;
  Matrix<T> carry(Lane<T>& lane, ConstMatrix<T> x) noexcept;
  Matrix<T> value(Lane<T>& lane, int node, Index rows) noexcept;
  void score_chunk(Lane<T>& lane, ConstMatrix<T> out, kernels::RowIds ids, Index item) noexcept;

  const Network<T>& net_;
  LanePool<T>& pool_;
  const Compiled<T>* compiled_;
  Data data_;
  Index rows_, chunk_;
  double flops_;
  T* out_ = nullptr;
  Index out_stride_ = 0;
  bool link_ = false, score_ = false, accuracy_ = false;
  std::vector<losses::Sums> sums_;  // of each chunk
  OutputOutside outside_;
  std::vector<typename LanePool<T>::Lease> lanes_;
  std::vector<PackedMatrix<T>> panels_;  // of each layer; empty: W is read as it lies
  std::vector<Strip> strips_;
  std::atomic<Verdict> verdict_{Verdict::kGood};
};

}  // namespace fastnn::run
