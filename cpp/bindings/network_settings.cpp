// _core.Network: how it is made and trains, from dictionaries that the registries' rows check: layers, loss, optimizer.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cmath>

#include "bindings/network.h"
#include "bindings/values.h"

namespace fastnn::bindings {

namespace {

// The finite numbers of a setting that is given as one number or as a 1-d array.
std::vector<double> numbers(const std::string& kind, const char* name, const py::handle& given) {
  const std::string where = "[" + kind + "] " + name;
  py::array array = py::array::ensure(given);
  if (!array) throw py::type_error(where + " is no array; expected a number or one per column");
  if (array.ndim() == 0) array = array.attr("reshape")(1);
  require(array.ndim() == 1, where, " has shape ", shape_text(array), "; expected a number or one per column");
  const NumpyView rows(kind.c_str(), name, array, {.cols = 1, .vector = true});
  std::vector<double> values;
  for (Index r = 0; r < rows.rows(); ++r) {
    values.push_back(kernels::element(rows.source(), r, 0));
    require(std::isfinite(values.back()), where, " has ", values.back(), " at ", r, "; expected finite numbers");
  }
  return values;
}

// Takes the initializers out of the settings of a layer, each as a name or as (name, parameters).
std::vector<std::pair<int, initializers::Chosen>> initials_of(const std::string& kind, py::dict& given) {
  std::vector<std::pair<int, initializers::Chosen>> chosen;
  const auto* row = layers::registry().find(kind);
  if (row == nullptr) return chosen;
  for (const auto& initial : row->initials) {
    if (!given.contains(initial.argument)) continue;
    const py::object value = given[initial.argument];
    const auto [name, params] = py::isinstance<py::str>(value) ? std::pair(value.cast<std::string>(), py::dict())
                                                               : value.cast<std::pair<std::string, py::dict>>();
    const auto& found = initializers::registry().at("[" + kind + "] " + initial.argument + ":", name);
    require(found.for_vectors || !initial.is_vector, "[", kind, "] ", initial.argument, " is ", name,
            "; expected an initializer that does not need a matrix");
    chosen.emplace_back(initial.param, initializers::Chosen{&found, values_of("[" + name + "]", found, params)});
    given.attr("pop")(initial.argument);
  }
  return chosen;
}

std::vector<graph::Config> configs_of(const LayerList& layers, int nested = 0);

graph::Config layer_config(const std::string& kind, const py::dict& given, int nested = 0) {
  graph::Config config{kind};
  if (const auto* input = inputs::registry().find(kind)) {
    for (const char* name : input->settings)
      if (given.contains(name)) config.settings[name] = numbers(kind, name, given[name]);
  } else if (const auto* container = graph::containers().find(kind)) {
    require(given.contains("layers"), "[", kind, "] has no 'layers'; expected a list of (kind, settings)");
    require(nested < graph::kMostNested, "[Network] more than ", graph::kMostNested,
            " containers stand inside each other");
    config.layers = configs_of(given["layers"].cast<LayerList>(), nested + 1);
    if (given.contains("shortcut")) {
      require(container->has_shortcut, "[", kind, "] takes no shortcut");
      config.shortcut = configs_of({given["shortcut"].cast<LayerList::value_type>()}, nested + 1);
    }
  } else if (const auto* row = layers::find(kind)) {
    auto own = py::reinterpret_steal<py::dict>(PyDict_Copy(given.ptr()));
    config.initials = initials_of(kind, own);
    config.values = values_of("[" + kind + "]", *row, own);
  }
  return config;
}

std::vector<graph::Config> configs_of(const LayerList& layers, int nested) {
  std::vector<graph::Config> configs;
  for (const auto& [kind, given] : layers) configs.push_back(layer_config(kind, given, nested));
  return configs;
}

// From None, or from a pair of name and parameters.
run::Schedule schedule_of(const py::object& given) {
  if (given.is_none()) return {};
  const auto [name, params] = given.cast<std::pair<std::string, py::dict>>();
  const auto& row = schedules::registry().at("[compile]", name);
  return {&row, values_of("[" + name + "]", row, params)};
}

// The hyperparameters of all parameters, and those of single parameters: the common ones after the group's changes.
run::OptimizerValues optimizer_values(const optimizers::Row& row, const py::dict& params, const Network::Groups& groups,
                                      const py::object& schedule, const Network::Limits& limits) {
  const std::string where = "[" + std::string(row.name) + "]";
  run::OptimizerValues values{values_of(where, row, params), {}, schedule_of(schedule)};
  const auto* cycle = values.schedule.row;
  require(!cycle || !cycle->cycles_momentum(values.schedule.values) || *row.momentum, where, " has no momentum that ",
          cycle ? cycle->class_name : "", " could change; expected cycle_momentum=False");
  for (const auto& [key, own] : groups) values.own[key] = changed(where, row.params, values.others, own);
  for (const auto& [limit, keys] : limits) {
    require(!limit || *limit > 0, where, " max_grad_norm = ", limit.value_or(0), "; expected a number > 0");
    values.limits.push_back({limit.value_or(run::kNoLimit), keys});
  }
  return values;
}

}  // namespace

LayerSpecs::LayerSpecs(const LayerList& layers) : configs(configs_of(layers)) {}

Network::Network(const LayerSpecs& layers, const std::string& dtype, std::uint64_t seed, bool initialize) {
  require(dtype == "float32" || dtype == "float64", "[Network] unknown dtype '", dtype, "'; known: float32, float64");
  model_ = train::make_model(layers.configs, dtype == "float64", seed, initialize);
  flatten_ = model_->flattens();
  ready_ = model_->ready();
  flops_per_row_ = model_->flops_per_row();
}

void Network::change_layer(const std::vector<std::string>& layers, const std::string& kind, const py::dict& settings) {
  const graph::Config config = layer_config(kind, settings);
  const train::Gate::Change change(model().gate(), "change_layer");
  model().change_layer(layers, config);
  ready_ = model().ready();
}

void Network::set_frozen(const std::string& layer, bool frozen) {
  const train::Gate::Writer writer(model().gate(), "freeze");
  model().set_frozen(layer, frozen);
}

CompileSpec Network::compile_spec(const std::string& loss, const py::dict& loss_params, const std::string& optimizer,
                                  const py::dict& params, const Groups& groups, const py::object& schedule,
                                  const py::object& average, const Limits& limits, const MetricList& metrics,
                                  const py::kwargs& settings) {
  CompileSpec spec;
  spec.loss = loss.empty() ? &losses::own() : &losses::registry().at("[compile]", loss);
  spec.loss_values = values_of("[" + loss + "]", *spec.loss, loss_params);
  spec.optimizer = &optimizers::registry().at("[compile]", optimizer);
  spec.optimizer_values = optimizer_values(*spec.optimizer, params, groups, schedule, limits);
  if (!average.is_none()) {
    const auto [name, values] = average.cast<std::pair<std::string, py::dict>>();
    spec.average = &optimizers::averages().at("[compile]", name);
    spec.average_values = values_of("[" + name + "]", *spec.average, values);
  }
  for (const auto& [name, values] : metrics) {
    const auto& row = metrics::registry().at("[compile]", name);
    spec.metrics.push_back({&row, values_of("[" + name + "]", row, values)});
  }
  spec.settings = settings_of<run::CompileSettings>("compile", settings);
  return spec;
}

void Network::compile(const CompileSpec& spec) {
  require(spec.loss != nullptr, "[CompileSpec] was never initialised: its __init__ did not run");
  const train::Gate::Writer writer(model().gate(), "compile");
  model().compile(spec);
}

void Network::use_averages(bool on) {
  const train::Gate::Change change(model().gate(), "averaged");
  model().use_averages(on);
}

void Network::set_optimizer_params(const py::dict& params, const Groups& groups, const py::object& schedule,
                                   bool continues, const Limits& limits) {
  const train::Gate::Change change(model().gate(), "set_optimizer_params");
  const auto* row = model().optimizer();
  require(row != nullptr, "[set_optimizer_params] the model has no optimizer yet: call compile first");
  model().set_optimizer_values(optimizer_values(*row, params, groups, schedule, limits), continues);
}

double Network::lr() {
  const train::Gate::Reader reader(model().gate(), "lr");
  return model().lr();
}

py::object Network::schedule_position() const {
  if (!model().scheduled()) return py::none();
  const Values values(model().position());
  py::dict found;
  for (const Field& field : run::SchedulePosition::kFields) found[field.name] = python_value(field, field.get(values));
  return found;
}

void Network::set_schedule_position(const py::dict& position) {
  const train::Gate::Writer writer(model().gate(), "load");
  require(model().scheduled(), "[set_schedule_position] the model has no schedule");
  const auto& row = run::settings().at("[set_schedule_position]", "schedule");
  model().position() = values_of("[set_schedule_position]", row, position).as<schedules::Position>();
}

}  // namespace fastnn::bindings
