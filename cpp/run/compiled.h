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

// Hyperparameters of the optimizer: the sets of single parameters by the parameter's key, and the set of all others.
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
  // A set of hyperparameters that one or more parameters share.
  struct Rule {
    Values values;
    optimizers::StateSet kept = 0;
    T l1 = 0;
    // Each state of all parameters, in the layout of the network's values; nullptr if these hyperparameters need none.
    std::array<T*, optimizers::kMaxStates> states{};
  };

  Compiled(const Network<T>& network, const CompileSpec& spec);

  // Changes the hyperparameters from the next update on; states and counts of updates stay as they are. Throws
  // std::invalid_argument, without changing anything, if a key is unknown or if the new values need a state that
  // compile did not allocate.
  void set_values(const Network<T>& network, const OptimizerValues& values);

  bool loss_is_sum() const { return loss->is_sum(loss_values); }
  double average(const losses::Sums& sums, Index outputs) const { return loss->average(loss_values, sums, outputs); }
  double scale(const losses::Sums& sums, Index outputs) const { return loss->scale(loss_values, sums, outputs); }
  const Rule& rule(int parameter) const { return rules[rule_of[static_cast<std::size_t>(parameter)]]; }
  // The s-th of the n_states state arrays, which are those that at least one parameter needs.
  T* state(int s) const { return states->data() + s * state_size; }
  // The factor of all learning rates in update `step` of the model, counted from 0. A schedule would be computed here.
  double lr_factor(std::int64_t step) const {
    (void)step;
    return 1;
  }
  // The largest learning rate among the parameters.
  double largest_lr() const;
  // begin_update computes the coefficients for the next update of these parameters, and end_update counts it. Each
  // parameter counts its own updates, as in torch: one that was frozen for a while continues with its old count, and
  // one that was frozen until now begins with the first. batch_weight: the sum of the weights of the batch's rows.
  void begin_update(const std::vector<int>& parameters, std::int64_t step, double batch_weight);
  void end_update(const std::vector<int>& parameters);

  const losses::Row* loss;
  Values loss_values;
  const optimizers::Row* optimizer;
  std::vector<Rule> rules;  // no two of them equal
  // Per parameter, by its index in the network:
  std::vector<std::size_t> rule_of;  // index in `rules`
  std::vector<optimizers::Coefficients> coefficients;
  std::vector<std::int64_t> steps;  // the number of updates so far
  CompileSettings settings;
  int n_states = 0;
  Index state_size;                   // numbers in one state: as many as the network has values
  std::shared_ptr<Buffer<T>> states;  // the state arrays one after another; Python's views share the ownership

 private:
  // The distinct rules for given hyperparameters, and the index of each parameter's rule among them.
  struct Rules {
    std::vector<Rule> rules;
    std::vector<std::size_t> rule_of;
    optimizers::StateSet any = 0;  // states that some parameter keeps
  };
  Rules rules_for(const Network<T>& network, const OptimizerValues& values) const;
  void take(Rules made);

  optimizers::StateSet placed_ = 0;  // the states that are allocated in `states`
};

}  // namespace fastnn::run
