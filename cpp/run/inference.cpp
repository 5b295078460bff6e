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
constexpr double kFlopsPerThread = 4e5;  // least work of each thread
}  // namespace

template <class T>
Buffers<T>::Buffers(const Network<T>& network) {
  std::vector<int> holds;  // for each buffer the node whose output is still to be read, or kNothing
  constexpr int kNothing = -1;
  for (int k = 0; k < network.depth(); ++k) {
    const auto& node = network.node(k);
    const auto& layer = *node.layer;
    const auto read_last = [&](int value) { return network.readers(value).back() == k; };
    const int first = node.inputs[0];
    int buffer = first == graph::kInput ? kRows : of(first);
    if (layer.traits().owns_output || !read_last(first)) {
      const auto free = std::ranges::find(holds, kNothing);
      buffer = static_cast<int>(free - holds.begin());
      if (free == holds.end()) holds.push_back(kNothing);
    }
    for (const int value : node.inputs)
      if (value != graph::kInput && of(value) != kRows && read_last(value))
        holds[static_cast<std::size_t>(of(value))] = kNothing;
    if (buffer != kRows) holds[static_cast<std::size_t>(buffer)] = k;
    of_.push_back(buffer);
    columns_ = std::max(columns_, layer.out());
  }
  count_ = static_cast<int>(holds.size());
  reads_callers_rows_ = network.layer(0).traits().reads_callers_rows && network.readers(graph::kInput).size() == 1;
}

template <class T>
typename ScratchPool<T>::Lease ScratchPool<T>::take(Index rows) {
  Lease scratch(spare_.exchange(nullptr));
  if (scratch && scratch->capacity >= rows) return scratch;
  {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    while (lock && !idle_.empty()) {
      scratch = std::move(idle_.back());
      idle_.pop_back();
      if (scratch->capacity >= rows) return scratch;
    }
  }
  return std::make_unique<Scratch<T>>(rows, net_, buffers);
}

template <class T>
void ScratchPool<T>::give_back(Lease scratch) noexcept {
  scratch.reset(spare_.exchange(scratch.release()));
  if (!scratch) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  try {
    idle_.push_back(std::move(scratch));
  } catch (const std::bad_alloc&) {  // Then `scratch` is freed, and the next call allocates another.
  }
}

template <class T>
Inference<T>::Inference(const Network<T>& network, ScratchPool<T>& pool, const Compiled<T>* compiled, const Data& data,
                        Index rows)
    : net_(network),
      pool_(pool),
      compiled_(compiled),
      data_(data),
      rows_(rows),
      row_cells_(data.x.cells ? plan::row_cells(network, data.x) : 0),
      sparse_reader_(row_cells_ > 0 ? network.sparse_reader() : graph::kNoNode),
      flops_(network.flops_per_row(row_cells_) * static_cast<double>(rows)) {
  // Eight chunks as soon as there are enough rows for eight cores; more rows make full chunks.
  chunk_ = std::clamp<Index>(ceil_div(rows, 8), std::min<Index>(rows, 12), kInferenceRows);
  chunk_ = std::max<Index>(chunk_, 1);
}

int threads_for(double flops, int asked) {
  if (asked > 0) return asked;
  if (flops < 2 * kFlopsPerThread) return 1;
  const int limit = parallel::limits().available();
  const auto n = static_cast<int>(std::clamp(flops / kFlopsPerThread, 1.0, static_cast<double>(limit)));
  return parallel::threads_without_waking(n, flops);
}

template <class T>
Verdict Inference<T>::run(int n_threads, parallel::Poll poll) {
  if (score_) sums_.resize(static_cast<std::size_t>(items(kChunks)));
  if (measures_) chunk_sums_.resize(static_cast<std::size_t>(items(kChunks) * compiled_->metrics.size()));
  if (n_threads == 1 && flops_ < kBriefFlops &&
      parallel::has_item_stack()) {  // It ends before a team would be awake, and before anybody could ask it to stop.
    auto scratch = pool_.take(chunk_);
    for (Index item = 0; item < items(kChunks); ++item) chunk(*scratch, item);
    pool_.give_back(std::move(scratch));
    return verdict_;
  }
  for (int t = 0; t < n_threads; ++t) scratches_.push_back(pool_.take(chunk_));
  plan_repacking(*scratches_.front());
  const auto outcome = parallel::run(*this, repack_tiles_.empty() ? kChunks : kRepack, n_threads, poll);
  for (auto& scratch : scratches_) pool_.give_back(std::move(scratch));
  return outcome.stopped && verdict_ == Verdict::kGood ? Verdict::kStopped : verdict_.load();
}

