// The results of compile(): loss, optimizer, their hyperparameters and the optimizer's states.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <array>
#include <map>
#include <memory>

#include "graph/network.h"
#include "losses/loss.h"
#include "metrics/registry.h"
#include "optimizers/registry.h"
#include "run/settings.h"
#include "schedules/registry.h"

namespace fastnn::run {

using graph::Network;
using graph::Parameter;

// A schedule of the learning rate with the values of its parameters; `row` is nullptr if the rate is a number.
struct Schedule {
  const schedules::Row* row = nullptr;
  Values values;
};

// A limit of the common norm of the gradients of some parameters, which are given by their keys.
struct NormLimit {
  double max_grad_norm = kNoLimit;
  std::vector<std::string> keys;
};

// Hyperparameters of the optimizer: the sets of single parameters by the parameter's key, and the set of all others. A
// schedule changes their learning rates. The settings have the limit of the norm of parameters that no limit names.
struct OptimizerValues {
  Values others;
  std::map<std::string, Values> own;
  Schedule schedule;
  std::vector<NormLimit> limits = {};
};

struct CompileSpec {
  const losses::Row* loss = nullptr;
  Values loss_values;
  const optimizers::Row* optimizer = nullptr;
  OptimizerValues optimizer_values;
  const optimizers::Average* average = nullptr;  // of the parameters; nullptr if there is none
  Values average_values;
  std::vector<fastnn::metrics::Chosen::Given> metrics;
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
  // Parameters whose gradients are clipped by their common norm. Each update sets the sum of squares and the factor.
  struct Clipped {
    double max_grad_norm = kNoLimit;
    double squares = 0;
    T factor = 1;
  };

  Compiled(const Network<T>& network, const CompileSpec& spec);

  // Changes the hyperparameters from the next update on; states and counts of updates stay as they are. A schedule
  // begins now, unless it `continues` the one before. Throws std::invalid_argument, without changing anything, if a key
  // is unknown or if the new values need a state that compile did not allocate.
  void set_values(const Network<T>& network, const OptimizerValues& values, bool continues);

  const Rule& rule(int parameter) const { return rules[rule_of[static_cast<std::size_t>(parameter)]]; }
  bool clips_norm() const;
  Clipped& clipped(int parameter) { return clips[clip_of[static_cast<std::size_t>(parameter)]]; }
  // The s-th of the n_states state arrays: those that at least one parameter needs, the average of the parameters, and
  // accumulated gradients, where the settings ask for them.
  T* state(int s) const { return states->data() + s * state_size; }
  T* averages() const { return averaging ? state(optimizer_states) : nullptr; }
  T* accumulated() const { return settings.accumulates() ? state(n_states - 1) : nullptr; }
  // The learning rate of the next update for parameters without a rate of their own, and the largest of all.
  double lr() const { return rate(base_lr_); }
  double largest_lr() const;
  // Whether the length of the schedule is that of a fit, so that it cannot be used in single steps.
  bool needs_fit() const { return schedule.row && schedule.row->needs_fit(schedule.values); }
  // Throws Refused if such a length is a number of steps, in a fit whose steps are not known before it ends.
  static void need_steps(const char* where, const Schedule& schedule);
  // begin_update computes the coefficients for the next update of these parameters, and end_update counts it. Each
  // parameter counts its own updates, as in torch: one that was frozen for a while continues with its old count, and
  // one that was frozen until now begins with the first. batch_weight: the sum of the weights of the batch's rows.
  void begin_update(const std::vector<int>& parameters, double batch_weight);
  void end_update(const std::vector<int>& parameters);

  const losses::Row* loss;
  Values loss_values;
  losses::Traits loss_traits;
  fastnn::metrics::Chosen metrics;
  const optimizers::Row* optimizer;
  std::vector<Rule> rules;     // no two of them equal
  std::vector<Clipped> clips;  // the first is of the parameters that have no limit of their own
  // Per parameter, by its index in the network:
  std::vector<std::size_t> rule_of, clip_of;  // index in `rules`, and in `clips`
  std::vector<optimizers::Coefficients> coefficients;
  std::vector<std::int64_t> steps;  // the number of updates so far
  CompileSettings settings;
  Schedule schedule;
  schedules::Clock clock;
  double last_lr = 0;                    // that of the last update
  const optimizers::Average* averaging;  // nullptr: no average is kept
  Values averaging_values;
  int optimizer_states = 0, n_states = 0;
  Index state_size;                   // numbers in one state: as many as the network has values
  std::shared_ptr<Buffer<T>> states;  // the state arrays one after another; Python's views share the ownership

 private:
  // The distinct rules for given hyperparameters, the limits of norms, and the indices of each parameter's.
  struct Rules {
    std::vector<Rule> rules;
    std::vector<Clipped> clips;
    std::vector<std::size_t> rule_of, clip_of;
    optimizers::StateSet any = 0;  // states that some parameter keeps
  };
  Rules rules_for(const Network<T>& network, const OptimizerValues& values) const;
  void add_limits(const Network<T>& network, const std::vector<NormLimit>& limits, Rules& made) const;
  void take(Rules made);
  double rate(double base) const { return schedule.row ? schedule.row->rate(schedule.values, base, clock) : base; }
  Values values_now(const Values& values) const;

  double base_lr_ = 0;
  optimizers::StateSet placed_ = 0;  // the states that are allocated in `states`
};

}  // namespace fastnn::run
