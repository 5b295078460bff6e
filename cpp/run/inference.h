// Inference: forward passes that leave nothing behind: predict and evaluate. Rows run in chunks through two buffers a
// thread; many calls may run on one network at a time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "run/compiled.h"
#include "run/engine.h"

namespace fastnn::run {

// What one thread needs to carry a chunk.
template <class T>
struct Lane {
  Lane(Index rows, Index features, Index width, Index outputs)
      : capacity(rows),
        input(rows, features),
        a(rows, width),
        b(rows, width),
        targets(rows, outputs),
        labels(rows),
        weights(rows) {}
  Index capacity;
  MatrixBuffer<T> input, a, b, targets;
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
  LanePool() = default;
  LanePool(const LanePool&) = delete;
  ~LanePool() { delete spare_.load(); }
  Lease take(const Network<T>& network, Index rows);
  void give_back(Lease lane) noexcept;  // a lane that finds no room is freed

 private:
  std::atomic<Lane<T>*> spare_{nullptr};
  std::mutex mutex_;
  std::vector<Lease> idle_;
};

template <class T>
class Inference final : public parallel::Program {
 public:
  Inference(const Network<T>& network, const Compiled<T>* compiled, const Data& data, Index rows);
  int pick_threads(int asked) const;
  // Results of each row: T(link(out)) at out + row * out_stride.
  void write_to(T* out, Index out_stride, bool link) { out_ = out, out_stride_ = out_stride, link_ = link; }
  void score(bool accuracy) { score_ = true, accuracy_ = accuracy; }
  Verdict run(LanePool<T>& pool, int n_threads, parallel::Poll poll);
  Scores scores() const;
  const OutputOutside& outside() const { return outside_; }

  Index items(int phase) const noexcept override;
  double item_flops(int phase) const noexcept override;
  bool may_skip(int) const noexcept override { return true; }
  void run(int phase, Index item, parallel::Worker& worker) noexcept override;
  int finish(int phase, bool stopped) noexcept override;

 private:
  enum { kPanels, kChunks };  // phases: an item lays out a block of rows of some W | carries a chunk of rows
  struct Strip {
    const Parameter* parameter;
    Range rows;
  };
  void plan_panels(Lane<T>& lane);
  void chunk(Lane<T>& lane, Index item) noexcept;
  ConstMatrix<T> input(Lane<T>& lane, Index first, Index count) noexcept;
  Matrix<T> carry(Lane<T>& lane, ConstMatrix<T> x) noexcept;
  void score_chunk(Lane<T>& lane, ConstMatrix<T> out, kernels::RowIds ids, Index item) noexcept;

  const Network<T>& net_;
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
