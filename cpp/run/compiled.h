// What compile() adds to a network: loss, optimizer, their hyperparameters and the optimizer's state.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <map>
#include <memory>

#include "graph/network.h"
#include "losses/loss.h"
#include "optimizers/registry.h"

namespace fastnn::run {

using graph::Network;
using graph::Parameter;

struct CompileSpec {
  const losses::Row* loss = nullptr;
  Values loss_values;
  const optimizers::Row* optimizer = nullptr;
  Values optimizer_values;
  std::map<std::string, Values> per_layer;  // other values of the optimizer, by the key of the layer
  double max_grad_norm = 0;                 // 0: no clipping
};

template <class T>
struct Compiled {
  // Hyperparameters that one or more parameters share.
  struct Rule {
    Values values;
    optimizers::StateSet kept = 0;
    T l1 = 0;
    std::array<T*, optimizers::kMaxStates>
        states{};  // of all parameters, as the network's values lie; nullptr: not kept
  };

  Compiled(const Network<T>& network, const CompileSpec& spec);

  bool loss_is_sum() const { return loss->is_sum(loss_values); }
  double average(const losses::Sums& sums, Index outputs) const { return loss->average(loss_values, sums, outputs); }
  double scale(const losses::Sums& sums, Index outputs) const { return loss->scale(loss_values, sums, outputs); }
  const Rule& rule(int parameter) const { return rules[rule_of[static_cast<std::size_t>(parameter)]]; }
  // The s-th of the n_states arrays that some parameter keeps.
  T* state(int s) const { return states->data() + s * state_size; }
  // The largest learning rate of any parameter.
  double steepest() const;
  // The coefficients of these parameters' next update, and its end. Each counts its own updates, as torch's do: a layer
  // that was frozen for a while goes on where it was left, and one that was frozen until now begins.
  void begin_update(const std::vector<int>& parameters);
  void end_update(const std::vector<int>& parameters);

  const losses::Row* loss;
  Values loss_values;
  const optimizers::Row* optimizer;
  std::vector<Rule> rules;  // no two of them equal
  // By the network's parameters.
  std::vector<std::size_t> rule_of;
  std::vector<optimizers::Coefficients> coefficients;
  std::vector<std::int64_t> steps;  // updates so far
  double max_grad_norm;
  int n_states = 0;
  Index state_size;                   // numbers in one: as many as the network's values
  std::shared_ptr<Buffer<T>> states;  // one behind the other; shared with the views that Python holds

 private:
  std::size_t rule_with(const Values& values);
  void place_states(optimizers::StateSet any);
};

}  // namespace fastnn::run
