// SPDX-License-Identifier: BSD-3-Clause
#include "run/compiled.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/check.h"
#include "core/refusal.h"

namespace fastnn::run {

namespace {
template <class T>
void require_parameter(const Network<T>& network, const std::string& key) {
  std::vector<std::string> known;
  for (const Parameter& p : network.parameters())
    if (p.trainable) known.push_back(p.key());
  require(std::ranges::find(known, key) != known.end(), "[compile] no parameter is called '", key,
          "'; known: ", join(known));
}

// What the outputs of a model with this loss are for metrics.
metrics::Kind kind_of_outputs(const losses::Row& loss, const Values& values, Index columns) {
  metrics::Kind kind{.columns = columns, .each = loss.outputs_per_target(values), .boundary = loss.boundary};
  if (loss.task == losses::Task::kBinary) kind.outputs = metrics::Outputs::kFlags;
  if (loss.task == losses::Task::kMulticlass) kind.outputs = metrics::Outputs::kClasses;
  kind.probabilities = loss.task != losses::Task::kRegression && *loss.predicts == '\0';
  kind.loss = loss.class_name;
  return kind;
}

}  // namespace

template <class T>
Compiled<T>::Compiled(const Network<T>& network, const CompileSpec& spec)
    : loss(spec.loss),
      loss_values(spec.loss_values),
      loss_traits(loss->traits(loss_values, network.n_outputs())),
      optimizer(spec.optimizer),
      settings(spec.settings),
      schedule(spec.optimizer_values.schedule),
      averaging(spec.average),
      averaging_values(spec.average_values),
      state_size(network.size()) {
  require(loss->target != losses::TargetKind::kClass || network.n_outputs() > 1, "[compile] ", loss->class_name,
          " on 1 output; expected one output a class (BCEWithLogitsLoss is for one output)");
  losses::check_outputs("compile", *loss, loss_values, network.n_outputs());
  metrics = metrics::Chosen(kind_of_outputs(*loss, loss_values, network.n_outputs()), spec.metrics);
  Rules made = rules_for(network, spec.optimizer_values);
  base_lr_ = last_lr = optimizer->lr(spec.optimizer_values.others);
  placed_ = made.any;
  optimizer_states = std::popcount(placed_);
  n_states = optimizer_states + (averaging ? 1 : 0) + (settings.accumulates() ? 1 : 0);
  states = std::make_shared<Buffer<T>>(n_states * state_size);
  // Written once, so that the pages are mapped here. Otherwise fit would map them twice: for reading when it copies the
  // states before its first epoch, and again when it writes them.
  std::fill_n(states->data(), states->size(), T(0));
  take(std::move(made));
  steps.resize(rule_of.size());
  coefficients.resize(rule_of.size());
}

template <class T>
void Compiled<T>::set_values(const Network<T>& network, const OptimizerValues& values, bool continues) {
  Rules made = rules_for(network, values);
  for (int s = 0; s < static_cast<int>(optimizer->states.size()); ++s)
    require(!optimizers::contains(made.any & ~placed_, s), "[", optimizer->class_name, "] these values need ",
            optimizer->states[static_cast<std::size_t>(s)].name,
            ", which those that the model was compiled with did not; compile it anew");
  take(std::move(made));
  base_lr_ = optimizer->lr(values.others);
  schedule = values.schedule;
  if (!continues) clock.position = {};
}

template <class T>
void Compiled<T>::need_steps(const char* where, const Schedule& schedule) {
  if (schedule.row && schedule.row->needs_steps(schedule.values))
    throw Refused({.where = where, .reason = reason::kNoSteps, .came = schedule.row->class_name});
}

// The hyperparameters of the next update.
template <class T>
Values Compiled<T>::values_now(const Values& values) const {
  const Values at_rate = optimizer->with_lr(values, rate(optimizer->lr(values)));
  if (!schedule.row->cycles_momentum(schedule.values)) return at_rate;
  return optimizer->with_momentum(at_rate, schedule.row->momentum(schedule.values, clock));
}

template <class T>
typename Compiled<T>::Rules Compiled<T>::rules_for(const Network<T>& network, const OptimizerValues& values) const {
  Rules made;
  std::size_t found = 0;
  for (const Parameter& p : network.parameters()) {
    const bool may_have_own = p.trainable && !values.own.empty();  // a key is text, and is made only to be looked up
    const auto own = may_have_own ? values.own.find(p.key()) : values.own.end();
    if (own != values.own.end()) ++found;
    const Values& its = own == values.own.end() ? values.others : own->second;
    std::size_t k = 0;
    while (k < made.rules.size() && !same(optimizer->params, made.rules[k].values, its)) ++k;
    if (k == made.rules.size())
      made.rules.push_back({.values = its, .kept = optimizer->kept(its), .l1 = static_cast<T>(optimizer->l1(its))});
    made.rule_of.push_back(k);
    if (p.trainable) made.any |= made.rules[k].kept;
  }
  add_limits(network, values.limits, made);
  if (found != values.own.size())
    for (const auto& [key, unused] : values.own) require_parameter(network, key);
  return made;
}

template <class T>
void Compiled<T>::add_limits(const Network<T>& network, const std::vector<NormLimit>& limits, Rules& made) const {
  made.clips.push_back({settings.max_grad_norm});
  made.clip_of.assign(made.rule_of.size(), 0);
  for (const NormLimit& limit : limits) {
    for (const auto& key : limit.keys) require_parameter(network, key);
    for (std::size_t p = 0; p < made.clip_of.size(); ++p)
      if (std::ranges::find(limit.keys, network.parameters()[p].key()) != limit.keys.end())
        made.clip_of[p] = made.clips.size();
    made.clips.push_back({limit.max_grad_norm});
  }
}

template <class T>
bool Compiled<T>::clips_norm() const {
  return std::ranges::any_of(clips, [](const Clipped& each) { return each.max_grad_norm < kNoLimit; });
}

template <class T>
void Compiled<T>::take(Rules made) {
  for (Rule& rule : made.rules) {
    int place = 0;
    for (int s = 0; s < optimizers::kMaxStates; ++s) {
      if (!optimizers::contains(placed_, s)) continue;
      if (optimizers::contains(rule.kept, s)) rule.states[static_cast<std::size_t>(s)] = state(place);
      ++place;
    }
  }
  rules = std::move(made.rules);
  rule_of = std::move(made.rule_of);
  clips = std::move(made.clips);
  clip_of = std::move(made.clip_of);
}

// Weights and biases may have different rules, and follow each other by turns, so the coefficients of the two parameters
// before are looked at.
template <class T>
void Compiled<T>::begin_update(const std::vector<int>& parameters, double batch_weight) {
  last_lr = lr();
  const auto at = [&](std::size_t k) { return static_cast<std::size_t>(parameters[k]); };
  const auto equal = [&](std::size_t p, std::size_t q) { return rule_of[p] == rule_of[q] && steps[p] == steps[q]; };
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const std::size_t p = at(k);
    if (k > 0 && equal(p, at(k - 1)))
      coefficients[p] = coefficients[at(k - 1)];
    else if (k > 1 && equal(p, at(k - 2)))
      coefficients[p] = coefficients[at(k - 2)];
    else if (const Values& values = rules[rule_of[p]].values; !schedule.row)
      coefficients[p] = optimizer->coefficients(values, steps[p] + 1, batch_weight);
    else
      coefficients[p] = optimizer->coefficients(values_now(values), steps[p] + 1, batch_weight);
  }
}

template <class T>
void Compiled<T>::end_update(const std::vector<int>& parameters) {
  for (const int p : parameters) ++steps[static_cast<std::size_t>(p)];
  ++clock.position.steps;
  ++clock.fit.step;
}

template <class T>
double Compiled<T>::largest_lr() const {
  double lr = 0;
  for (const Rule& each : rules) lr = std::max(lr, rate(optimizer->lr(each.values)));
  return lr;
}

template struct Compiled<float>;
template struct Compiled<double>;

}  // namespace fastnn::run
