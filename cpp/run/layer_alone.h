// LayerAlone: one layer without a network, for functions of arrays: forward and backward of a batch on the calling
// thread. Layers with a product have functions of their own, and are not made here.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "layers/layer.h"

namespace fastnn::run {

template <class T>
class LayerAlone {
 public:
  // `number` selects the random streams, as the position in a model does. Throws std::invalid_argument if the layer
  // refuses its settings or the columns.
  LayerAlone(const std::string& kind, const Values& settings, Index rows, Index columns, const layers::Batch& batch,
             int number);

  const std::vector<layers::ParamShape>& shapes() const { return shapes_; }
  // Parameter i, with its initial values until the caller writes others, and its gradient after backward.
  Matrix<T> value(std::size_t i) { return values_[i].view(); }
  Matrix<T> gradient(std::size_t i) { return gradients_[i].view(); }
  // x and dy are written by the caller; y and dx are results. dx may be the memory of dy.
  Matrix<T> x() { return x_.view(); }
  Matrix<T> y() { return y_.view(); }
  Matrix<T> dy() { return dy_.view(); }
  Matrix<T> dx() { return slot_.dx; }

  void forward();
  void backward();  // after forward
  // After forward in training: moves the running statistics.
  void commit() {
    if (batch_.own_statistics() && !layer_->traits().row_local) layer_->commit(slot_, batch_.rows);
  }

 private:
  template <class F>
  void for_chunks(F f);

  std::unique_ptr<layers::Layer<T>> layer_;
  layers::Batch batch_;
  std::vector<layers::ParamShape> shapes_;
  std::vector<MatrixBuffer<T>> values_, gradients_;
  MatrixBuffer<T> x_, y_, dy_, dx_, scratch_;
  Buffer<double> partials_, merged_;
  layers::Slot<T> slot_;
};

}  // namespace fastnn::run