// Every chunk reads W of wide layers, so with many chunks it is faster to pack W first.
template <class T>
void Inference<T>::plan_repacking(Scratch<T>& scratch) {
  if (rows_ < kPackRows) return;
  Index size = 0;
  for (int k = 0; k < net_.depth(); ++k)
    if (is_wide(net_.layer(k)) && k != sparse_reader_) {
      const auto matrix = net_.layer(k).product_matrix();
      size += packed_size<T>(matrix.rows, matrix.cols);
    }
  if (size == 0) return;
  if (scratch.packed.size() < size) scratch.packed = Buffer<T>(size);
  packed_w_.resize(static_cast<std::size_t>(net_.depth()));
  T* at = scratch.packed.data();
  for (const auto& p : net_.parameters()) {
    if (p.role != graph::Role::kProductMatrix || !is_wide(net_.layer(p.layer)) || p.layer == sparse_reader_) continue;
    packed_w_[static_cast<std::size_t>(p.layer)] = {at, p.rows, p.cols};
    at += packed_size<T>(p.rows, p.cols);
    for (Index r = 0; r < p.rows; r += kTileRows) repack_tiles_.push_back({&p, {r, std::min(kTileRows, p.rows - r)}});
  }
}

template <class T>
Index Inference<T>::items(int phase) const noexcept {
  return phase == kRepack ? static_cast<Index>(repack_tiles_.size()) : ceil_div(rows_, chunk_);
}

template <class T>
double Inference<T>::item_flops(int phase) const noexcept {
  return phase == kRepack ? 1e4 : net_.flops_per_row(row_cells_) * static_cast<double>(chunk_);
}

template <class T>
void Inference<T>::run(int phase, Index item, parallel::Worker& worker) noexcept {
  if (phase == kChunks) return chunk(*scratches_[static_cast<std::size_t>(worker.thread())], item);
  const auto& [p, rows] = repack_tiles_[static_cast<std::size_t>(item)];
  const ConstMatrix<T> w = p->in(net_.value_buffer().data());
  kernels::pack<T>(w.middle_rows(rows.first, rows.count), packed_w_[static_cast<std::size_t>(p->layer)], rows.first);
}

template <class T>
void Inference<T>::chunk(Scratch<T>& scratch, Index item) noexcept {
  const Index first = item * chunk_, count = std::min(chunk_, rows_ - first);
  const kernels::RowIds ids{nullptr, first};
  const Matrix<T> y = carry(scratch, input(scratch, first, count), first);
  const bool linked = score_ && score_chunk(scratch, y, ids, item);
  if (!out_) return;
  if (link_ && !linked) compiled_->loss->template loops<T>().link(compiled_->loss_values, y);
  for (Index r = 0; r < count; ++r)
    std::memcpy(out_ + (first + r) * out_stride_, y.row(r), sizeof(T) * static_cast<std::size_t>(y.cols));
}

// The caller's rows in place if the first layer can read them, otherwise gathered.
template <class T>
ConstMatrix<T> Inference<T>::input(Scratch<T>& scratch, Index first, Index count) noexcept {
  const auto& scaling = net_.preparation().scaling();
  if (row_cells_ > 0) {
    if (!kernels::finite_cells<T>({&data_.x, {nullptr, first}, scaling}, 0, count)) flag(verdict_, Verdict::kBadX);
    return scratch.input.view().middle_rows(0, count);  // which carry does not read
  }
  if (pool_.buffers.reads_callers_rows())
    if (const auto there = kernels::in_place<T>(data_.x, scaling, first, count)) return there;
  const Matrix<T> x = scratch.input.view().middle_rows(0, count);
  if (!kernels::gather<T>(data_.x, {nullptr, first}, scaling, x)) flag(verdict_, Verdict::kBadX);
  return x;
}

// The memory for the output of node `node`.
template <class T>
Matrix<T> Inference<T>::value(Scratch<T>& scratch, int node, Index rows) noexcept {
  const int buffer = pool_.buffers.of(node);
  const Index columns = net_.layer(node).out();
  if (buffer == Buffers<T>::kRows) return scratch.input.view().block(0, 0, rows, columns);
  return {scratch.values[static_cast<std::size_t>(buffer)].view().data, rows, columns, padded<T>(columns)};
}

