// SPDX-License-Identifier: BSD-3-Clause
#include "run/inference.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/pack.h"

namespace fastnn::run {

using plan::is_wide;
using plan::kPackRows;
using plan::kTileRows;

namespace {
constexpr Index kInferenceRows = 96;
constexpr double kFlopsPerThread = 4e5;  // a second thread has to have this much to do
}  // namespace

template <class T>
typename LanePool<T>::Lease LanePool<T>::take(const Network<T>& network, Index rows) {
  Lease lane(spare_.exchange(nullptr));
  if (lane && lane->capacity >= rows) return lane;
  {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    while (lock && !idle_.empty()) {
      lane = std::move(idle_.back());
      idle_.pop_back();
      if (lane->capacity >= rows) return lane;
    }
  }
  Index width = 0;
  for (int k = 0; k < network.depth(); ++k) width = std::max(width, network.layer(k).out());
  return std::make_unique<Lane<T>>(rows, network.n_features(), width, network.n_outputs());
}

template <class T>
void LanePool<T>::give_back(Lease lane) noexcept {
  lane.reset(spare_.exchange(lane.release()));
  if (!lane) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  try {
    idle_.push_back(std::move(lane));
  } catch (const std::bad_alloc&) {  // it dies with `lane`: the next call makes another
  }
}

template <class T>
Inference<T>::Inference(const Network<T>& network, const Compiled<T>* compiled, const Data& data, Index rows)
    : net_(network),
      compiled_(compiled),
      data_(data),
      rows_(rows),
      flops_(network.flops_per_row() * static_cast<double>(rows)) {
  // Eight chunks once there are enough rows for eight cores; full chunks beyond.
  chunk_ = std::clamp<Index>(ceil_div(rows, 8), std::min<Index>(rows, 12), kInferenceRows);
  chunk_ = std::max<Index>(chunk_, 1);
}

template <class T>
int Inference<T>::pick_threads(int asked) const {
  if (asked > 0) return asked;
  if (flops_ < 2 * kFlopsPerThread) return 1;
  const int limit = parallel::limits().available();
  return static_cast<int>(std::clamp(flops_ / kFlopsPerThread, 1.0, static_cast<double>(limit)));
}

template <class T>
Verdict Inference<T>::run(LanePool<T>& pool, int n_threads, parallel::Poll poll) {
  if (score_) {
    sums_.resize(static_cast<std::size_t>(items(kChunks)));
  }
  if (n_threads == 1 && flops_ < kBriefFlops &&
      parallel::has_item_stack()) {  // over before a team would have met, or anybody wants it to stop
    auto lane = pool.take(net_, chunk_);
    for (Index item = 0; item < items(kChunks); ++item) chunk(*lane, item);
    pool.give_back(std::move(lane));
    return verdict_;
  }
  for (int t = 0; t < n_threads; ++t) lanes_.push_back(pool.take(net_, chunk_));
  plan_panels(*lanes_.front());
  const auto outcome = parallel::run(*this, strips_.empty() ? kChunks : kPanels, n_threads, poll);
  for (auto& lane : lanes_) pool.give_back(std::move(lane));
  return outcome.stopped && verdict_ == Verdict::kGood ? Verdict::kStopped : verdict_.load();
}

// Every chunk reads W of wide layers: enough of them make a copy in panels worth while.
template <class T>
void Inference<T>::plan_panels(Lane<T>& lane) {
  if (rows_ < kPackRows) return;
  Index size = 0;
  for (int k = 0; k < net_.depth(); ++k)
    if (is_wide(net_.layer(k))) size += packed_size<T>(net_.layer(k).in(), net_.layer(k).out());
  if (size == 0) return;
  if (lane.panels.size() < size) lane.panels = Buffer<T>(size);
  panels_.resize(static_cast<std::size_t>(net_.depth()));
  T* at = lane.panels.data();
  for (const auto& p : net_.parameters()) {
    if (p.index != 0 || !is_wide(net_.layer(p.layer))) continue;
    panels_[static_cast<std::size_t>(p.layer)] = {at, p.rows, p.cols};
    at += packed_size<T>(p.rows, p.cols);
    for (Index r = 0; r < p.rows; r += kTileRows) strips_.push_back({&p, {r, std::min(kTileRows, p.rows - r)}});
  }
}

template <class T>
Index Inference<T>::items(int phase) const noexcept {
  return phase == kPanels ? static_cast<Index>(strips_.size()) : ceil_div(rows_, chunk_);
}

template <class T>
double Inference<T>::item_flops(int phase) const noexcept {
  return phase == kPanels ? 1e4 : net_.flops_per_row() * static_cast<double>(chunk_);
}

template <class T>
void Inference<T>::run(int phase, Index item, parallel::Worker& worker) noexcept {
  if (phase == kChunks) return chunk(*lanes_[static_cast<std::size_t>(worker.thread())], item);
  const auto& [p, rows] = strips_[static_cast<std::size_t>(item)];
  const ConstMatrix<T> w = p->in(net_.value_buffer().data());
  kernels::pack<T>(w.middle_rows(rows.first, rows.count), panels_[static_cast<std::size_t>(p->layer)], rows.first);
}

template <class T>
void Inference<T>::chunk(Lane<T>& lane, Index item) noexcept {
  const Index first = item * chunk_, count = std::min(chunk_, rows_ - first);
  const kernels::RowIds ids{nullptr, first};
  const Matrix<T> y = carry(lane, input(lane, first, count));
  if (score_) score_chunk(lane, y, ids, item);
  if (!out_) return;
  if (link_) compiled_->loss->template loops<T>().link(compiled_->loss_values, y);
  for (Index r = 0; r < count; ++r)
    std::memcpy(out_ + (first + r) * out_stride_, y.row(r), sizeof(T) * static_cast<std::size_t>(y.cols));
}

// Rows as the caller has them where the first layer can read them there, else gathered.
template <class T>
ConstMatrix<T> Inference<T>::input(Lane<T>& lane, Index first, Index count) noexcept {
  if (net_.layer(0).traits().wide_capable)
    if (const auto there = kernels::in_place<T>(data_.x, net_.scaling(), first, count)) return there;
  const Matrix<T> x = lane.input.view().middle_rows(0, count);
  if (!kernels::gather<T>(data_.x, {nullptr, first}, net_.scaling(), x)) flag(verdict_, Verdict::kBadX);
  return x;
}

// All layers forward; elementwise layers and BatchNorm in place, Linear from one buffer to the other.
template <class T>
Matrix<T> Inference<T>::carry(Lane<T>& lane, ConstMatrix<T> x) noexcept {
  const bool gathered = x.data == lane.input.view().data;
  Matrix<T> y = lane.input.view().middle_rows(0, x.rows);
  bool into_a = true;
  for (int k = 0; k < net_.depth(); ++k) {
    const auto& layer = net_.layer(k);
    if (layer.traits().wide_capable) {
      const Matrix<T> whole = into_a ? lane.a.view() : lane.b.view();
      y = {whole.data, x.rows, layer.out(), padded<T>(layer.out())};
      into_a = !into_a;
    }
    layers::Slot<T> slot;
    slot.x = x;
    slot.y = y;
    if (!panels_.empty()) slot.w = panels_[static_cast<std::size_t>(k)];
    layer.forward(slot, {0, x.rows}, {0, layer.out()}, {.packed = true});
    if (k == 0 && !gathered && !kernels::finite_by_product<T>(x, y)) flag(verdict_, Verdict::kBadX);
    x = y;
  }
  return y;
}

template <class T>
void Inference<T>::score_chunk(Lane<T>& lane, ConstMatrix<T> out, kernels::RowIds ids, Index item) noexcept {
  const losses::Row& loss = *compiled_->loss;
  const auto [targets, good] = losses::read_targets<T>(
      loss, data_.y, ids, net_.n_outputs(), lane.targets.view().middle_rows(0, out.rows), lane.labels.data());
  if (!good) flag(verdict_, Verdict::kBadTarget);
  losses::Weighed weighed{losses::unweighted(out.rows)};
  if (data_.weights) weighed = losses::weigh<T>(data_.weights, ids, out.rows, lane.weights.data());
  if (!weighed.valid) flag(verdict_, Verdict::kBadWeight);
  if (const Index bad = losses::first_outside<T>(loss.outputs, out); bad >= 0) {
    outside_.note(ids[bad], out.row(bad)[loss.outputs.first_excluded(out.row(bad), out.cols)]);
    flag(verdict_, Verdict::kBadOutput);
  }
  const T* weights = data_.weights ? lane.weights.data() : nullptr;
  const Values& values = compiled_->loss_values;
  losses::Sums& sums = sums_[static_cast<std::size_t>(item)] = weighed.sums;
  sums.loss = loss.loops<T>().value(values, out, targets, weights, T(0), {});
  if (accuracy_) sums.right = loss.loops<T>().right(values, out, targets, weights);
}

template <class T>
int Inference<T>::finish(int phase, bool stopped) noexcept {
  return phase == kPanels && !stopped ? kChunks : parallel::kEnd;
}

template <class T>
Scores Inference<T>::scores() const {
  losses::Sums all;
  for (const losses::Sums& chunk : sums_) all.add(chunk);
  return {compiled_->average(all, net_.n_outputs()), all.accuracy(), all.weight};
}

template class LanePool<float>;
template class LanePool<double>;
template class Inference<float>;
template class Inference<double>;

}  // namespace fastnn::run
