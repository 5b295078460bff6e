// The results of compile(): loss, optimizer, their hyperparameters and the optimizer's states.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <map>
#include <memory>

#include "graph/network.h"
#include "losses/loss.h"
#include "optimizers/registry.h"
#include "run/settings.h"

namespace fastnn::run {

using graph::Network;
using graph::Parameter;

// Hyperparameters of the optimizer: of all parameters but those that have a set of their own, by their keys.
struct OptimizerValues {
  Values others;
  std::map<std::string, Values> own;
};

struct CompileSpec {
  const losses::Row* loss = nullptr;
  Values loss_values;
  const optimizers::Row* optimizer = nullptr;
  OptimizerValues optimizer_values;
  CompileSettings settings;
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

  // Other hyperparameters from the next update on; states and counts of updates stay as they are. Throws
  // std::invalid_argument where a key is unknown or a state is needed that compile made no room for, and then nothing
  // has changed.
  void set_values(const Network<T>& network, const OptimizerValues& values);

  bool loss_is_sum() const { return loss->is_sum(loss_values); }
  double average(const losses::Sums& sums, Index outputs) const { return loss->average(loss_values, sums, outputs); }
  double scale(const losses::Sums& sums, Index outputs) const { return loss->scale(loss_values, sums, outputs); }
  const Rule& rule(int parameter) const { return rules[rule_of[static_cast<std::size_t>(parameter)]]; }
  // The s-th of the n_states arrays that some parameter keeps.
  T* state(int s) const { return states->data() + s * state_size; }
  // What all learning rates are multiplied with in update `step` of the model, counted from 0: the place of schedules.
  double lr_factor(std::int64_t step) const {
    (void)step;
    return 1;
  }
  // The largest learning rate of any parameter.
  double largest_lr() const;
  // The coefficients of these parameters' next update, and its end. Each counts its own updates, as torch's do: a layer
  // that was frozen for a while goes on where it was left, and one that was frozen until now begins.
  void begin_update(const std::vector<int>& parameters, std::int64_t step);
  void end_update(const std::vector<int>& parameters);

  const losses::Row* loss;
  Values loss_values;
  const optimizers::Row* optimizer;
  std::vector<Rule> rules;  // no two of them equal
  // By the network's parameters.
  std::vector<std::size_t> rule_of;
  std::vector<optimizers::Coefficients> coefficients;
  std::vector<std::int64_t> steps;  // updates so far
  CompileSettings settings;
  int n_states = 0;
  Index state_size;                   // numbers in one: as many as the network's values
  std::shared_ptr<Buffer<T>> states;  // one behind the other; shared with the views that Python holds

 private:
  // The rules of these values, and which of them each parameter has.
  struct Rules {
    std::vector<Rule> rules;
    std::vector<std::size_t> rule_of;
    optimizers::StateSet any = 0;  // states that some parameter keeps
  };
  Rules rules_for(const Network<T>& network, const OptimizerValues& values) const;
  void take(Rules made);

  optimizers::StateSet placed_ = 0;  // states that have room in `states`
};

}  // namespace fastnn::run
