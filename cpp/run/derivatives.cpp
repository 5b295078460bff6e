// SPDX-License-Identifier: BSD-3-Clause
#include "run/derivatives.h"

#include <algorithm>
#include <cstring>

#include "graph/add.h"
#include "kernels/pack.h"
#include "run/inference.h"

namespace fastnn::run {

using plan::is_wide;
using plan::kPackRows;
using plan::kTileRows;
using plan::Workspace;

namespace {

// The views of row r alone.
template <class T>
layers::Slot<T> one_row(const layers::Slot<T>& slot, Index r) {
  layers::Slot<T> one = slot;
  const auto select = [r](auto& view) {
    if (view) view = view.middle_rows(r, 1);
  };
  select(one.x), select(one.x2), select(one.y), select(one.dy), select(one.dx), select(one.dx2), select(one.scratch);
  return one;
}

}  // namespace

template <class T>
Derivatives<T>::Derivatives(const Network<T>& network, const Compiled<T>* compiled, const Data& data, Index rows,
                            const Wanted& wanted)
    : net_(network),
      compiled_(compiled),
      data_(data),
      rows_(rows),
      chunk_(plan::chunk_rows(network, rows)),
      wanted_(wanted),
      gradients_(network.wanted_gradients(wanted.by_input != nullptr)) {
  const Index passes = wanted.of == Wanted::kLoss ? 1 : network.n_outputs();
  row_flops_ = network.flops_per_row() * static_cast<double>(1 + 2 * passes);
  if (wanted.of != Wanted::kLoss || data.grad) return;
  // The loss of a row is a mean over its outputs where that of a batch is; weights of classes are factors.
  scale_ = static_cast<T>(compiled->loss_traits.scale(losses::unweighted(1)));
}

template <class T>
Verdict Derivatives<T>::run(int asked_threads, parallel::Poll poll) {
  const int n_threads = threads_for(row_flops_ * static_cast<double>(rows_), asked_threads);
  plan_repacking();
  const auto needed = static_cast<int>(std::min<Index>(n_threads, std::max(items(kChunks), items(kRepack))));
  for (int t = 0; t < n_threads; ++t) memories_.push_back(t < needed ? new_memory() : nullptr);
  const auto outcome = parallel::run(*this, strips_.empty() ? kChunks : kRepack, needed, poll);
  threads_used_ = outcome.threads_used;
  return outcome.stopped && verdict_ == Verdict::kGood ? Verdict::kStopped : verdict_.load();
}

template <class T>
std::unique_ptr<typename Derivatives<T>::Memory> Derivatives<T>::new_memory() const {
  auto memory = std::make_unique<Memory>(net_, chunk_, wanted_.by_input != nullptr, wanted_.of == Wanted::kPredictions);
  auto& ws = memory->workspace;
  ws.set_wanted(gradients_);
  Index columns = 0;
  for (int k = 0; k < net_.depth(); ++k) {
    auto& slot = ws.slot(k);
    slot.w = packed_[static_cast<std::size_t>(k)].w;
    slot.wt = packed_[static_cast<std::size_t>(k)].wt;
    if (!net_.layer(k).traits().row_local) net_.layer(k).forward_merge(slot, 0, 0, rows_);  // the running statistics
    for (const auto& p : net_.parameters_of(k)) columns = std::max(columns, p.cols);
  }
  if (!wanted_.by_parameter.empty()) memory->tile = Buffer<T>(kTileRows * padded<T>(columns));
  return memory;
}

template <class T>
bool Derivatives<T>::needs_dx(int layer) const {
  return std::ranges::any_of(net_.node(layer).inputs, [&](int value) {
    return static_cast<bool>(gradients_[static_cast<std::size_t>(value + 1)]);
  });
}

// W^T of every product whose dx is needed, unless there are few rows, and W of wide layers if there are many: all
// chunks read the same packed copies.
template <class T>
void Derivatives<T>::plan_repacking() {
  packed_.resize(static_cast<std::size_t>(net_.depth()));
  Index size = 0;
  const auto take = [&](Index rows, Index cols) {
    const Index at = size;
    if (__builtin_add_overflow(size, packed_size<T>(rows, cols), &size)) throw std::bad_alloc();
    return at;
  };
  for (const bool reserved : {false, true}) {
    if (reserved) packed_memory_ = Buffer<T>(size);
    size = 0;
    for (const auto& p : net_.parameters()) {
      if (p.role != graph::Role::kProductMatrix) continue;
      auto& copies = packed_[static_cast<std::size_t>(p.layer)];
      const bool wt = rows_ > layers::Batch::kFewRows && needs_dx(p.layer);
      const bool w = rows_ >= kPackRows && is_wide(net_.layer(p.layer));
      if (wt) copies.wt = {packed_memory_.data() + take(p.cols, p.rows), p.cols, p.rows};
      if (w) copies.w = {packed_memory_.data() + take(p.rows, p.cols), p.rows, p.cols};
      for (Index r = 0; reserved && (w || wt) && r < p.rows; r += kTileRows)
        strips_.push_back({&p, {r, std::min(kTileRows, p.rows - r)}});
    }
  }
}

template <class T>
Index Derivatives<T>::items(int phase) const noexcept {
  return phase == kRepack ? static_cast<Index>(strips_.size()) : ceil_div(rows_, chunk_);
}

template <class T>
double Derivatives<T>::item_flops(int phase) const noexcept {
  return phase == kRepack ? 1e4 : row_flops_ * static_cast<double>(chunk_);
}

template <class T>
void Derivatives<T>::run(int phase, Index item, parallel::Worker& worker) noexcept {
  if (phase == kChunks) return chunk(*memories_[static_cast<std::size_t>(worker.thread())], item);
  const auto& [p, rows] = strips_[static_cast<std::size_t>(item)];
  const ConstMatrix<T> w = p->in(net_.value_buffer().data());
  const auto& copies = packed_[static_cast<std::size_t>(p->layer)];
  if (copies.wt) kernels::pack_transposed<T>(w.middle_rows(rows.first, rows.count), copies.wt, rows.first);
  if (copies.w) kernels::pack<T>(w.middle_rows(rows.first, rows.count), copies.w, rows.first);
}

template <class T>
void Derivatives<T>::chunk(Memory& memory, Index item) noexcept {
  const Index first = item * chunk_, count = std::min(chunk_, rows_ - first);
  auto& ws = memory.workspace;
  ws.set_rows(count);
  forward(ws, first, count);
  if (wanted_.of != Wanted::kLoss) return of_each_output(memory, first, count);
  of_loss(ws, first, count);
  backward(memory, first, count);
  if (wanted_.by_input)
    net_.preparation().backward(ws.dinput(), static_cast<T*>(wanted_.by_input) + first * net_.n_features());
}

template <class T>
void Derivatives<T>::forward(Workspace<T>& ws, Index first, Index count) noexcept {
  if (!kernels::gather<T>(data_.x, {nullptr, first}, net_.preparation().scaling(), ws.input()))
    flag(verdict_, Verdict::kBadX);
  for (int k = 0; k < net_.depth(); ++k)
    net_.layer(k).forward(ws.slot(k), {0, count}, {0, net_.layer(k).out()}, batch());
}

template <class T>
void Derivatives<T>::of_loss(Workspace<T>& ws, Index first, Index count) noexcept {
  const kernels::RowIds ids{nullptr, first};
  if (data_.grad) {
    if (!kernels::gather<T>(data_.grad, ids, {}, ws.dout())) flag(verdict_, Verdict::kBadGrad);
    return;
  }
  const losses::Row& loss = *compiled_->loss;
  const Values& values = compiled_->loss_values;
  const auto [targets, good] = losses::read_targets<T>(loss, compiled_->loss_traits, data_.y, ids, net_.n_outputs(),
                                                       ws.targets.middle_rows(0, count), ws.labels.data());
  if (!good) flag(verdict_, Verdict::kBadTarget);
  const ConstMatrix<T> out = ws.output();
  if (const losses::Outside bad = losses::outside_outputs<T>(compiled_->loss_traits, out)) {
    outside_.note(first + bad.row, out.row(bad.row)[bad.column]);
    flag(verdict_, Verdict::kBadOutput);
  }
  loss.loops<T>().value(values, out, targets, nullptr, scale_, ws.dout());
}

// Goes back once for each output. The backward pass leaves the activations as they are.
template <class T>
void Derivatives<T>::of_each_output(Memory& memory, Index first, Index count) noexcept {
  auto& ws = memory.workspace;
  const Index k = net_.n_outputs();
  const auto predictions = memory.predictions.view();
  if (wanted_.of == Wanted::kPredictions) {
    for (Index r = 0; r < count; ++r)
      std::memcpy(predictions.row(r), ws.output().row(r), sizeof(T) * static_cast<std::size_t>(padded<T>(k)));
    compiled_->loss->template loops<T>().link(compiled_->loss_values, predictions.middle_rows(0, count));
  }
  for (Index j = 0; j < k; ++j) {
    const Matrix<T> dout = ws.dout();
    for (Index r = 0; r < count; ++r) {
      std::fill_n(dout.row(r), padded<T>(k), T(0));
      dout.row(r)[j] = T(1);
    }
    if (wanted_.of == Wanted::kPredictions)
      compiled_->loss->template loops<T>().link_backward(compiled_->loss_values, predictions.middle_rows(0, count),
                                                         dout);
    backward(memory, first, count);
    for (Index r = 0; r < count; ++r)
      net_.preparation().backward(ws.dinput().middle_rows(r, 1),
                                  static_cast<T*>(wanted_.by_input) + ((first + r) * k + j) * net_.n_features());
  }
}

template <class T>
void Derivatives<T>::backward(Memory& memory, Index first, Index count) noexcept {
  auto& ws = memory.workspace;
  for (int k = net_.depth() - 1; k >= 0; --k) {
    if (!gradients_[static_cast<std::size_t>(k + 1)]) continue;
    const auto& layer = net_.layer(k);
    auto& slot = ws.slot(k);
    if (!wanted_.by_parameter.empty() && net_.trains(k)) by_parameters(memory, k, first, count);
    if (!needs_dx(k)) continue;
    layer.backward(slot, {0, count}, {0, layer.in()}, batch());
    const auto& inputs = net_.node(k).inputs;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (gradients_[static_cast<std::size_t>(inputs[i] + 1)] && net_.adds_gradient(k, i))
        graph::add_onto<T>(i == 0 ? slot.dx : slot.dx2, ws.gradient(inputs[i]), {0, count},
                           {0, net_.columns(inputs[i])});
  }
}

// The gradients of each row by the parameters of a layer, before dx overwrites dy.
template <class T>
void Derivatives<T>::by_parameters(Memory& memory, int layer, Index first, Index count) noexcept {
  const auto& its = net_.layer(layer);
  const auto& slot = memory.workspace.slot(layer);
  for (Index r = 0; r < count; ++r) {
    const auto row = one_row(slot, r);
    if (its.partial_size() > 0) {
      its.backward_partial(row, {0, 1}, row.partials);
      its.backward_merge(row, 1, 1);
    }
    for (const auto& p : net_.parameters_of(layer)) {
      const auto index = static_cast<std::size_t>(&p - net_.parameters().data());
      if (T* to = static_cast<T*>(wanted_.by_parameter[index]))
        by_parameter(memory, row, index, to + (first + r) * p.rows * p.cols);
    }
  }
  // No chunk: sums of zero, since dx of statistics that are constants has none of them.
  if (its.partial_size() > 0) its.backward_merge(slot, 0, count);
}

template <class T>
void Derivatives<T>::by_parameter(Memory& memory, const layers::Slot<T>& row, std::size_t parameter, T* to) noexcept {
  const auto& p = net_.parameters()[parameter];
  const auto& layer = net_.layer(p.layer);
  for (Index r = 0; r < p.rows; r += kTileRows) {
    const Range rows{r, std::min(kTileRows, p.rows - r)}, cols{0, p.cols};
    T* tile = to + r * p.cols;
    if (const auto factors = layer.outer(row, p.index, rows, cols); factors.left) {
      for (Index i = 0; i < rows.count; ++i)
        for (Index c = 0; c < p.cols; ++c) tile[i * p.cols + c] = factors.left[i] * factors.right[c];
      continue;
    }
    const Matrix<T> padded_tile{memory.tile.data(), rows.count, p.cols, padded<T>(p.cols)};
    layer.tile_gradient(row, p.index, rows, cols, {0, 1}, false, padded_tile, nullptr);
    for (Index i = 0; i < rows.count; ++i) std::copy_n(padded_tile.row(i), p.cols, tile + i * p.cols);
  }
}

template class Derivatives<float>;
template class Derivatives<double>;

}  // namespace fastnn::run
