// Engine: runs of batches, and the work of one item of a phase. The serial work between phases is in engine_serial.cpp.
// SPDX-License-Identifier: BSD-3-Clause
#include "run/engine.h"

#include <algorithm>
#include <cmath>

#include "core/faults.h"
#include "graph/add.h"
#include "kernels/pack.h"
#include "kernels/transpose.h"

namespace fastnn::run {

namespace {
// Limits each number to [-limit, limit]; NaN stays NaN.
template <class T>
void clip_values(Matrix<T> grad, T limit) noexcept {
  for (Index r = 0; r < grad.rows; ++r)
    for (T* g = grad.row(r); g < grad.row(r) + grad.cols; ++g) *g = *g > limit ? limit : *g < -limit ? -limit : *g;
}

constexpr double kLookFlops = 67108864.0;  // 2^26, about a millisecond: work between two polls inside an item
constexpr Index kNearBytes = 1536 * 1024;  // parameters and states of at most this size are still in L2 a step later
}  // namespace

template <class T>
void Engine<T>::feed(const Data& data, const std::int64_t* order, Index rows, Index batch_size) {
  data_ = data;
  order_ = order;
  rows_ = rows;
  batch_size_ = batch_size;
  cursor_ = 0;
  far_ = compiled_ && net_.size() * (1 + compiled_->n_states) * static_cast<Index>(sizeof(T)) > kNearBytes;
}

template <class T>
Verdict Engine<T>::run(Index max_steps, int n_threads, parallel::Poll poll) {
  verdict_ = Verdict::kGood;
  steps_left_ = max_steps;
  alone_ = n_threads == 1;
  begin_batch();
  const auto outcome = parallel::run(*this, 0, n_threads, poll);
  threads_used_ = outcome.threads_used;
  if (outcome.stopped && verdict_ == Verdict::kGood) verdict_ = Verdict::kStopped;
  return verdict_;
}

template <class T>
bool Engine<T>::may_skip(int phase) const noexcept {
  // A phase that changes parameters is always completed, so that the model never contains half a step.
  const auto kind = at(phase).kind;
  if (kind == Phase::kUpdate) return false;
  return !(kind == Phase::kTiles && plan_->goal.update && plan_->goal.form == Form::kFused);
}

template <class T>
void Engine<T>::run(int phase, Index item, parallel::Worker& worker) noexcept {
  const Phase& p = at(phase);
  switch (p.kind) {
    case Phase::kRows: {
      const Range rows{item * p.row_step, std::min(p.row_step, batch_rows_ - item * p.row_step)};
      for (const Op& op : p.ops) apply(op, rows, item, worker.thread());
      return;
    }
    case Phase::kBlocks:
      return blocks(p, item);
    case Phase::kRepack:
      return repack(plan_->repack_tiles[static_cast<std::size_t>(item)]);
    case Phase::kTranspose: {
      const auto& [layer, rows] = plan_->transpositions[static_cast<std::size_t>(item)];
      const auto& slot = ws_.slot(layer);
      return kernels::transpose<T>(slot.x.middle_rows(rows.first, rows.count),
                                   slot.xt.block(0, rows.first, slot.xt.rows, rows.count));
    }
    case Phase::kParts: {
      const auto [number, part] = plan_->part_items[static_cast<std::size_t>(item)];
      const Tile& tile = plan_->tiles[static_cast<std::size_t>(number)];
      sum_rows(tile, plan_->row_parts[static_cast<std::size_t>(part)], true, ws_.part_gradient(*plan_, tile, part),
               nullptr, worker);
      return;
    }
    case Phase::kTiles:
      return tile_gradient(item, may_skip(phase), worker);
    case Phase::kUpdate: {
      const Tile& tile = plan_->tiles[static_cast<std::size_t>(item)];
      return update(tile, gradient_view(tile));
    }
  }
}

template <class T>
void Engine<T>::apply(const Op& op, Range rows, Index chunk, int thread) noexcept {
  const auto& layer = net_.layer(op.layer);
  const auto& slot = ws_.slot(op.layer);
  switch (op.kind) {
    case Op::kGather:
      return gather(rows, chunk);
    case Op::kForward:
      return layer.forward(slot, rows, {0, layer.out()}, batch());
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
    case Op::kBackward: {
      const Range cols{0, layer.in()};
      if (const int param = plan_->packed_copies[static_cast<std::size_t>(op.layer)].own_wt; param >= 0)
        return layer.backward(own_slot(op.layer, param, thread), rows, cols, batch());
      return layer.backward(slot, rows, cols, batch());
    }
    case Op::kAccumulate:
      return accumulate(op, rows);
    case Op::kBoundGradient:
      return bound_gradient(op.layer, rows, chunk);
    case Op::kBackwardPartial:
      return layer.backward_partial(slot, rows, slot.partials + chunk * layer.partial_size());
  }
}

// The slot of a layer with the thread's W^T, which the thread makes when it first needs it in a batch.
template <class T>
const layers::Slot<T>& Engine<T>::own_slot(int layer, int param, int thread) noexcept {
  auto& own = ws_.own_slot(thread, layer);
  if (own.batch == batch_number_) return own.slot;
  const auto wt = own.slot.own_wt;
  kernels::transpose<T>(net_.parameters()[static_cast<std::size_t>(param)].in(net_.values()), wt);
  own = {ws_.slot(layer), batch_number_};
  own.slot.own_wt = wt;
  return own.slot;
}

template <class T>
void Engine<T>::gather(Range rows, Index chunk) noexcept {
  const Index first = batch_first_ + rows.first;
  const kernels::RowIds ids{order_, first, order_ ? rows_ - first - rows.count : 0};
  const auto good = [&] {
    if (plan_->goal.row_cells == 0) {
      const auto x = ws_.input().middle_rows(rows.first, rows.count);
      return kernels::gather<T>(data_.x, ids, net_.preparation().scaling(), x);
    }
    if (plan_->cell_block == 0) return kernels::finite_cells<T>(sparse_.rows, rows.first, rows.count);
    return kernels::sort_cells<T>(sparse_.rows, rows.first, rows.count, chunk, ws_.chunk_cells[chunk], sparse_.blocks);
  };
  if (!good()) flag(Verdict::kBadX);
  if (data_.y &&
      !losses::read_targets<T>(*compiled_->loss, compiled_->loss_traits, data_.y, ids, net_.n_outputs(),
                               ws_.targets.middle_rows(rows.first, rows.count), ws_.labels.data() + rows.first)
           .good)
    flag(Verdict::kBadTarget);
}

template <class T>
void Engine<T>::loss(Range rows, Index chunk) noexcept {
  const losses::Row& row = *compiled_->loss;
  const auto& loops = row.loops<T>();
  const Values& values = compiled_->loss_values;
  const ConstMatrix<T> out = ws_.output().middle_rows(rows.first, rows.count);
  losses::Targets<T> targets;
  if (row.takes_classes(data_.y.cols)) {
    targets.classes = ws_.labels.data() + rows.first;
  } else {
    targets.dense = ws_.targets.middle_rows(rows.first, rows.count);
    targets.dense.cols = compiled_->loss_traits.target_cols;
  }
  if (const losses::Outside bad = losses::outside_outputs<T>(compiled_->loss_traits, out)) {
    outside_.note(rows.first + bad.row, out.row(bad.row)[bad.column]);
    flag(Verdict::kBadOutput);
  }
  const T* weights = data_.weights ? ws_.weights.data() + rows.first : nullptr;
  if (measures_) measure(out, targets, weights, rows, chunk);
  ws_.chunks[chunk].loss =
      loops.value(values, out, targets, weights, scale_, ws_.dout().middle_rows(rows.first, rows.count));
  if (wants_accuracy) ws_.chunks[chunk].right = loops.right(values, out, targets, weights);
}

// Where predictions are not the outputs, they take the memory of the gradient, which the loss stores there afterwards.
template <class T>
void Engine<T>::measure(ConstMatrix<T> out, const losses::Targets<T>& targets, const T* weights, Range rows,
                        Index chunk) noexcept {
  const metrics::Chosen& chosen = compiled_->metrics;
  double* sums = chunk_sums_.data() + chunk * chosen.size();
  chosen.sum<T>({out, targets.dense, targets.classes, weights}, false, sums);
  if (!chosen.see_predictions()) return;
  if (compiled_->loss->links) {
    const Matrix<T> predictions = ws_.dout().middle_rows(rows.first, rows.count);
    for (Index r = 0; r < out.rows; ++r) std::copy_n(out.row(r), padded<T>(out.cols), predictions.row(r));
    compiled_->loss->template loops<T>().link(compiled_->loss_values, predictions);
    out = predictions;
  }
  chosen.sum<T>({out, targets.dense, targets.classes, weights}, true, sums);
}

// One wide product for a block of rows and columns, and the elementwise layers after it on the same block.
template <class T>
void Engine<T>::blocks(const Phase& phase, Index item) noexcept {
  const Index row_blocks = phase.items / phase.col_blocks;
  const Index row_block = phase.column_major ? item % row_blocks : item / phase.col_blocks;
  const Index col_block = phase.column_major ? item / row_blocks : item % phase.col_blocks;
  const Range rows{row_block * phase.row_step, std::min(phase.row_step, batch_rows_ - row_block * phase.row_step)};
  const Range cols{col_block * phase.col_step, std::min(phase.col_step, phase.cols - col_block * phase.col_step)};
  for (const Op& op : phase.ops) {
    if (op.kind == Op::kForward)
      net_.layer(op.layer).forward(ws_.slot(op.layer), rows, cols, batch());
    else
      net_.layer(op.layer).backward(ws_.slot(op.layer), rows, cols, batch());
  }
}

template <class T>
void Engine<T>::repack(const Tile& tile) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const auto block = p.in(net_.values()).block(tile.rows.first, tile.cols.first, tile.rows.count, tile.cols.count);
  const auto& slot = ws_.slot(p.layer);
  const auto read = plan_->packed_copies[static_cast<std::size_t>(p.layer)];
  if (read.wt) kernels::pack_transposed<T>(block, slot.wt, tile.rows.first, tile.cols.first);
  if (read.w) kernels::pack<T>(block, slot.w, tile.rows.first, tile.cols.first);
}

