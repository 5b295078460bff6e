// Network: nodes (a layer and the nodes whose outputs it reads), and the one buffer that holds the values of all
// layers. A node reads only nodes before it, so the forward pass follows their order and the backward pass the reverse.
// Only Network owns parameters: layers hold views, optimizers get tiles, Python gets NumPy views.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/buffer.h"
#include "graph/config.h"
#include "graph/containers.h"
#include "graph/preparation.h"
#include "layers/layer.h"

namespace fastnn::graph {

using layers::Layer;
using layers::Range;
using layers::Role;

struct Parameter {
  int layer = 0;     // index of its node
  int index = 0;     // of the parameter in its layer
  std::string node;  // the node's key, "2.0"
  std::string name;  // "weight"
  Index rows = 0, cols = 0, stride = 0;
  Index offset = 0;  // in the value buffer, and in the buffers of the same layout (gradients, optimizer states)
  Role role = Role::kVector;
  bool trainable = true;

  std::string key() const { return node + "." + name; }  // as in torch's state_dict
  bool two_dimensional() const { return role != Role::kVector; }
  template <class T>
  Matrix<T> in(T* buffer) const {
    return {buffer + offset, rows, cols, stride};
  }
};

template <class T>
class Network {
 public:
  // Throws std::invalid_argument if the widths of two neighbours do not fit or a name is unknown. Without `initialize`
  // all values are zero, for callers that set all of them.
  Network(const std::vector<Config>& configs, std::uint64_t seed, bool initialize);

  Index n_features() const { return n_features_; }
  Index n_outputs() const { return nodes_.back().layer->out(); }
  std::uint64_t seed() const { return seed_; }
  Index size() const { return values_.size(); }  // of the value buffer, padding included
  const Buffer<T>& value_buffer() const { return values_; }
  T* values() { return values_.data(); }
  const Preparation<T>& preparation() const { return preparation_; }

  int depth() const { return static_cast<int>(nodes_.size()); }
  const Node<T>& node(int k) const { return nodes_[static_cast<std::size_t>(k)]; }
  Layer<T>& layer(int k) const { return *node(k).layer; }
  // The number of columns of the output of node k, or of the prepared rows if k is kInput. `readers` are the nodes that
  // read these values, in order.
  Index columns(int k) const { return k == kInput ? n_features_ : layer(k).out(); }
  const std::vector<int>& readers(int k) const { return readers_[static_cast<std::size_t>(k + 1)]; }
  // The last reader of a value is the first in the backward pass and stores the value's gradient; every earlier reader
  // adds its own. Does node k add that of its i-th input?
  bool adds_gradient(int k, std::size_t i) const { return readers(node(k).inputs[i]).back() != k; }

  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::span<const Parameter> parameters_of(int layer) const {
    const auto k = static_cast<std::size_t>(layer);
    return std::span(parameters_).subspan(first_[k], first_[k + 1] - first_[k]);
  }

  // Sets all settings that may change between steps, of a layer or of input preparation ("input.0"). If it throws
  // std::invalid_argument, nothing has changed. sparse: X is being read as sparse rows, so zeros have to stay zeros.
  void change(const std::string& key, const Config& settings, bool sparse);

  // The node of the layer with this key, or all nodes inside the container with this key. Throws std::invalid_argument
  // if there is neither.
  const std::vector<int>& nodes_of(const std::string& key) const;
  bool frozen(int layer) const { return frozen_[static_cast<std::size_t>(layer)]; }
  bool frozen(const std::string& key) const;
  void set_frozen(const std::string& key, bool frozen);
  bool trains(const Parameter& p) const { return p.trainable && !frozen(p.layer); }
  bool trains(int layer) const;
  bool has_statistics() const {  // of batches, which training passes take even if they do not update
    return std::ranges::any_of(nodes_, [](const Node<T>& node) { return !node.layer->traits().row_local; });
  }
  // Of each node: training batches from which the layer has taken statistics of the whole batch, as BatchNorm1d does.
  const std::vector<std::int64_t>& batches() const { return batches_; }
  void set_batches(const std::vector<std::int64_t>& batches) { batches_ = batches; }
  void count_batch(int layer) { ++batches_[static_cast<std::size_t>(layer)]; }
  // Which gradients the backward pass has to compute; element k + 1 is that of the output of node k, element 0 that of
  // the prepared rows. A gradient is needed if the node or a node before it has something to train. If the gradient of
  // the input is asked for, all are needed.
  std::vector<bool> wanted_gradients(bool of_input) const;
  // The node that may read X as sparse rows: the only one that reads the prepared rows, where preparation leaves zeros
  // as they are. kNoNode if there is none.
  int sparse_reader() const;
  // row_cells: the stored cells of a row, if X is read as sparse rows; 0 if it is dense.
  double flops_per_row(Index row_cells = 0) const;

 private:
  void allocate();

  std::uint64_t seed_;
  Index n_features_ = 0;
  Preparation<T> preparation_;
  std::vector<Node<T>> nodes_;
  std::unordered_map<std::string, std::vector<int>> nodes_of_;  // by the keys of layers and containers
  std::vector<std::vector<int>> readers_;
  std::vector<bool> frozen_;
  std::vector<std::int64_t> batches_;
  std::vector<Parameter> parameters_;  // in the order of the layers
  std::vector<std::size_t> first_;     // the parameters of layer k are parameters_[first_[k]] to [first_[k + 1] - 1]
  Buffer<T> values_;
};

}  // namespace fastnn::graph
