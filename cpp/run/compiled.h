// What compile() adds to a network: loss, optimizer, their hyperparameters and the optimizer's state.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <map>
#include <memory>

#include "graph/network.h"
#include "losses/loss.h"
#include "optimizers/registry.h"

namespace fastnn::run {

using graph::Network;
using graph::Parameter;

struct CompileSpec {
  std::string loss;
  HyperGiven loss_hyper;
  std::string optimizer;
  HyperGiven optimizer_hyper;
  std::map<int, HyperGiven> per_layer;  // by torch's number of the layer
  double max_grad_norm = 0;             // 0: no clipping
};

template <class T>
struct Compiled {
  // Throws std::invalid_argument that lists the known names.
  Compiled(const Network<T>& network, const CompileSpec& spec);

  bool loss_is_sum() const { return loss->is_sum(loss_hyper.data()); }
  double average(const losses::Sums& sums, Index outputs) const {
    return loss->average(loss_hyper.data(), sums, outputs);
  }
  double scale(const losses::Sums& sums, Index outputs) const { return loss->scale(loss_hyper.data(), sums, outputs); }
  int states_of(int layer) const { return optimizer->states(hyper_of(layer).data()); }
  const HyperValues& hyper_of(int layer) const { return optimizer_hyper[static_cast<std::size_t>(layer)]; }
  T* state(int s) const { return states->data() + s * state_size; }
  // The largest learning rate of any layer ("lr" stands first in every optimizer's table).
  double steepest() const;
  // The coefficients of these parameters' next update, and its end. Each counts its own updates, as torch's do: a layer
  // that was frozen for a while goes on where it was left, and one that was frozen until now begins.
  void begin_update(const std::vector<int>& parameters);
  void end_update(const std::vector<int>& parameters);

  const losses::Row* loss;
  HyperValues loss_hyper;
  const optimizers::Row* optimizer;
  std::vector<HyperValues> optimizer_hyper;  // per engine layer
  // By the network's parameters.
  std::vector<optimizers::Coefficients> coefficients;
  std::vector<std::int64_t> steps;  // updates so far
  std::vector<int> rules;           // the first layer with the same hyperparameters
  std::vector<T> l1;
  double max_grad_norm;
  int n_states = 0;
  Index state_size;                   // numbers in one: as many as the network's values
  std::shared_ptr<Buffer<T>> states;  // one behind the other; shared with the views that Python holds
};

}  // namespace fastnn::run
