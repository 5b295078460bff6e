// Containers: layers that contain layers. A container defines how its layers are connected; in the network only nodes
// and the ids of their inputs remain.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/config.h"
#include "layers/layer.h"

namespace fastnn::graph {

// The id that stands for the rows of the batch as an input of a node.
inline constexpr int kInput = -1;
inline constexpr int kNoNode = -2;

template <class T>
struct Node {
  std::string key;   // as in torch's state_dict: "0", "2.0" inside a container
  std::string kind;  // its name in the registry
  std::unique_ptr<layers::Layer<T>> layer;
  std::vector<int> inputs;  // nodes before it, or kInput, in the order of the layer's inputs
};

// The output of a node, or the rows of the batch.
struct Value {
  int node = kInput;
  Index columns = 0;
};

// The nodes of a network during its construction.
template <class T>
class Assembly {
 public:
  // `numbered` is how many numbers, of keys and of random streams, input preparation has taken.
  explicit Assembly(int numbered) : number_(numbered) {}
  // Adds a chain of layers, whose keys are `prefix` and a number from `first` on.
  Value chain(const std::vector<Config>& configs, const std::string& prefix, Value x, int first = 0);
  // Adds one layer, which may be a container.
  Value add(const Config& config, const std::string& key, Value x);
  // Adds a node that belongs to a container and is no layer of the user, so it has no number.
  Value join(const std::string& kind, const std::string& key, std::unique_ptr<layers::Layer<T>> layer,
             std::vector<int> inputs);
  std::vector<Node<T>> take() { return std::move(nodes_); }

 private:
  std::vector<Node<T>> nodes_;
  int number_;  // of the next layer, depth first
};

template <class T>
using Connect = Value (*)(Assembly<T>& assembly, const Config& config, const std::string& key, Value x);

struct Container : fastnn::Row {
  bool has_shortcut;
  Connect<float> connect_f32;
  Connect<double> connect_f64;

  template <class T>
  Connect<T> connect() const {
    return of_type<T>(connect_f32, connect_f64);
  }
};

// The list of all containers (containers.cpp).
Registry<Container> containers();

// The largest depth of nested containers.
inline constexpr int kMostNested = 64;

}  // namespace fastnn::graph
