// SPDX-License-Identifier: BSD-3-Clause
#include "plan/workspace.h"

#include "layers/batch_norm.h"

namespace fastnn::plan {

template <class T>
Workspace<T>::Workspace(const Network<T>& network, Index rows, bool need_dx) : capacity_(rows), has_dx_(need_dx) {
  slots_.resize(static_cast<std::size_t>(network.depth()));
  lay_out(network);
  arena_.reserve();
  lay_out(network);

  for (int k = 0; k < network.depth(); ++k) {
    const auto& layer = network.layer(k);
    if (layer.traits().row_local) continue;
    auto& slot = slots_[static_cast<std::size_t>(k)];
    sums_.emplace_back(max_chunks(rows) * layer.partial_size());
    slot.partials = sums_.back().data();
    sums_.emplace_back(layers::BatchNorm1d<T>::kMerged * layer.out());
    slot.merged = sums_.back().data();
  }
  labels = Buffer<std::int32_t>(rows);
  weights = Buffer<T>(rows);
  loss = Buffer<double>(max_chunks(rows));
  right = Buffer<double>(max_chunks(rows));
  bounds = Buffer<double>(max_chunks(rows));
}

template <class T>
void Workspace<T>::lay_out(const Network<T>& network) {
  const int depth = network.depth();

  // Activations: a layer works in place where neither it nor the producer of its input looks at that again.
  Matrix<T> x = input_ = take(network.n_features());
  bool producer_looks = false;
  for (int k = 0; k < depth; ++k) {
    const auto& layer = network.layer(k);
    const auto& traits = layer.traits();
    auto& slot = slots_[static_cast<std::size_t>(k)];
    slot.x = x;
    const bool in_place = traits.elementwise && !traits.needs_input && !producer_looks;
    slot.y = in_place ? x : take(layer.out());
    if (layer.scratch_cols() > 0) slot.scratch = take(layer.scratch_cols());
    producer_looks = traits.needs_output;
    if (is_wide(layer) && capacity_ >= kPackRows) slot.w = arena_.take_packed(layer.in(), layer.out());
    x = slot.y;
  }

  // Gradients: one buffer behind every Linear, shared in place by the layers that follow it.
  Matrix<T> dy = take(network.n_outputs());
  for (int k = depth - 1; k >= 0; --k) {
    const auto& layer = network.layer(k);
    auto& slot = slots_[static_cast<std::size_t>(k)];
    slot.dy = dy;
    if (layer.traits().wide_capable) {
      if (k == 0 && !has_dx_) continue;
      slot.wt = arena_.take_packed(layer.out(), layer.in());
      dy = take(layer.in());
    }
    slot.dx = dy;
  }

  targets = take(network.n_outputs());
}

template <class T>
void Workspace<T>::set_rows(Index rows) {
  for (auto& slot : slots_) {
    slot.x.rows = rows;
    for (Matrix<T>* view : {&slot.y, &slot.dy, &slot.dx, &slot.scratch}) view->rows = rows;
  }
  input_.rows = targets.rows = rows;
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace fastnn::plan
