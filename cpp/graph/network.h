// Network: the layers of a model and the one buffer that holds the values of all of them.
// Nobody else owns parameters: layers hold views, optimizers see tiles, Python sees NumPy views.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "kernels/gather.h"
#include "layers/layer.h"

namespace fastnn::graph {

using layers::Layer;
using layers::Range;

struct Parameter {
  int layer = 0;     // index among the engine's layers
  int position = 0;  // torch's number
  int index = 0;     // of the parameter in its layer
  std::string name;
  Index rows = 0, cols = 0, stride = 0;
  Index offset = 0;  // in the value buffer, and in every buffer of its shape (gradients, optimizer state)
  bool trainable = true, matrix = false;

  std::string key() const { return std::to_string(position) + "." + name; }  // as in torch's state_dict
  template <class T>
  Matrix<T> in(T* buffer) const {
    return {buffer + offset, rows, cols, stride};
  }
};

template <class T>
class Network {
 public:
  // Throws std::invalid_argument where two neighbours do not fit or a name is unknown.
  Network(const std::vector<layers::Config>& configs, std::uint64_t seed);

  Index n_features() const { return layers_.front()->in(); }
  Index n_outputs() const { return layers_.back()->out(); }
  std::uint64_t seed() const { return seed_; }
  Index size() const { return values_.size(); }  // of the value buffer, padding included
  const Buffer<T>& value_buffer() const { return values_; }
  T* values() { return values_.data(); }
  kernels::Scaling<T> scaling() const {
    return {scale_.size() ? scale_.data() : nullptr, shift_.size() ? shift_.data() : nullptr, exact_scale_.data(),
            exact_shift_.data()};
  }

  int depth() const { return static_cast<int>(layers_.size()); }
  Layer<T>& layer(int k) const { return *layers_[static_cast<std::size_t>(k)]; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::span<const Parameter> parameters_of(int layer) const {
    const auto k = static_cast<std::size_t>(layer);
    return std::span(parameters_).subspan(first_[k], first_[k + 1] - first_[k]);
  }

  // Settings of a layer that may change between steps, all of them; of the Rescale, whose position is kRescale. Throws
  // std::invalid_argument, and then nothing has changed.
  static constexpr int kRescale = -1;
  void change(int position, const layers::Config& settings);

  bool frozen(int layer) const { return frozen_[static_cast<std::size_t>(layer)]; }
  void set_frozen(int position, bool frozen);
  bool frozen_at(int position) const { return frozen(at(position)); }
  int at(int position) const;  // engine index of torch's number; throws std::invalid_argument
  bool trains(const Parameter& p) const { return p.trainable && !frozen(p.layer); }
  // First layer with something to train; depth() if there is none.
  int lowest_trained() const;
  double flops_per_row() const;

 private:
  void allocate();
  void rescale(const layers::Config& settings, Index width);

  std::uint64_t seed_;
  std::vector<std::unique_ptr<Layer<T>>> layers_;
  std::vector<std::string> kinds_;  // of layers_: their names in the registries
  std::vector<bool> frozen_;
  std::vector<Parameter> parameters_;  // layer by layer
  std::vector<std::size_t> first_;     // those of layer k: parameters_[first_[k]] up to parameters_[first_[k + 1]]
  Buffer<T> values_;
  Buffer<T> scale_, shift_;                   // of the Rescale; empty where there is none
  Buffer<double> exact_scale_, exact_shift_;  // as they were written, for values that T does not hold
};

}  // namespace fastnn::graph
