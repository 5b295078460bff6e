// SPDX-License-Identifier: BSD-3-Clause
#include "run/layer_alone.h"

#include <algorithm>

#include "core/check.h"

namespace fastnn::run {

namespace {
constexpr Index kChunkRows = 96;
}

template <class T>
LayerAlone<T>::LayerAlone(const std::string& kind, const Values& settings, Index rows, Index columns,
                          const layers::Batch& batch, int number)
    : layer_(layers::make_layer<T>(kind, settings, columns)), batch_(batch), x_(rows, columns) {
  if (layer_ == nullptr) require(false, "[layer] unknown layer '", kind, "'; known: ", join(layers::kinds()));
  require(layer_->product_matrix().rows == 0, "[layer] ", kind, " has a product; expected a layer without one");
  layer_->set_place(kind, number);
  shapes_ = layer_->params();
  std::vector<Matrix<T>> views;
  for (const auto& shape : shapes_) {
    values_.emplace_back(shape.rows, shape.cols);
    gradients_.emplace_back(shape.rows, shape.cols);
    views.push_back(values_.back().view());
  }
  layer_->bind(views);
  layer_->initialize(batch.seed);
  y_ = MatrixBuffer<T>(rows, layer_->out());
  dy_ = MatrixBuffer<T>(rows, layer_->out());
  if (layer_->traits().owns_output) dx_ = MatrixBuffer<T>(rows, columns);
  if (layer_->scratch_cols() > 0) scratch_ = MatrixBuffer<T>(rows, layer_->scratch_cols());
  slot_.x = x(), slot_.y = y(), slot_.dy = dy(), slot_.scratch = scratch_.view();
  slot_.dx = layer_->traits().owns_output ? dx_.view() : dy();
  if (layer_->partial_size() == 0) return;
  partials_ = Buffer<double>(ceil_div(rows, kChunkRows) * layer_->partial_size());
  merged_ = Buffer<double>(layer_->merged_size());
  slot_.partials = partials_.data(), slot_.merged = merged_.data();
}

template <class T>
template <class F>
void LayerAlone<T>::for_chunks(F f) {
  for (Index first = 0; first < batch_.rows; first += kChunkRows)
    f(layers::Range{first, std::min(kChunkRows, batch_.rows - first)},
      slot_.partials + first / kChunkRows * layer_->partial_size());
}

template <class T>
void LayerAlone<T>::forward() {
  if (!layer_->traits().row_local) {
    const bool own = batch_.own_statistics();
    if (own) for_chunks([&](layers::Range rows, double* partial) { layer_->forward_partial(slot_, rows, partial); });
    layer_->forward_merge(slot_, own ? ceil_div(batch_.rows, kChunkRows) : 0, kChunkRows, batch_.rows);
  }
  layer_->forward(slot_, {0, batch_.rows}, {0, layer_->out()}, batch_);
}

template <class T>
void LayerAlone<T>::backward() {
  if (layer_->partial_size() > 0) {
    for_chunks([&](layers::Range rows, double* partial) { layer_->backward_partial(slot_, rows, partial); });
    layer_->backward_merge(slot_, ceil_div(batch_.rows, kChunkRows), batch_.rows);
  }
  for (std::size_t i = 0; i < shapes_.size(); ++i)
    if (shapes_[i].trainable)
      layer_->tile_gradient(slot_, static_cast<int>(i), {0, shapes_[i].rows}, {0, shapes_[i].cols}, {0, batch_.rows},
                            false, gradient(i), nullptr);
  layer_->backward(slot_, {0, batch_.rows}, {0, layer_->in()}, batch_);
}

template class LayerAlone<float>;
template class LayerAlone<double>;

}  // namespace fastnn::run
