// Engine: the serial work between two phases, which the last thread to leave a phase does: it begins and ends batches,
// and adds up the sums of the chunks and tiles of the phase.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cmath>

#include "core/faults.h"
#include "run/engine.h"

namespace fastnn::run {

// Before a batch: selects its rows and its plan, and computes the divisor of the loss and the optimizer's coefficients.
template <class T>
void Engine<T>::begin_batch() noexcept {
  if (faults::allocation.load(std::memory_order_relaxed)) ::operator delete(::operator new(64));
  batch_number_ = ws_.next_batch();
  batch_first_ = cursor_;
  batch_rows_ = std::min(batch_size_, rows_ - cursor_);
  plan_ = batch_rows_ == full_->rows ? full_ : ragged_;
  ws_.set_rows(batch_rows_);
  if (plan_->goal.row_cells > 0) begin_cells();
  if (plan_->goal.forward && !batch().own_statistics())
    for (int k = 0; k < net_.depth(); ++k)
      if (!net_.layer(k).traits().row_local) merge_statistics(k, 0, 0);
  if (plan_->goal.gradient != Gradient::kNone) batch_weight_ = static_cast<double>(batch_rows_);
  if (!compiled_) return;
  losses::Weighed weighed{losses::unweighted(batch_rows_)};
  if (data_.weights) weighed = losses::weigh<T>(data_.weights, {order_, batch_first_}, batch_rows_, ws_.weights.data());
  sums_ = weighed.sums;
  if (data_.weights) batch_weight_ = sums_.weight * losses::power_of_two(sums_.exponent);
  if (!compiled_->loss_traits.class_weights.empty()) weigh_classes();
  updates_ = plan_->goal.update;
  if (accumulates()) join_group();
  scale_ = static_cast<T>(compiled_->loss_traits.scale(sums_));
  if (!weighed.valid || !std::isfinite(scale_)) flag(Verdict::kBadWeight);
  if (plan_->goal.guard)
    for (Index k = 0; k < plan_->chunks; ++k) ws_.chunks[k].gradient_bound = 0;
  if (!updates_) return;
  compiled_->begin_update(plan_->trained, batch_weight_);
  average_share_ = 0;
  if (const auto* average = compiled_->averaging) {
    const bool last = ends_epoch && cursor_ + batch_rows_ >= rows_;
    if (average->times(compiled_->averaging_values).counts(epoch, progress.step, last))
      average_share_ = static_cast<T>(average->share(compiled_->averaging_values, progress.averaged + 1));
  }
}

// Where the cells of each chunk begin, so that the chunks can be sorted independently.
template <class T>
void Engine<T>::begin_cells() noexcept {
  sparse_.rows = {&data_.x, {order_, batch_first_}, net_.preparation().scaling()};
  sparse_.blocks = ws_.cell_blocks(*plan_, net_.n_features());
  if (plan_->cell_block == 0) return;
  for (Index chunk = 0, row = 0, cells = 0; chunk < plan_->chunks; ++chunk) {
    ws_.chunk_cells[chunk] = cells;
    for (const Index end = std::min(row + plan_->chunk, batch_rows_); row < end; ++row)
      cells += sparse_.rows.cells(row);
  }
}

// Whether the batch ends with an update, and its share in the gradient of its group of batches. Shares are quotients of
// the divisors of means; sums of losses are added as they are.
template <class T>
void Engine<T>::join_group() noexcept {
  losses::Sums all = progress.group.sums;
  const bool first = progress.group.batches == 0;
  if (!first) {
    all.add(sums_);
    const double before =
        progress.group.sums.divisor * losses::power_of_two(progress.group.sums.exponent - all.exponent);
    const double share = all.divisor > 0 ? before / all.divisor : 1;
    kept_ = static_cast<T>(compiled_->loss_traits.is_sum ? 1 : share);
    added_ = static_cast<T>(compiled_->loss_traits.is_sum ? 1 : 1 - share);
  } else {
    all = sums_;
    kept_ = 0;
  }
  batch_weight_ = all.weight * losses::power_of_two(all.exponent);
  const bool last = ends_epoch && cursor_ + batch_rows_ >= rows_;
  updates_ = updates_ && (last || progress.group.batches + 1 >= compiled_->settings.accumulate);
}

// The mean of a loss with weights of classes is divided by those of the batch's rows, which have to be read before its
// gradient. Rows whose class is wrong are found when they are gathered.
template <class T>
void Engine<T>::weigh_classes() noexcept {
  const Reals table = compiled_->loss_traits.class_weights;
  if (!data_.y || !compiled_->loss->takes_classes(data_.y.cols)) return;
  kernels::gather_classes(data_.y, {order_, batch_first_}, batch_rows_, net_.n_outputs(), ws_.labels.data());
  const T* weights = data_.weights ? ws_.weights.data() : nullptr;
  sums_.divisor = losses::weight_of_classes<T>(table.all(), ws_.labels.data(), weights, batch_rows_);
}

template <class T>
int Engine<T>::finish(int phase, bool stopped) noexcept {
  const Phase& p = at(phase);
  if (stopped && may_skip(phase)) {
    flag(Verdict::kStopped);
    return parallel::kEnd;
  }
  if (p.kind == Phase::kRows && verdict_ == Verdict::kGood) merge(p);
  if (p.kind == Phase::kTiles && plan_->goal.clip && updates_) merge_norm();
  if (verdict_ != Verdict::kGood) return parallel::kEnd;
  const bool ends = phase + 1 == static_cast<int>(plan_->phases.size());
  if (!ends && (updates_ || at(phase + 1).kind != Phase::kUpdate)) return phase + 1;
  const int next = end_batch();
  if (stopped && next != parallel::kEnd) {
    flag(Verdict::kStopped);
    return parallel::kEnd;
  }
  return next;
}

// Adds up the sums of the chunks, in the order of the chunks.
template <class T>
void Engine<T>::merge(const Phase& phase) noexcept {
  for (const Op& op : phase.ops) {
    const auto& layer = net_.layer(op.layer);
    const auto& slot = ws_.slot(op.layer);
    if (op.kind == Op::kForwardPartial) merge_statistics(op.layer, plan_->chunks, plan_->chunk);
    if (op.kind == Op::kBackwardPartial) layer.backward_merge(slot, plan_->chunks, batch_rows_);
    if (op.kind == Op::kLoss) merge_loss();
    if (op.kind == Op::kBoundGradient) return merge_gradient_bounds();  // of all layers at once
  }
}

// chunks == 0: takes the running statistics. If they are Inf or NaN, a pass that only predicts returns Inf or NaN.
template <class T>
void Engine<T>::merge_statistics(int layer, Index chunks, Index chunk_rows) noexcept {
  const Index column = net_.layer(layer).forward_merge(ws_.slot(layer), chunks, chunk_rows, batch_rows_);
  if (column == Layer<T>::kUsable || (!plan_->goal.training && plan_->goal.gradient == Gradient::kNone)) return;
  if (verdict_ != Verdict::kStatisticsNotFinite) unusable_ = {layer, column};
  flag(Verdict::kStatisticsNotFinite);
}

template <class T>
void Engine<T>::merge_loss() noexcept {
  for (Index k = 0; k < plan_->chunks; ++k) sums_.loss += ws_.chunks[k].loss;
  last_loss_ = compiled_->loss_traits.average(sums_);
  if (!std::isfinite(last_loss_)) flag(Verdict::kLossNotFinite);
}

template <class T>
void Engine<T>::merge_metrics() noexcept {
  auto factors = totals_.sums.factors(sums_);
  for (Index k = 0; k < plan_->chunks; ++k) {
    const double* sums = chunk_sums_.data() + k * compiled_->metrics.size();
    compiled_->metrics.join(metric_sums_.data(), factors.own, sums, factors.its);
    factors.own = 1;
  }
}

template <class T>
void Engine<T>::merge_gradient_bounds() noexcept {
  double most = 0;
  for (Index k = 0; k < plan_->chunks; ++k) most += ws_.chunks[k].gradient_bound;
  if (!(most <= kLargestSafeGradient<T>)) flag(Verdict::kMayOverflow);
}

template <class T>
void Engine<T>::merge_norm() noexcept {
  for (auto& each : compiled_->clips) each.squares = 0;
  for (std::size_t k = 0; k < plan_->tiles.size(); ++k)
    compiled_->clipped(plan_->tiles[k].param).squares += ws_.norms[static_cast<Index>(k)];
  for (auto& each : compiled_->clips) {
    const double norm = std::sqrt(each.squares);
    if (!std::isfinite(norm)) flag(Verdict::kWeightsNotFinite);
    each.factor = static_cast<T>(clip_factor(norm, each.max_grad_norm));
  }
}

template <class T>
double Engine<T>::merge_penalty() noexcept {
  if (!compiled_->settings.penalty_in_loss) return 0;
  double penalty = 0;
  for (std::size_t k = 0; k < plan_->tiles.size(); ++k) penalty += ws_.penalties[static_cast<Index>(k)];
  return penalty;
}

// Adds the batch to its group; with the update, the loss of the group and the penalty are added to the totals.
template <class T>
void Engine<T>::count_losses() noexcept {
  Group& group = progress.group;
  if (group.batches++ == 0)
    group.sums = sums_;
  else
    group.sums.add(sums_);
  group.rows += batch_rows_;
  if (!updates_) return;
  const double penalty = merge_penalty(), count = compiled_->loss_traits.is_sum ? 1 : static_cast<double>(group.rows);
  last_loss_ += penalty;
  totals_.objective += count * (compiled_->loss_traits.average_over_rows(group.sums) + penalty);
  totals_.penalty += count * penalty;
  totals_.counted += count;
  group = {};
}

template <class T>
int Engine<T>::end_batch() noexcept {
  const Goal& goal = plan_->goal;
  if (goal.forward && batch().own_statistics()) {
    for (int k = 0; k < net_.depth(); ++k) {
      if (net_.layer(k).traits().row_local || net_.frozen(k)) continue;
      net_.layer(k).commit(ws_.slot(k), batch_rows_);
      net_.count_batch(k);
    }
  }
  if (goal.forward && goal.training) ++progress.draw;
  if (goal.gradient == Gradient::kLoss) {
    if (wants_accuracy)
      for (Index k = 0; k < plan_->chunks; ++k) sums_.right += ws_.chunks[k].right;
    // The mean over outputs has been taken in the batch; over batches, only the mean over rows remains.
    if (!compiled_->loss_traits.is_sum) sums_.loss = last_loss_ * sums_.divisor;
    if (measures_) merge_metrics();
    totals_.sums.add(sums_);
  }
  if (accumulates() || (updates_ && goal.forward && compiled_->settings.penalty_in_loss)) count_losses();
  if (updates_) {
    compiled_->end_update(plan_->trained);
    ++progress.step;
    progress.draw = 0;
    if (average_share_ != 0) ++progress.averaged;
  }
  ++totals_.steps;
  cursor_ += batch_rows_;
  if (--steps_left_ <= 0 || exhausted()) return parallel::kEnd;
  begin_batch();
  return plan_->loop_start;
}

template void Engine<float>::begin_batch() noexcept;
template void Engine<double>::begin_batch() noexcept;
template int Engine<float>::finish(int, bool) noexcept;
template int Engine<double>::finish(int, bool) noexcept;

}  // namespace fastnn::run