template <class T>
Matrix<T> Engine<T>::gradient_view(const Tile& tile) {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  return p.in(gradients_).block(tile.rows.first, tile.cols.first, tile.rows.count, tile.cols.count);
}

template <class T>
void Engine<T>::tile_gradient(Index item, bool may_stop, parallel::Worker& worker) noexcept {
  const Tile& tile = plan_->tiles[static_cast<std::size_t>(item)];
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const bool fused = plan_->goal.update && plan_->goal.form == Form::kFused;
  if (batch_rows_ == 1 && fused && update_by_factors(tile)) return;
  const bool aside = fused || (accumulates() && kept_ != 0);
  const Matrix<T> grad =
      aside ? ws_.tile_scratch(worker.thread(), tile.rows.count, tile.cols.count) : gradient_view(tile);
  PrefetchTargets<T> prefetch;
  if (fused && far_) prefetch = prefetch_targets(tile);
  const PrefetchTargets<T>* const wanted = prefetch.count > 0 ? &prefetch : nullptr;
  if (tile.parts_at == Tile::kAtOnce) {
    if (!sum_rows(tile, {0, batch_rows_}, may_stop, grad, wanted, worker)) return;
  } else {
    Matrix<T> parts[2] = {grad, {}};
    if (alone_) {  // then the phase kParts has no items
      parts[1] = ws_.tile_scratch(worker.thread(), tile.rows.count, tile.cols.count, 1);
      if (!sum_rows(tile, plan_->row_parts[0], may_stop, parts[0], nullptr, worker)) return;
      if (!sum_rows(tile, plan_->row_parts[1], may_stop, parts[1], wanted, worker)) return;
    } else {
      for (Index k = 0; k < 2; ++k) parts[k] = ws_.part_gradient(*plan_, tile, k);
    }
    const bool as_it_is = fused && !compiled_->settings.clips_values() && compiled_->rule(tile.param).l1 == 0;
    if (as_it_is) return update(tile, parts[0], {.second = parts[1].data});
    kernels::add<T>(parts[0], parts[1], grad);
  }
  if (accumulates() && aside) add_to_group(gradient_view(tile), grad);
  if (updates_ && compiled_->settings.clips_values())
    clip_values(fused ? grad : gradient_view(tile), static_cast<T>(compiled_->settings.max_grad_value));
  if (fused) return update(tile, grad);
  if (!plan_->goal.clip || !updates_) return;
  ws_.norms[item] = tile_squares(net_, gradients_, tile);
}