// Runs all layers forward. The rows of a chunk are stored as close together as the number of columns permits, so that
// fewer cache lines of the buffers are used.
template <class T>
Matrix<T> Inference<T>::carry(Scratch<T>& scratch, ConstMatrix<T> x, Index first) noexcept {
  const bool gathered = x.data == scratch.input.view().data;
  layers::Slot<T> slot;
  kernels::SparseBatch<T> sparse;
  if (row_cells_ > 0) sparse.rows = {&data_.x, {nullptr, first}, net_.preparation().scaling()};
  for (int k = 0; k < net_.depth(); ++k) {
    const auto& node = net_.node(k);
    const auto& layer = *node.layer;
    const auto read = [&](int value) -> ConstMatrix<T> {
      return value == graph::kInput ? x : this->value(scratch, value, x.rows);
    };
    slot.x = node.inputs[0] == k - 1 && k > 0 ? ConstMatrix<T>(slot.y) : read(node.inputs[0]);
    if (node.inputs.size() > 1) slot.x2 = read(node.inputs[1]);
    slot.sparse = k == sparse_reader_ ? &sparse : nullptr;
    slot.y = value(scratch, k, x.rows);
    if (!packed_w_.empty()) slot.w = packed_w_[static_cast<std::size_t>(k)];
    layer.forward(slot, {0, x.rows}, {0, layer.out()}, {.packed = true});
    if (k == 0 && !gathered && !kernels::finite_by_product<T>(x, slot.y)) flag(verdict_, Verdict::kBadX);
  }
  return slot.y;
}

template <class T>
bool Inference<T>::score_chunk(Scratch<T>& scratch, Matrix<T> out, kernels::RowIds ids, Index item) noexcept {
  const losses::Row& loss = *compiled_->loss;
  const losses::Traits& traits = compiled_->loss_traits;
  const auto [targets, good] =
      losses::read_targets<T>(loss, traits, data_.y, ids, net_.n_outputs(),
                              scratch.targets.view().middle_rows(0, out.rows), scratch.labels.data());
  if (!good) flag(verdict_, Verdict::kBadTarget);
  losses::Weighed weighed{losses::unweighted(out.rows)};
  if (data_.weights) weighed = losses::weigh<T>(data_.weights, ids, out.rows, scratch.weights.data());
  if (!weighed.valid) flag(verdict_, Verdict::kBadWeight);
  if (const losses::Outside bad = losses::outside_outputs<T>(traits, out)) {
    outside_.note(ids[bad.row], out.row(bad.row)[bad.column]);
    flag(verdict_, Verdict::kBadOutput);
  }
  const T* weights = data_.weights ? scratch.weights.data() : nullptr;
  const Values& values = compiled_->loss_values;
  losses::Sums& sums = sums_[static_cast<std::size_t>(item)] = weighed.sums;
  if (const Reals table = traits.class_weights; !table.empty() && targets.classes)
    sums.divisor = losses::weight_of_classes<T>(table.all(), targets.classes, weights, out.rows);
  sums.loss = loss.loops<T>().value(values, out, targets, weights, T(0), {});
  if (accuracy_) sums.right = loss.loops<T>().right(values, out, targets, weights);
  return measures_ && measure_chunk(out, targets, weights, item);
}

template <class T>
bool Inference<T>::measure_chunk(Matrix<T> out, const losses::Targets<T>& targets, const T* weights,
                                 Index item) noexcept {
  const metrics::Chosen& chosen = compiled_->metrics;
  double* sums = chunk_sums_.data() + item * chosen.size();
  const metrics::Rows<T> rows{out, targets.dense, targets.classes, weights};
  chosen.sum<T>(rows, false, sums);
  if (!chosen.see_predictions()) return false;
  compiled_->loss->template loops<T>().link(compiled_->loss_values, out);
  chosen.sum<T>(rows, true, sums);
  return true;
}

template <class T>
int Inference<T>::finish(int phase, bool stopped) noexcept {
  return phase == kRepack && !stopped ? kChunks : parallel::kEnd;
}

template <class T>
Scores Inference<T>::scores() const {
  losses::Sums all;
  Scores scores;
  if (measures_) scores.sums.resize(static_cast<std::size_t>(compiled_->metrics.size()));
  for (std::size_t k = 0; k < sums_.size(); ++k) {
    const auto [own, its, exponent] = all.factors(sums_[k]);
    if (measures_) compiled_->metrics.join(scores.sums.data(), own, chunk_sums_.data() + k * scores.sums.size(), its);
    all.add(sums_[k]);
  }
  scores.loss = compiled_->loss_traits.average(all);
  scores.accuracy = all.accuracy();
  scores.weight = all.weight;
  scores.exponent = all.exponent;
  return scores;
}

template class Buffers<float>;
template class Buffers<double>;
template class ScratchPool<float>;
template class ScratchPool<double>;
template class Inference<float>;
template class Inference<double>;

}  // namespace fastnn::run
