// SPDX-License-Identifier: BSD-3-Clause
#include "trainer/engine.h"

#include <algorithm>
#include <cmath>

#include "core/faults.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"

namespace fastnn::inline FASTNN_ISA::trainer {

template <class T>
void Engine<T>::feed(const Data& data, const std::int64_t* order, Index rows, Index batch_size) {
  data_ = data;
  order_ = order;
  rows_ = rows;
  batch_size_ = batch_size;
  rewind();
}

template <class T>
Verdict Engine<T>::run(Index max_steps, int n_threads, parallel::Poll poll) {
  verdict_ = Verdict::kGood;
  steps_left_ = max_steps;
  begin_batch();
  const auto outcome = parallel::run(*this, 0, n_threads, poll);
  threads_used_ = outcome.threads_used;
  if (outcome.stopped && verdict_ == Verdict::kGood) verdict_ = Verdict::kStopped;
  return verdict_;
}

// Serial work before a batch: which rows, which plan, what the loss is divided by, what the optimizer needs.
template <class T>
void Engine<T>::begin_batch() noexcept {
  if (faults::allocation.load(std::memory_order_relaxed)) ::operator delete(::operator new(64));
  batch_first_ = cursor_;
  batch_rows_ = std::min(batch_size_, rows_ - cursor_);
  plan_ = batch_rows_ == full_->rows ? full_ : ragged_;
  ws_.set_rows(batch_rows_);
  grad_factor_ = 1;
  if (plan_->goal.forward && !plan_->goal.training)
    for (int k = 0; k < net_.depth(); ++k)
      if (!net_.layer(k).traits().row_local) net_.layer(k).forward_merge(ws_.slot(k), 0, 0, batch_rows_);
  if (!compiled_) return;
  weight_sum_ = static_cast<double>(batch_rows_);
  if (data_.weights) {
    const kernels::RowIds ids{order_, batch_first_};
    weight_sum_ = 0;
    for (Index r = 0; r < batch_rows_; ++r)
      weight_sum_ += static_cast<double>(static_cast<T>(kernels::element(data_.weights, ids[r], 0)));
  }
  scale_ = static_cast<T>(1 / compiled_->divisor(weight_sum_, net_.n_outputs()));
  if (plan_->goal.update) compiled_->set_step(progress.step + 1);
}

template <class T>
bool Engine<T>::may_skip(int phase) const noexcept {
  // A phase that changes parameters, once begun, ends: the model is never half a step.
  const auto kind = at(phase).kind;
  if (kind == Phase::kUpdate) return false;
  return !(kind == Phase::kTiles && plan_->goal.update && plan_->goal.form == Form::kFused);
}

template <class T>
void Engine<T>::run(int phase, Index item, int thread) noexcept {
  const Phase& p = at(phase);
  switch (p.kind) {
    case Phase::kRows: {
      const Range rows{item * p.row_step, std::min(p.row_step, batch_rows_ - item * p.row_step)};
      for (const Op& op : p.ops) apply(op, rows, item);
      return;
    }
    case Phase::kBlocks:
      return blocks(p, item);
    case Phase::kTranspose:
      return transpose(plan_->transposes[static_cast<std::size_t>(item)]);
    case Phase::kTiles:
      return tile_gradient(item, thread);
    case Phase::kUpdate: {
      const Tile& tile = plan_->tiles[static_cast<std::size_t>(item)];
      return update(tile, gradient_view(tile));
    }
  }
}

template <class T>
void Engine<T>::apply(const Op& op, Range rows, Index chunk) noexcept {
  const auto& layer = net_.layer(op.layer);
  const auto& slot = ws_.slot(op.layer);
  switch (op.kind) {
    case Op::kGather:
      return gather(rows);
    case Op::kForward:
      return layer.forward(slot, rows, {0, layer.out()}, pass());
    case Op::kForwardPartial:
      return layer.forward_partial(slot, rows, slot.partials + chunk * layer.partial_size());
    case Op::kLoss:
      return loss(rows, chunk);
    case Op::kGiven: {
      const kernels::RowIds ids{order_, batch_first_ + rows.first};
      if (!kernels::gather<T>(data_.grad, ids, {}, ws_.dout().middle_rows(rows.first, rows.count)))
        flag(Verdict::kBadGrad);
      return;
    }
    case Op::kBackward:
      return layer.backward(slot, rows, {0, layer.in()}, pass());
    case Op::kBackwardPartial:
      return layer.backward_partial(slot, rows, slot.partials + chunk * layer.partial_size());
  }
}

template <class T>
void Engine<T>::gather(Range rows) noexcept {
  const kernels::RowIds ids{order_, batch_first_ + rows.first};
  if (!kernels::gather<T>(data_.x, ids, net_.scaling(), ws_.input().middle_rows(rows.first, rows.count)))
    flag(Verdict::kBadX);
  if (data_.y) {
    const bool good =
        compiled_->loss->target == losses::TargetKind::kDense
            ? kernels::gather<T>(data_.y, ids, {}, ws_.targets.middle_rows(rows.first, rows.count))
            : kernels::gather_classes(data_.y, ids, rows.count, net_.n_outputs(), ws_.labels.data() + rows.first);
    if (!good) flag(Verdict::kBadTarget);
  }
  if (data_.weights)
    for (Index r = rows.first; r < rows.first + rows.count; ++r) {
      ws_.weights[r] = static_cast<T>(kernels::element(data_.weights, ids[r - rows.first], 0));
      if (!(ws_.weights[r] >= 0) || std::isinf(ws_.weights[r])) flag(Verdict::kBadWeight);
    }
}

template <class T>
void Engine<T>::loss(Range rows, Index chunk) noexcept {
  const auto& loops = compiled_->loss->template loops<T>();
  const double* hyper = compiled_->loss_hyper.data();
  const ConstMatrix<T> out = ws_.output().middle_rows(rows.first, rows.count);
  losses::Targets<T> targets;
  if (compiled_->loss->target == losses::TargetKind::kDense)
    targets.dense = ws_.targets.middle_rows(rows.first, rows.count);
  else
    targets.classes = ws_.labels.data() + rows.first;
  const T* weights = data_.weights ? ws_.weights.data() + rows.first : nullptr;
  ws_.loss[chunk] = loops.value(hyper, out, targets, weights, scale_, ws_.dout().middle_rows(rows.first, rows.count));
  if (wants_accuracy) ws_.right[chunk] = loops.right(hyper, out, targets, weights);
}

// One wide product for a block of rows and columns, and the elementwise layers after it on the same block.
template <class T>
void Engine<T>::blocks(const Phase& phase, Index item) noexcept {
  const Index row_block = item / phase.col_blocks, col_block = item % phase.col_blocks;
  const Range rows{row_block * phase.row_step, std::min(phase.row_step, batch_rows_ - row_block * phase.row_step)};
  const Range cols{col_block * phase.col_step, std::min(phase.col_step, phase.cols - col_block * phase.col_step)};
  for (const Op& op : phase.ops) {
    if (op.kind == Op::kForward)
      net_.layer(op.layer).forward(ws_.slot(op.layer), rows, cols, pass());
    else
      net_.layer(op.layer).backward(ws_.slot(op.layer), rows, cols, pass());
  }
}

template <class T>
void Engine<T>::transpose(const Tile& tile) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const Matrix<T> wt = ws_.slot(p.layer).wt;
  if (!wt) return;
  kernels::transpose<T>(p.in(net_.values()).block(tile.rows.first, tile.cols.first, tile.rows.count, tile.cols.count),
                        wt.block(tile.cols.first, tile.rows.first, tile.cols.count, tile.rows.count));
}