// The gradient of a tile over the rows `over` of the batch. With many rows that takes long, so it polls for a stop
// between blocks of rows; returns false if it stopped.
template <class T>
bool Engine<T>::sum_rows(const Tile& tile, Range over, bool may_stop, Matrix<T> grad,
                         const PrefetchTargets<T>* prefetch, parallel::Worker& worker) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const double row_flops = 2.0 * static_cast<double>(tile.rows.count * tile.cols.count);
  const Index step = std::max<Index>(1, static_cast<Index>(kLookFlops / row_flops));
  for (Index done = 0; done < over.count; done += step) {
    const Range rows{over.first + done, std::min(step, over.count - done)};
    const bool last = done + step >= over.count;
    net_.layer(p.layer).tile_gradient(ws_.slot(p.layer), p.index, tile.rows, tile.cols, rows, done > 0, grad,
                                      last ? prefetch : nullptr);
    if (!last && worker.stopped(row_flops * static_cast<double>(step)) && may_stop) return false;
  }
  return true;
}

template <class T>
PrefetchTargets<T> Engine<T>::prefetch_targets(const Tile& tile) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  static_assert(PrefetchTargets<T>::kMost == 1 + optimizers::kMaxStates);
  PrefetchTargets<T> prefetch;
  const Index at = p.offset + tile.rows.first * p.stride + tile.cols.first;
  prefetch.stride = p.stride;
  prefetch.arrays[prefetch.count++] = net_.values() + at;
  for (T* state : compiled_->rule(tile.param).states)
    if (state) prefetch.arrays[prefetch.count++] = state + at;
  return prefetch;
}

