// Containers: layers that are made of layers. Each says how its own are connected; of it nothing is left in a network
// but nodes and the ids of their inputs.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/config.h"
#include "layers/layer.h"

namespace fastnn::graph {

// What a node reads where it reads the rows of the batch.
inline constexpr int kInput = -1;

template <class T>
struct Node {
  std::string key;   // as in torch's state_dict: "0", "2.0" inside a container
  std::string kind;  // its name in the registry
  std::unique_ptr<layers::Layer<T>> layer;
  std::vector<int> inputs;  // nodes before it, or kInput, in the order of the layer's inputs
};

// What a node gives, or the rows of the batch.
struct Value {
  int node = kInput;
  Index columns = 0;
};

// The nodes of a network while it is made.
template <class T>
class Assembly {
 public:
  // `numbered`: how many numbers input preparation took, of keys and of random streams.
  explicit Assembly(int numbered) : number_(numbered) {}
  // Layers one after the other: their keys are `prefix` and a number, from `first` on.
  Value chain(const std::vector<Config>& configs, const std::string& prefix, Value x, int first = 0);
  // A node for what a container does itself: no layer of the caller, so without a number of its own.
  Value join(const std::string& kind, const std::string& key, std::unique_ptr<layers::Layer<T>> layer,
             std::vector<int> inputs);
  std::vector<Node<T>> take() { return std::move(nodes_); }

 private:
  Value add(const Config& config, const std::string& key, Value x);
  std::vector<Node<T>> nodes_;
  int number_;  // of the next layer, depth first
};

template <class T>
using Connect = Value (*)(Assembly<T>& assembly, const Config& config, const std::string& key, Value x);

struct Container : fastnn::Row {
  Connect<float> connect_f32;
  Connect<double> connect_f64;

  template <class T>
  Connect<T> connect() const {
    return of_type<T>(connect_f32, connect_f64);
  }
};

// The one list (containers.cpp).
Registry<Container> containers();

// How many containers may stand inside each other.
inline constexpr int kMostNested = 64;

}  // namespace fastnn::graph