template <class T>
Matrix<T> Engine<T>::gradient_view(const Tile& tile) {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  return p.in(ws_.gradients.data()).block(tile.rows.first, tile.cols.first, tile.rows.count, tile.cols.count);
}

template <class T>
void Engine<T>::tile_gradient(Index item, int thread) noexcept {
  const Tile& tile = plan_->tiles[static_cast<std::size_t>(item)];
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const bool fused = plan_->goal.update && plan_->goal.form == Form::kFused;
  const Matrix<T> grad = fused ? ws_.tile_scratch(thread, tile.rows.count, tile.cols.count) : gradient_view(tile);
  net_.layer(p.layer).tile_gradient(ws_.slot(p.layer), p.index, tile.rows, tile.cols, grad);
  if (fused) return update(tile, grad);
  if (!plan_->goal.clip) return;
  double squares = 0;
  for (Index r = 0; r < grad.rows; ++r) squares += kernels::sum_of_squares<T>(grad.row(r), grad.cols);
  ws_.norms[item] = squares;
}

template <class T>
void Engine<T>::update(const Tile& tile, Matrix<T> grad) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const auto layer = static_cast<std::size_t>(p.layer);
  const Index at = p.offset + tile.rows.first * p.stride + tile.cols.first;
  optimizers::Tile<T> job;
  job.rows = tile.rows.count;
  job.cols = padded<T>(tile.cols.count);
  job.param = net_.values() + at;
  job.stride = p.stride;
  const int states = compiled_->states_of(p.layer);
  for (int s = 0; s < states; ++s) job.state[s] = compiled_->states[static_cast<std::size_t>(s)]->data() + at;
  job.grad = grad.data;
  job.grad_stride = grad.stride;
  job.grad_factor = grad_factor_;
  job.l1 = compiled_->l1[layer];
  if (!compiled_->optimizer->template loops<T>().update(compiled_->coefficients[layer], job))
    flag(Verdict::kWeightsNotFinite);
  if (p.index == 0) transpose(tile);
}

