// Engine: runs a plan, batch after batch, as a parallel::Program, without allocations, exceptions or Python. Plans are
// made by plan.h; the trainer decides on threads and epochs.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <vector>

#include "core/parallel.h"
#include "kernels/reduce.h"
#include "plan/workspace.h"
#include "run/compiled.h"
#include "run/data.h"
#include "run/snapshot.h"

namespace fastnn::run {

using layers::Layer;
using layers::Range;
using plan::Form;
using plan::Goal;
using plan::Gradient;
using plan::Op;
using plan::Phase;
using plan::Plan;
using plan::Tile;
using plan::Workspace;

// Gradients beyond this may overflow when an optimizer squares them.
template <class T>
inline constexpr double kLargestSafeGradient = sizeof(T) == 4 ? 1e18 : 1e150;

enum class Verdict {
  kGood,
  kBadX,
  kBadTarget,
  kBadWeight,
  kBadGrad,
  kStatisticsNotFinite,  // the statistics of BatchNorm are not finite, or a variance is zero
  kBadOutput,            // an output is outside the range in the loss's registry row
  kLossNotFinite,
  kMayOverflow,  // overflow guard: the update, which was not done, may overflow, so a snapshot is needed first
  kWeightsNotFinite,
  kStopped
};

// Records a verdict. The first one in the order of the enum wins, so that messages do not depend on threads.
inline void flag(std::atomic<Verdict>& seen, Verdict found) noexcept {
  Verdict before = seen.load(std::memory_order_relaxed);
  while ((before == Verdict::kGood || found < before) && !seen.compare_exchange_weak(before, found)) {
  }
}

// The factor of clipping by global norm, as in torch.
inline double clip_factor(double norm, double max_norm) { return std::min(1.0, max_norm / (norm + 1e-6)); }

// The sum of squares of one tile of a gradient buffer. Norms are sums of these in the order of the plan's tiles.
template <class T>
double tile_squares(const Network<T>& network, T* gradients, const Tile& tile) {
  const Matrix<T> whole = network.parameters()[static_cast<std::size_t>(tile.param)].in(gradients);
  return kernels::sum_of_squares<T>(whole.block(tile.rows.first, tile.cols.first, tile.rows.count, tile.cols.count));
}

// The penalty of one tile of a parameter, l2 / 2 sum(w^2) + l1 sum(|w|).
template <class T>
double tile_penalty(ConstMatrix<T> tile, double l2, double l1) {
  const double squares = l2 != 0 ? kernels::sum_of_squares<T>(tile) : 0;
  const double sizes = l1 != 0 ? kernels::sum_of_sizes<T>(tile) : 0;
  return l2 / 2 * squares + l1 * sizes;
}

// Sums over the batches of an epoch. `objective` and `penalty` are of the losses with penalties and of these alone: each
// batch counts with its rows, or once if the loss is a sum, and `counted` is the sum of these counts. So the mean of an
// epoch is that of scikit-learn's loss_curve_.
struct Totals {
  losses::Sums sums;
  Index steps = 0;
  double objective = 0, penalty = 0, counted = 0;
};

// The first row with an output outside the range of the loss, and that output. Every thread records what it finds.
class OutputOutside {
 public:
  void note(Index row, double value) noexcept {
    const std::lock_guard lock(mutex_);
    if (row < row_) row_ = row, value_ = value;
  }
  Index row() const { return row_; }
  double value() const { return value_; }

 private:
  std::mutex mutex_;
  Index row_ = std::numeric_limits<Index>::max();
  double value_ = 0;
};

template <class T>
class Engine final : public parallel::Program {
 public:
  // gradients: for the materialised form, with the layout of the network's values; the fused form needs none.
  // gradients_weight: of the batch from which these are, for updates without a backward pass.
  Engine(Network<T>& network, Compiled<T>* compiled, Workspace<T>& workspace, T* gradients, Progress so_far,
         double gradients_weight)
      : progress(so_far),
        net_(network),
        compiled_(compiled),
        ws_(workspace),
        gradients_(gradients),
        batch_weight_(gradients_weight) {}
  Engine(const Engine&) = delete;

