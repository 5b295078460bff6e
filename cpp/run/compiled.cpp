// SPDX-License-Identifier: BSD-3-Clause
#include "run/compiled.h"

#include <algorithm>

#include "core/check.h"

namespace fastnn::run {

template <class T>
Compiled<T>::Compiled(const Network<T>& network, const CompileSpec& spec)
    : loss(spec.loss),
      loss_values(spec.loss_values),
      optimizer(spec.optimizer),
      max_grad_norm(spec.max_grad_norm),
      state_size(network.size()) {
  require(loss->target != losses::TargetKind::kClass || network.n_outputs() > 1, "[compile] ", loss->class_name,
          " on 1 output; expected one output a class (BCEWithLogitsLoss is for one output)");
  require(max_grad_norm >= 0, "[compile] max_grad_norm = ", max_grad_norm, ", expected a number > 0 or none");
  for (const auto& entry : spec.per_layer) network.nodes_of(entry.first);
  optimizers::StateSet any = 0;
  for (const Parameter& p : network.parameters()) {
    const auto own = spec.per_layer.find(p.node);
    rule_of.push_back(rule_with(own == spec.per_layer.end() ? spec.optimizer_values : own->second));
    if (p.trainable) any |= rules[rule_of.back()].kept;
  }
  steps.resize(rule_of.size());
  coefficients.resize(rule_of.size());
  place_states(any);
}

// The rule with these values, made if there is none.
template <class T>
std::size_t Compiled<T>::rule_with(const Values& values) {
  std::size_t k = 0;
  while (k < rules.size() && !same(optimizer->params, rules[k].values, values)) ++k;
  if (k == rules.size())
    rules.push_back({.values = values, .kept = optimizer->kept(values), .l1 = static_cast<T>(optimizer->l1(values))});
  return k;
}

template <class T>
void Compiled<T>::place_states(optimizers::StateSet any) {
  const int most = static_cast<int>(optimizer->states.size());
  for (int s = 0; s < most; ++s) n_states += optimizers::contains(any, s) ? 1 : 0;
  states = std::make_shared<Buffer<T>>(n_states * state_size);
  // Written once: pages that are read first, by the copy that a fit begins with, would be mapped twice, within the fit.
  std::fill_n(states->data(), states->size(), T(0));
  for (Rule& rule : rules) {
    int place = 0;
    for (int s = 0; s < most; ++s) {
      if (!optimizers::contains(any, s)) continue;
      if (optimizers::contains(rule.kept, s)) rule.states[static_cast<std::size_t>(s)] = state(place);
      ++place;
    }
  }
}

template <class T>
void Compiled<T>::begin_update(const std::vector<int>& parameters) {
  const auto at = [](int p) { return static_cast<std::size_t>(p); };
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const int p = parameters[k], before = parameters[k > 0 ? k - 1 : 0];
    if (k > 0 && rule_of[at(p)] == rule_of[at(before)] && steps[at(p)] == steps[at(before)])
      coefficients[at(p)] = coefficients[at(before)];
    else
      coefficients[at(p)] = optimizer->coefficients(rule(p).values, steps[at(p)] + 1);
  }
}

template <class T>
void Compiled<T>::end_update(const std::vector<int>& parameters) {
  for (const int p : parameters) ++steps[static_cast<std::size_t>(p)];
}

template <class T>
double Compiled<T>::steepest() const {
  double lr = 0;
  for (const Rule& each : rules) lr = std::max(lr, optimizer->lr(each.values));
  return lr;
}

template struct Compiled<float>;
template struct Compiled<double>;

}  // namespace fastnn::run
