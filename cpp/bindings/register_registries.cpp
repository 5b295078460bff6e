// The four registries as plain Python data: what classes, stubs, tables and tests are generated from.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <string_view>

#include "activations/registry.h"
#include "bindings/border.h"
#include "layers/layer.h"
#include "losses/loss.h"
#include "optimizers/registry.h"

namespace fastnn::bindings {

namespace {

py::list hypers(std::span<const Hyper> table) {
  py::list rows;
  for (const Hyper& hyper : table) {
    py::list choices;
    for (std::string_view rest = hyper.choices; !rest.empty();) {
      const auto bar = rest.find('|');
      choices.append(py::str(rest.substr(0, bar).data(), rest.substr(0, bar).size()));
      rest = bar == std::string_view::npos ? std::string_view{} : rest.substr(bar + 1);
    }
    static constexpr const char* kKinds[] = {"real", "count", "flag", "choice"};
    const char* kind = kKinds[static_cast<int>(hyper.kind)];
    rows.append(py::dict(py::arg("name") = hyper.name, py::arg("value") = hyper.value, py::arg("lowest") = hyper.lowest,
                         py::arg("highest") = hyper.highest, py::arg("doc") = hyper.doc, py::arg("kind") = kind,
                         py::arg("choices") = choices));
  }
  return rows;
}

template <class Row>
py::dict common(const Row& row) {
  return py::dict(py::arg("name") = row.name, py::arg("class_name") = row.class_name, py::arg("formula") = row.formula,
                  py::arg("hypers") = hypers(row.hypers));
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

py::dict registries() {
  py::dict all;
  py::list activations, losses, optimizers, layers;
  for (const auto& row : activations::registry()) {
    py::dict d = common(row);
    d["needs"] = row.needs == activations::Needs::kInput ? "input" : "output";
    activations.append(d);
  }
  for (const auto& row : losses::registry()) {
    py::dict d = common(row);
    d["target"] = row.target == losses::TargetKind::kDense ? "dense" : "class";
    d["task"] = task_name(row.task);
    d["mean_over_outputs"] = row.mean_over_outputs;
    d["targets"] = row.targets.text();  // "0 to 1"; empty for all numbers
    d["outputs"] = row.outputs.text();
    d["outputs_remedy"] = row.outputs_remedy;
    losses.append(d);
  }
  for (const auto& row : optimizers::registry()) {
    py::dict d = common(row);
    d["max_states"] = row.max_states;
    optimizers.append(d);
  }
  for (const auto& row : layers::registry()) layers.append(common(row));
  all["activations"] = activations;
  all["losses"] = losses;
  all["optimizers"] = optimizers;
  all["layers"] = layers;
  return all;
}

}  // namespace

void register_registries(py::module_& m) {
  m.def("registries", registries, "Rows of the activation, loss, optimizer and layer registries, as dicts.");
}

}  // namespace fastnn::bindings