// The gradient of a single row need not be stored: the optimizer multiplies its two factors during the update.
template <class T>
bool Engine<T>::update_by_factors(const Tile& tile) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  if (compiled_->rule(tile.param).l1 != 0 || compiled_->settings.clips_values()) return false;
  const auto outer = net_.layer(p.layer).outer(ws_.slot(p.layer), p.index, tile.rows, tile.cols);
  if (outer.left) update(tile, {outer.right, tile.rows.count, tile.cols.count, 0}, {.left = outer.left});
  return outer.left;
}

template <class T>
void Engine<T>::update(const Tile& tile, ConstMatrix<T> grad, Besides besides) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const Index at = p.offset + tile.rows.first * p.stride + tile.cols.first;
  optimizers::UpdateTile<T> job;
  job.rows = tile.rows.count;
  job.cols = padded<T>(tile.cols.count);
  job.param = net_.values() + at;
  job.stride = p.stride;
  const auto& rule = compiled_->rule(tile.param);
  if (compiled_->settings.penalty_in_loss) note_penalty(tile);
  for (std::size_t s = 0; s < rule.states.size(); ++s) job.state[s] = rule.states[s] ? rule.states[s] + at : nullptr;
  job.grad = grad.data;
  job.grad_stride = grad.stride;
  job.second = besides.second;
  job.left = besides.left;
  if (plan_->goal.clip) job.grad_factor = compiled_->clipped(tile.param).factor;
  job.l1 = rule.l1;
  if (!compiled_->optimizer->template loops<T>().update(compiled_->coefficients[static_cast<std::size_t>(tile.param)],
                                                        job))
    flag(Verdict::kWeightsNotFinite);
  if (average_share_ != 0) add_to_average(tile);
  // Only if this run has further steps: the first phase of another run repacks all weights.
  if (p.role == graph::Role::kProductMatrix && steps_left_ > 1) repack(tile);
}

// These two are seldom asked for, so they are kept out of the loop that most trainings run.
template <class T>
[[gnu::noinline]] void Engine<T>::note_penalty(const Tile& tile) noexcept {
  const auto& rule = compiled_->rule(tile.param);
  ws_.penalties[&tile - plan_->tiles.data()] =
      tile_penalty<T>(net_.parameters()[static_cast<std::size_t>(tile.param)]
                          .in(net_.values())
                          .block(tile.rows.first, tile.cols.first, tile.rows.count, tile.cols.count),
                      compiled_->optimizer->l2(rule.values, batch_weight_), static_cast<double>(rule.l1));
}

template <class T>
[[gnu::noinline]] void Engine<T>::add_to_average(const Tile& tile) noexcept {
  const Parameter& p = net_.parameters()[static_cast<std::size_t>(tile.param)];
  const Index at = p.offset + tile.rows.first * p.stride + tile.cols.first;
  optimizers::add_to_average<T>(
      {tile.rows.count, padded<T>(tile.cols.count), net_.values() + at, compiled_->averages() + at, p.stride},
      average_share_);
}

// The gradient of a group of batches is the mean of theirs, each with its weight, so that it is that of one batch of all
// rows.
template <class T>
void Engine<T>::add_to_group(Matrix<T> sum, ConstMatrix<T> grad) noexcept {
  for (Index r = 0; r < grad.rows; ++r) {
    T* to = sum.row(r);
    const T* from = grad.row(r);
    for (Index c = 0; c < grad.cols; ++c) to[c] = kept_ * to[c] + added_ * from[c];
  }
}

template <class T>
void Engine<T>::accumulate(const Op& op, Range rows) noexcept {
  const auto& slot = ws_.slot(op.layer);
  const int value = net_.node(op.layer).inputs[static_cast<std::size_t>(op.input)];
  graph::add_onto<T>(op.input == 0 ? slot.dx : slot.dx2, ws_.gradient(value), rows, {0, net_.columns(value)});
}

// No element of x^T dy is larger than rows * max |x| * max |dy|.
template <class T>
void Engine<T>::bound_gradient(int layer, Range rows, Index chunk) noexcept {
  const auto& slot = ws_.slot(layer);
  const double x = slot.sparse ? kernels::max_abs_cell<T>(slot.sparse->blocks, chunk)
                               : kernels::max_abs<T>(slot.x.middle_rows(rows.first, rows.count));
  const double dy = kernels::max_abs<T>(slot.dy.middle_rows(rows.first, rows.count));
  const double most = static_cast<double>(rows.count) * x * dy;
  double& bound = ws_.chunks[chunk].gradient_bound;
  if (!(most <= bound)) bound = most;
}

template class Engine<float>;
template class Engine<double>;

}  // namespace fastnn::run