  // Sets the data of the following runs: `rows` rows of `data` in `order` (nullptr: in sequence), in batches. The
  // totals go on.
  void feed(const Data& data, const std::int64_t* order, Index rows, Index batch_size);
  // Sets the plans for full and for ragged batches (the same plan if there is no ragged batch).
  void use(const Plan* full, const Plan* ragged) {
    full_ = full, ragged_ = ragged;
    ws_.set_wanted(full->wanted);
    const int reader = net_.readers(graph::kInput)[0];
    ws_.slot(reader).sparse = full->sparse_reader == reader ? &sparse_ : nullptr;
  }
  bool wants_accuracy = false;
  // From now on, the sums of the compiled metrics are taken of every batch.
  void measure(Index chunks) {
    measures_ = !compiled_->metrics.empty();
    chunk_sums_.resize(static_cast<std::size_t>(chunks * compiled_->metrics.size()));
    metric_sums_.resize(static_cast<std::size_t>(compiled_->metrics.size()));
  }
  const std::vector<double>& metric_sums() const { return metric_sums_; }  // in the unit of totals().sums
  // Of the rows that are fed: the number of their epoch, and whether they end it. Its last batch updates also if fewer
  // batches than `accumulate` have come since the last update.
  Index epoch = 0;
  bool ends_epoch = false;
  Progress progress;

  // Runs up to `max_steps` batches on n_threads threads. Every finished step is added to the totals.
  Verdict run(Index max_steps, int n_threads, parallel::Poll poll);
  bool exhausted() const { return cursor_ >= rows_; }
  void rewind() {
    cursor_ = 0, totals_ = {};
    std::fill(metric_sums_.begin(), metric_sums_.end(), 0.0);
  }
  // The next run begins with the last batch again, whose forward pass it continues. `loss` is what the caller computed.
  void again(double loss) { cursor_ = batch_first_, last_loss_ = loss, --totals_.steps; }
  const Totals& totals() const { return totals_; }
  double last_loss() const { return last_loss_; }
  double batch_weight() const { return batch_weight_; }  // the sum of the weights of the last batch's rows
  const std::int64_t* order() const { return order_; }
  int threads_used() const { return threads_used_; }
  Index batch_first() const { return batch_first_; }  // of the batch that ended the last run
  Index batch_rows() const { return batch_rows_; }
  // After Verdict::kStatisticsNotFinite: why a layer could not normalise the batch.
  layers::StatisticsError statistics_error() {
    return net_.layer(unusable_.layer).statistics_error(ws_.slot(unusable_.layer), unusable_.column);
  }
  const OutputOutside& outside() const { return outside_; }

  // A thread that is alone sums the parts of a tile one after the other, when it updates the tile.
  Index items(int phase) const noexcept override {
    return alone_ && at(phase).kind == Phase::kParts ? 0 : at(phase).items;
  }
  Index share_end(int phase, int t, int threads) const noexcept override {
    return std::min(items(phase), at(phase).share_end(t, threads));
  }
  double item_flops(int phase) const noexcept override {
    const bool sums_parts = alone_ && at(phase).kind == Phase::kTiles && plan_->parts() > 0;
    return at(phase).item_flops + (sums_parts ? 2 * at(phase - 1).item_flops : 0);
  }
  bool may_skip(int phase) const noexcept override;
  void run(int phase, Index item, parallel::Worker& worker) noexcept override;
  int finish(int phase, bool stopped) noexcept override;