template <class T>
void Engine<T>::flag(Verdict verdict) noexcept {
  // The first kind in the order of the enum wins, whoever saw it first: messages do not depend on threads.
  Verdict seen = verdict_.load(std::memory_order_relaxed);
  while ((seen == Verdict::kGood || verdict < seen) && !verdict_.compare_exchange_weak(seen, verdict)) {
  }
}

template <class T>
int Engine<T>::finish(int phase, bool stopped) noexcept {
  const Phase& p = at(phase);
  if (stopped && may_skip(phase)) {
    flag(Verdict::kStopped);
    return parallel::kEnd;
  }
  if (p.kind == Phase::kRows && verdict_ == Verdict::kGood) merge(p);
  if (p.kind == Phase::kTiles && plan_->goal.clip) merge_norm();
  if (verdict_ != Verdict::kGood) return parallel::kEnd;
  if (phase + 1 < static_cast<int>(plan_->phases.size())) return phase + 1;
  const int next = end_batch();
  if (stopped && next != parallel::kEnd) {
    flag(Verdict::kStopped);
    return parallel::kEnd;
  }
  return next;
}

// Sums over chunks, in chunk order.
template <class T>
void Engine<T>::merge(const Phase& phase) noexcept {
  for (const Op& op : phase.ops) {
    const auto& layer = net_.layer(op.layer);
    const auto& slot = ws_.slot(op.layer);
    if (op.kind == Op::kForwardPartial) layer.forward_merge(slot, plan_->chunks, plan_->chunk, batch_rows_);
    if (op.kind == Op::kBackwardPartial) layer.backward_merge(slot, plan_->chunks, batch_rows_);
    if (op.kind == Op::kLoss) merge_loss();
  }
}

template <class T>
void Engine<T>::merge_loss() noexcept {
  double sum = 0;
  for (Index k = 0; k < plan_->chunks; ++k) sum += ws_.loss[k];
  last_loss_ = sum / compiled_->divisor(weight_sum_, net_.n_outputs());
  if (!std::isfinite(last_loss_)) flag(Verdict::kLossNotFinite);
}

template <class T>
void Engine<T>::merge_norm() noexcept {
  double squares = 0;
  for (std::size_t k = 0; k < plan_->tiles.size(); ++k) squares += ws_.norms[static_cast<Index>(k)];
  grad_norm_ = std::sqrt(squares);
  if (!std::isfinite(grad_norm_)) flag(Verdict::kWeightsNotFinite);
  grad_factor_ = static_cast<T>(std::min(1.0, compiled_->max_grad_norm / (grad_norm_ + 1e-6)));
}

template <class T>
int Engine<T>::end_batch() noexcept {
  const Goal& goal = plan_->goal;
  if (goal.forward && goal.training) {
    for (int k = 0; k < net_.depth(); ++k)
      if (!net_.layer(k).traits().row_local && !net_.frozen(k)) net_.layer(k).commit(ws_.slot(k), batch_rows_);
    ++progress.batches;
  }
  if (goal.gradient == Gradient::kLoss) {
    totals_.rows += static_cast<double>(batch_rows_);
    totals_.loss += last_loss_ * static_cast<double>(batch_rows_);
    if (wants_accuracy) {
      totals_.weights += weight_sum_;
      for (Index k = 0; k < plan_->chunks; ++k) totals_.right += ws_.right[k];
    }
  }
  if (goal.update) ++progress.step;
  ++totals_.steps;
  cursor_ += batch_rows_;
  if (--steps_left_ <= 0 || exhausted()) return parallel::kEnd;
  begin_batch();
  return plan_->loop_start;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace fastnn::inline FASTNN_ISA::trainer
