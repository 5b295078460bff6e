// The registries as plain Python data, from which classes, stubs, tables and tests are made.
// SPDX-License-Identifier: BSD-3-Clause
#include <string>

#include "activations/registry.h"
#include "bindings/border.h"
#include "bindings/values.h"
#include "graph/containers.h"
#include "initializers/initializer.h"
#include "inputs/input.h"
#include "layers/layer.h"
#include "losses/loss.h"
#include "metrics/registry.h"
#include "optimizers/registry.h"
#include "schedules/registry.h"

namespace fastnn::bindings {

namespace {

py::dict param(const Field& field) {
  static constexpr const char* kKinds[] = {"real", "count", "flag", "choice", "reals"};
  py::list choices;
  for (const char* choice : field.choices)
    if (choice != nullptr) choices.append(choice);
  py::dict d(py::arg("name") = field.name, py::arg("kind") = kKinds[static_cast<int>(field.kind)]);
  const bool is_list = field.kind == Kind::kReals;
  d["default"] = is_list ? python_list(field.standard_list.all()) : python_value(field, field.standard);
  if (field.is_required) d["default"] = py::none();
  d["required"] = field.is_required;
  d["per_output"] = field.per_output;
  d["lowest"] = field.range.lowest;
  d["highest"] = field.range.highest;
  d["open_below"] = field.range.open_below;
  d["open_above"] = field.range.open_above;
  d["doc"] = field.doc;
  d["choices"] = choices;
  d["tries"] = is_list          ? python_list({field.tried_list.data(), field.tried_size})
               : field.is_tried ? python_value(field, field.tried)
                                : py::none();
  d["pair"] = field.pair;
  d["above"] = field.above;
  return d;
}

py::dict common(const Row& row) {
  py::list params;
  for (const Field& field : row.params) params.append(param(field));
  return py::dict(py::arg("name") = row.name, py::arg("class_name") = row.class_name, py::arg("formula") = row.formula,
                  py::arg("note") = row.note, py::arg("params") = params);
}

const char* task_name(losses::Task task) {
  switch (task) {
    case losses::Task::kRegression:
      return "regression";
    case losses::Task::kBinary:
      return "binary";
    case losses::Task::kMulticlass:
      break;
  }
  return "multiclass";
}

const char* mean_name(losses::Mean mean) {
  switch (mean) {
    case losses::Mean::kRows:
      return "rows";
    case losses::Mean::kOutputs:
      return "outputs";
    case losses::Mean::kTargets:
      break;
  }
  return "targets";
}

py::dict registries() {
  py::dict all;
  py::list activations, losses, optimizers, schedules, inputs, layers, containers, settings, initials;
  for (const auto& row : activations::registry()) {
    py::dict d = common(row);
    d["needs"] = row.needs == activations::Needs::kInput ? "input" : "output";
    d["whole_rows"] = row.whole_rows;
    activations.append(d);
  }
  for (const auto& row : losses::registry()) {
    py::dict d = common(row);
    d["target"] = row.target == losses::TargetKind::kDense ? "dense" : "class";
    d["task"] = task_name(row.task);
    d["takes_probabilities"] = row.takes_probabilities;
    d["mean"] = mean_name(row.mean);
    d["predicts"] = row.predicts;
    const Values standard = row.defaults();
    d["targets"] = row.targets(standard).text();  // such as "0 to 1"; empty if all numbers are allowed
    d["outputs"] = row.outputs(standard).text();
    d["outputs_per_target"] = row.outputs_per_target(standard);
    d["outputs_remedy"] = row.outputs_remedy;
    d["boundary"] = row.boundary;
    losses.append(d);
  }
  for (const auto& row : optimizers::registry()) {
    py::dict d = common(row);
    py::list states;
    for (const auto& state : row.states) states.append(state.name);
    d["states"] = states;
    d["momentum"] = row.momentum;
    optimizers.append(d);
  }
  for (const auto& row : schedules::registry()) {
    py::dict d = common(row);
    d["cycles_momentum"] = row.cycles_momentum(row.defaults());
    schedules.append(d);
  }
  py::list metrics;
  for (const auto& row : metrics::registry()) {
    py::dict d = common(row);
    d["sees_predictions"] = row.sees_predictions;
    metrics.append(d);
  }
  all["metrics"] = metrics;
  py::list averages;
  for (const auto& row : optimizers::averages()) averages.append(common(row));
  all["averages"] = averages;
  for (const auto& row : inputs::registry()) {
    py::dict d = common(row);
    d["scales"] = row.scales;
    inputs.append(d);
  }
  for (const auto& row : layers::registry()) {
    py::dict d = common(row);
    py::list arguments;
    for (const auto& initial : row.initials) arguments.append(initial.argument);
    d["initials"] = arguments;
    layers.append(d);
  }
  for (const auto& row : initializers::registry()) {
    py::dict d = common(row);
    d["needs_fans"] = row.needs_fans;
    d["for_vectors"] = row.for_vectors;
    initials.append(d);
  }
  for (const auto& row : graph::containers()) containers.append(common(row));
  for (const auto& row : run::settings()) settings.append(common(row));
  all["settings"] = settings;
  all["activations"] = activations;
  all["losses"] = losses;
  all["optimizers"] = optimizers;
  all["schedules"] = schedules;
  all["inputs"] = inputs;
  all["layers"] = layers;
  all["initializers"] = initials;
  all["containers"] = containers;
  return all;
}

py::list states_of(const std::string& name, const py::dict& params) {
  const auto& row = optimizers::registry().at("[states_of]", name);
  const auto kept = row.kept(values_of("[" + name + "]", row, params));
  py::list names;
  for (std::size_t s = 0; s < row.states.size(); ++s)
    if (optimizers::contains(kept, static_cast<int>(s))) names.append(row.states[s].name);
  return names;
}

Index outputs_per_target(const std::string& loss, const py::dict& params) {
  const auto& row = losses::registry().at("[outputs_per_target]", loss);
  return row.outputs_per_target(values_of("[" + loss + "]", row, params));
}

}  // namespace

void register_registries(py::module_& m) {
  m.def("registries", registries, "Rows of the registries by room, as dicts.");
  m.def("outputs_per_target", outputs_per_target, py::arg("loss"), py::arg("params"),
        "How many outputs a loss has for each target under these values.");
  m.def("states_of", states_of, py::arg("name"), py::arg("params"),
        "The states, by torch's names, that an optimizer keeps of each parameter under these values.");
}

}  // namespace fastnn::bindings