 private:
  const Phase& at(int phase) const { return plan_->phases[static_cast<std::size_t>(phase)]; }
  layers::Batch batch() const {
    return {.training = plan_->goal.training,
            .rows = batch_rows_,
            .seed = net_.seed(),
            .step = static_cast<std::uint64_t>(progress.step),
            .draw = static_cast<std::uint64_t>(plan_->goal.update ? progress.group.batches : progress.draw),
            .packed = plan_->packs_w};
  }
  void begin_batch() noexcept;
  void begin_cells() noexcept;
  void weigh_classes() noexcept;
  void apply(const Op& op, Range rows, Index chunk, int thread) noexcept;
  const layers::Slot<T>& own_slot(int layer, int param, int thread) noexcept;
  void gather(Range rows, Index chunk) noexcept;
  void loss(Range rows, Index chunk) noexcept;
  void measure(ConstMatrix<T> out, const losses::Targets<T>& targets, const T* weights, Range rows,
               Index chunk) noexcept;
  void blocks(const Phase& phase, Index item) noexcept;
  void repack(const Tile& tile) noexcept;
  void tile_gradient(Index item, bool may_stop, parallel::Worker& worker) noexcept;
  bool sum_rows(const Tile& tile, Range over, bool may_stop, Matrix<T> grad, const PrefetchTargets<T>* prefetch,
                parallel::Worker& worker) noexcept;
  PrefetchTargets<T> prefetch_targets(const Tile& tile) noexcept;
  bool update_by_factors(const Tile& tile) noexcept;
  // What makes the gradient of a tile besides the matrix of update(): the sum over the second part of the rows, in the
  // same layout, or a factor for each of its rows.
  struct Besides {
    const T *second = nullptr, *left = nullptr;
  };
  void update(const Tile& tile, ConstMatrix<T> grad, Besides besides = {}) noexcept;
  void note_penalty(const Tile& tile) noexcept;
  void add_to_average(const Tile& tile) noexcept;
  void merge(const Phase& phase) noexcept;
  void merge_statistics(int layer, Index chunks, Index chunk_rows) noexcept;
  void merge_loss() noexcept;
  void merge_metrics() noexcept;
  void merge_norm() noexcept;
  double merge_penalty() noexcept;
  void join_group() noexcept;
  void count_losses() noexcept;
  void accumulate(const Op& op, Range rows) noexcept;
  bool accumulates() const { return plan_->goal.accumulate; }
  void add_to_group(Matrix<T> sum, ConstMatrix<T> grad) noexcept;
  void bound_gradient(int layer, Range rows, Index chunk) noexcept;
  void merge_gradient_bounds() noexcept;
  int end_batch() noexcept;
  void flag(Verdict found) noexcept { run::flag(verdict_, found); }
  Matrix<T> gradient_view(const Tile& tile);

  Network<T>& net_;
  Compiled<T>* compiled_;
  Workspace<T>& ws_;
  T* gradients_;
  Data data_;
  kernels::SparseBatch<T> sparse_;  // the batch, if X is read as sparse rows
  const std::int64_t* order_ = nullptr;
  Index rows_ = 0, batch_size_ = 1, cursor_ = 0;
  const Plan *full_ = nullptr, *ragged_ = nullptr, *plan_ = nullptr;
  Index steps_left_ = 0;
  Index batch_first_ = 0, batch_rows_ = 0;
  std::uint64_t batch_number_ = 0;
  struct {
    int layer = 0;
    Index column = 0;
  } unusable_;              // where kStatisticsNotFinite was met
  losses::Sums sums_;       // of the batch
  bool updates_ = false;    // whether this batch ends with an update
  T kept_ = 0, added_ = 1;  // the shares of earlier batches and of this one in the accumulated gradient
  T average_share_ = 0;     // of the parameters after the update in their average; 0: they are not added
  double last_loss_ = 0, batch_weight_ = 1;
  T scale_ = 0;
  bool far_ = false;  // parameters and states do not fit in L2, so they are prefetched before their update
  Totals totals_;
  bool measures_ = false;
  std::vector<double> chunk_sums_, metric_sums_;  // of metrics: of each chunk, and of all batches
  OutputOutside outside_;
  int threads_used_ = 1;
  bool alone_ = true;  // the run has one thread
  std::atomic<Verdict> verdict_{Verdict::kGood};
};

}  // namespace fastnn::run
