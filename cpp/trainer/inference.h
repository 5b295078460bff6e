// Inference: forward passes that leave nothing behind: predict and evaluate. Rows run in chunks through two buffers a
// thread; many calls may run on one network at a time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "trainer/compiled.h"
#include "trainer/engine.h"
#include "trainer/model.h"

namespace fastnn::inline FASTNN_ISA::trainer {

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
};

template <class T>
class LanePool {
 public:
  using Lease = std::vector<std::unique_ptr<Lane<T>>>;
  Lease take(const Network<T>& network, int n, Index rows);
  void give_back(Lease lease);

 private:
  std::mutex mutex_;
  Lease idle_;
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
  int threads_used() const { return threads_used_; }

  Index items(int) const noexcept override { return ceil_div(rows_, chunk_); }
  double item_flops(int) const noexcept override { return net_.flops_per_row() * static_cast<double>(chunk_); }
  bool may_skip(int) const noexcept override { return true; }
  void run(int phase, Index item, parallel::Worker& worker) noexcept override;
  int finish(int, bool stopped) noexcept override;

 private:
  Matrix<T> carry(Lane<T>& lane, Matrix<T> x) const noexcept;
  void score_chunk(Lane<T>& lane, ConstMatrix<T> out, kernels::RowIds ids, Index item) noexcept;

  const Network<T>& net_;
  const Compiled<T>* compiled_;
  Data data_;
  Index rows_, chunk_;
  T* out_ = nullptr;
  Index out_stride_ = 0;
  bool link_ = false, score_ = false, accuracy_ = false;
  Buffer<double> loss_, right_, weight_;  // a number per chunk
  typename LanePool<T>::Lease lanes_;
  int threads_used_ = 1;
  std::atomic<Verdict> verdict_{Verdict::kGood};
};

}  // namespace fastnn::inline FASTNN_ISA::trainer
