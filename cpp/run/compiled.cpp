// SPDX-License-Identifier: BSD-3-Clause
#include "run/compiled.h"

#include <algorithm>

#include "core/check.h"

namespace fastnn::run {

namespace {

template <class Row>
const Row* known(const char* what, const std::string& name, const Row* row, std::span<const Row> rows) {
  std::vector<std::string> names;
  for (const auto& each : rows) names.emplace_back(each.name);
  require(row != nullptr, "[compile] unknown ", what, " '", name, "'; known: ", join(names));
  return row;
}

}  // namespace

template <class T>
Compiled<T>::Compiled(const Network<T>& network, const CompileSpec& spec)
    : loss(known("loss", spec.loss, losses::find(spec.loss), losses::registry())),
      loss_hyper(resolve("[" + spec.loss + "]", loss->hypers, spec.loss_hyper)),
      optimizer(known("optimizer", spec.optimizer, optimizers::find(spec.optimizer), optimizers::registry())),
      max_grad_norm(spec.max_grad_norm),
      state_size(network.size()) {
  require(loss->target != losses::TargetKind::kClass || network.n_outputs() > 1, "[compile] ", loss->class_name,
          " on 1 output; expected one output a class (BCEWithLogitsLoss is for one output)");
  require(max_grad_norm >= 0, "[compile] max_grad_norm = ", max_grad_norm, ", expected a number > 0 or none");
  const std::string where = "[" + spec.optimizer + "]";
  std::size_t l1_at = optimizer->hypers.size();
  for (std::size_t k = 0; k < optimizer->hypers.size(); ++k)
    if (std::string(optimizer->hypers[k].name) == "l1") l1_at = k;
  for (const auto& entry : spec.per_layer) network.at(entry.first);
  for (int k = 0; k < network.depth(); ++k) {
    HyperGiven given = spec.optimizer_hyper;
    if (const auto own = spec.per_layer.find(network.layer(k).position()); own != spec.per_layer.end())
      for (const auto& [name, value] : own->second) given[name] = value;
    optimizer_hyper.push_back(resolve(where, optimizer->hypers, given));
    l1.push_back(l1_at < optimizer->hypers.size() ? static_cast<T>(optimizer_hyper.back()[l1_at]) : T(0));
    n_states = std::max(n_states, states_of(k));
  }
  for (const Parameter& p : network.parameters()) {
    int first = 0;
    while (hyper_of(first) != hyper_of(p.layer)) ++first;
    rules.push_back(first);
  }
  steps.resize(rules.size());
  coefficients.resize(rules.size());
  states = std::make_shared<Buffer<T>>(n_states * state_size);
  // Written once: pages that are read first, by the copy that a fit begins with, would be mapped twice, within the fit.
  std::fill_n(states->data(), states->size(), T(0));
}

template <class T>
void Compiled<T>::begin_update(const std::vector<int>& parameters) {
  const auto at = [](int p) { return static_cast<std::size_t>(p); };
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const int p = parameters[k], before = parameters[k > 0 ? k - 1 : 0];
    if (k > 0 && rules[at(p)] == rules[at(before)] && steps[at(p)] == steps[at(before)])
      coefficients[at(p)] = coefficients[at(before)];
    else
      coefficients[at(p)] = optimizer->coefficients(hyper_of(rules[at(p)]).data(), steps[at(p)] + 1);
  }
}

template <class T>
void Compiled<T>::end_update(const std::vector<int>& parameters) {
  for (const int p : parameters) ++steps[static_cast<std::size_t>(p)];
}

template <class T>
double Compiled<T>::steepest() const {
  double lr = 0;
  for (const auto& hyper : optimizer_hyper) lr = std::max(lr, hyper[0]);
  return lr;
}

template struct Compiled<float>;
template struct Compiled<double>;

}  // namespace fastnn::run
