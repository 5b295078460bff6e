// SPDX-License-Identifier: BSD-3-Clause
#include "plan/workspace.h"

namespace fastnn::plan {

template <class T>
Workspace<T>::Workspace(const Network<T>& network, Index rows, bool need_dx, bool dense)
    : capacity_(rows), has_dx_(need_dx), has_input_(dense) {
  slots_.resize(static_cast<std::size_t>(network.depth()));
  gradients_.resize(slots_.size() + 1);
  own_shapes_.resize(slots_.size());
  take_all(network);
  arena_.reserve();
  take_all(network);

  for (int k = 0; k < network.depth(); ++k) {
    const auto& layer = network.layer(k);
    auto& slot = slots_[static_cast<std::size_t>(k)];
    if (const auto& inputs = network.node(k).inputs; inputs.size() > 1)
      seconds_.push_back({static_cast<std::size_t>(k), static_cast<std::size_t>(inputs[1] + 1), slot.dx2.data});
    if (layer.partial_size() == 0) continue;
    sums_.emplace_back(max_chunks(rows) * layer.partial_size());
    slot.partials = sums_.back().data();
    sums_.emplace_back(layer.merged_size());
    slot.merged = sums_.back().data();
  }
  labels = Buffer<std::int32_t>(rows);
  weights = Buffer<T>(rows);
  chunks = Buffer<OfChunk>(max_chunks(rows));
}

template <class T>
void Workspace<T>::take_all(const Network<T>& network) {
  if (has_input_) input_ = take(network.n_features());
  take_activations(network);
  take_gradients(network);
  targets = take(network.n_outputs());
}

// y may overwrite x if nobody else reads x, backward of this layer does not, and backward of the layer that made x does
// not read it as its output.
template <class T>
void Workspace<T>::take_activations(const Network<T>& network) {
  const auto value = [&](int k) -> ConstMatrix<T> {
    return k == graph::kInput ? input_ : slots_[static_cast<std::size_t>(k)].y;
  };
  for (int k = 0; k < network.depth(); ++k) {
    const auto& node = network.node(k);
    const auto& layer = *node.layer;
    const auto& traits = layer.traits();
    const int first = node.inputs[0];
    auto& slot = slots_[static_cast<std::size_t>(k)];
    slot.x = value(first);
    if (node.inputs.size() > 1) slot.x2 = value(node.inputs[1]);
    const bool producer_looks = first != graph::kInput && network.layer(first).traits().needs_output;
    const bool in_place =
        traits.elementwise && !traits.needs_input && !producer_looks && network.readers(first).size() == 1;
    slot.y =
        in_place ? (first == graph::kInput ? input_ : slots_[static_cast<std::size_t>(first)].y) : take(layer.out());
    if (layer.scratch_cols() > 0) slot.scratch = take(layer.scratch_cols());
    if (!has_input_ && k == network.sparse_reader()) continue;
    if (is_wide(layer) && capacity_ >= kPackRows) slot.w = arena_.take_packed(layer.in(), layer.out());
    if (transposes_x(layer, capacity_)) slot.xt = arena_.take(layer.in(), capacity_);
  }
}

// A layer that does not own its output stores dx in the memory of dy; other layers, and second inputs, get memory for
// it. The last reader of a value is the first in the backward pass: its dx becomes the gradient of the value, to which
// the gradients of the earlier readers are added.
template <class T>
void Workspace<T>::take_gradients(const Network<T>& network) {
  const auto gradient_of = [&](int k) -> Matrix<T>& { return gradients_[static_cast<std::size_t>(k + 1)]; };
  gradient_of(network.depth() - 1) = take(network.n_outputs());
  for (int k = network.depth() - 1; k >= 0; --k) {
    const auto& node = network.node(k);
    const auto& layer = *node.layer;
    auto& slot = slots_[static_cast<std::size_t>(k)];
    slot.dy = gradient_of(k);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const int value = node.inputs[i];
      const bool comes_first = network.readers(value).back() == k;
      if (value == graph::kInput && !has_dx_ && (i > 0 || layer.traits().owns_output)) continue;
      if (const auto w = layer.product_matrix(); i == 0 && w.rows > 0) {
        if (is_wide(layer))
          slot.wt = arena_.take_packed(w.cols, w.rows);
        else
          own_shapes_[static_cast<std::size_t>(k)] = {w.cols, w.rows};
      }
      const bool apart = i == 0 ? layer.traits().owns_output : comes_first;
      const Matrix<T> dx = apart ? take(network.columns(value)) : slot.dy;
      (i == 0 ? slot.dx : slot.dx2) = dx;
      if (comes_first) gradient_of(value) = dx;
    }
  }
}

template <class T>
std::unique_ptr<typename Workspace<T>::Own> Workspace<T>::make_own() const {
  auto own = std::make_unique<Own>();
  own->slots = Buffer<OwnSlot>(static_cast<Index>(own_shapes_.size()));
  const auto take_transposes = [&] {
    for (std::size_t k = 0; k < own_shapes_.size(); ++k)
      if (const auto& wt = own_shapes_[k]; wt.rows > 0)
        own->slots[static_cast<Index>(k)].slot.own_wt = own->arena.take(wt.rows, wt.cols);
  };
  take_transposes();
  own->arena.reserve();
  take_transposes();
  return own;
}

template <class T>
void Workspace<T>::set_rows(Index rows) {
  if (rows == rows_) return;  // the caches of other cores keep the views
  rows_ = rows;
  for (auto& slot : slots_) {
    slot.x.rows = slot.x2.rows = slot.xt.cols = rows;
    for (Matrix<T>* view : {&slot.y, &slot.dy, &slot.dx, &slot.dx2, &slot.scratch}) view->rows = rows;
  }
  for (auto& gradient : gradients_) gradient.rows = rows;
  input_.rows = targets.rows = rows;
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace fastnn::plan
