// _core.Network: its construction, its parameters as NumPy views, and its registration with pybind11.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstring>

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
  const Rows rows(kind.c_str(), name, array, {.cols = 1, .vector = true});
  std::vector<double> values;
  for (Index r = 0; r < rows.rows(); ++r) {
    values.push_back(kernels::element(rows.source(), r, 0));
    require(std::isfinite(values.back()), where, " has ", values.back(), " at ", r, "; expected finite numbers");
  }
  return values;
}

using LayerList = std::vector<std::pair<std::string, py::dict>>;

std::vector<graph::Config> configs_of(const LayerList& layers, int nested = 0);

graph::Config layer_config(const std::string& kind, const py::dict& given, int nested = 0) {
  graph::Config config{kind};
  if (const auto* input = inputs::registry().find(kind)) {
    for (const char* name : input->settings)
      if (given.contains(name)) config.settings[name] = numbers(kind, name, given[name]);
  } else if (graph::containers().find(kind)) {
    require(given.contains("layers"), "[", kind, "] has no 'layers'; expected a list of (kind, settings)");
    require(nested < graph::kMostNested, "[Network] more than ", graph::kMostNested,
            " containers stand inside each other");
    config.layers = configs_of(given["layers"].cast<LayerList>(), nested + 1);
  } else if (const auto* row = layers::find(kind)) {
    config.values = values_of("[" + kind + "]", *row, given);
  }
  return config;
}

std::vector<graph::Config> configs_of(const LayerList& layers, int nested) {
  std::vector<graph::Config> configs;
  for (const auto& [kind, given] : layers) configs.push_back(layer_config(kind, given, nested));
  return configs;
}

// Constructs a Network in `place`. pybind11 enters a new object into its table of instances after the constructor has
// returned, where std::bad_alloc would end the process. Here the exception is caught as in any call, and the object
// remains one whose __init__ did not run.
void make_network(py::detail::value_and_holder& place, const std::vector<std::pair<std::string, py::dict>>& layer_list,
                  const std::string& dtype, std::uint64_t seed) {
  auto made = std::make_unique<Network>(layer_list, dtype, seed);
  place.value_ptr() = made.get();
  try {
    place.type->init_instance(place.inst, &made);
  } catch (...) {
    place.value_ptr() = nullptr;
    throw;
  }
}

// A Python object that owns a reference to `owner`; as the base of an array it keeps the array's memory alive.
py::object shared_owner(const std::shared_ptr<void>& owner) {
  auto held = std::make_unique<std::shared_ptr<void>>(owner);
  py::capsule capsule(held.get(), [](void* of) { delete static_cast<std::shared_ptr<void>*>(of); });
  held.release();
  return capsule;
}

}  // namespace

Network::Network(const std::vector<std::pair<std::string, py::dict>>& layer_list, const std::string& dtype,
                 std::uint64_t seed) {
  require(dtype == "float32" || dtype == "float64", "[Network] unknown dtype '", dtype, "'; known: float32, float64");
  model_ = train::make_model(configs_of(layer_list), dtype == "float64", seed);
  flatten_ = model_->flattens();
  flops_per_row_ = model_->flops_per_row();
}

void Network::change_layer(const std::vector<std::string>& layers, const std::string& kind, const py::dict& settings) {
  const graph::Config config = layer_config(kind, settings);
  const train::Gate::Change change(model().gate(), "change_layer");
  model().change_layer(layers, config);
}

py::list Network::parameters(const py::object& self, int array, const std::optional<std::string>& layer) {
  const bool busy = model().gate().writing();
  std::optional<train::Gate::Writer> writer;
  if (array == Model::kGradients) writer.emplace(model().gate(), "gradients");  // which may allocate them
  const py::dtype dtype = model().is_double() ? py::dtype::of<double>() : py::dtype::of<float>();
  const auto item = dtype.itemsize();
  py::list rows;
  for (const auto& view : model().parameters(array, layer)) {
    const auto& p = view.parameter;
    const py::object base = view.owner ? shared_owner(view.owner) : self;
    py::array a = p.two_dimensional() ? py::array(dtype, {p.rows, p.cols}, {p.stride * item, item}, view.data, base)
                                      : py::array(dtype, {p.cols}, {item}, view.data, base);
    if (busy) a.attr("setflags")(py::arg("write") = false);
    rows.append(py::dict(py::arg("key") = p.key(), py::arg("layer") = p.node, py::arg("name") = p.name,
                         py::arg("array") = a, py::arg("trainable") = p.trainable));
  }
  return rows;
}

namespace {
// The hyperparameters of all parameters, and those of single parameters: the common ones after the group's changes.
run::OptimizerValues optimizer_values(const optimizers::Row& row, const py::dict& params,
                                      const Network::Groups& groups) {
  const std::string where = "[" + std::string(row.name) + "]";
  run::OptimizerValues values{values_of(where, row, params), {}};
  for (const auto& [key, own] : groups) values.own[key] = changed(where, row.params, values.others, own);
  return values;
}
}  // namespace

void Network::compile(const std::string& loss, const py::dict& loss_params, const std::string& optimizer,
                      const py::dict& params, const Groups& groups, const py::kwargs& settings) {
  const train::Gate::Writer writer(model().gate(), "compile");
  run::CompileSpec spec;
  spec.loss = &losses::registry().at("[compile]", loss);
  spec.loss_values = values_of("[" + loss + "]", *spec.loss, loss_params);
  spec.optimizer = &optimizers::registry().at("[compile]", optimizer);
  spec.optimizer_values = optimizer_values(*spec.optimizer, params, groups);
  spec.settings = settings_of<run::CompileSettings>("compile", settings);
  model().compile(spec);
}

void Network::set_optimizer_params(const py::dict& params, const Groups& groups) {
  const train::Gate::Change change(model().gate(), "set_optimizer_params");
  const auto* row = model().optimizer();
  require(row != nullptr, "[set_optimizer_params] the model has no optimizer yet: call compile first");
  model().set_optimizer_values(optimizer_values(*row, params, groups));
}

void Network::load(const py::list& values, std::int64_t batches) {
  const auto views = model().parameters(Model::kValues);
  require(values.size() == views.size(), "[load] ", values.size(), " arrays came; expected ", views.size());
  const py::dtype dtype = model().is_double() ? py::dtype::of<double>() : py::dtype::of<float>();
  std::vector<std::optional<py::array>> given;
  for (std::size_t i = 0; i < views.size(); ++i) {
    const py::object value = values[i];
    given.emplace_back();
    if (value.is_none()) continue;
    const auto& p = views[i].parameter;
    const bool fits = py::isinstance<py::array>(value) && py::reinterpret_borrow<py::array>(value).dtype().equal(dtype);
    if (!fits)
      throw py::type_error("[load] array " + std::to_string(i) + " does not fit; expected one of " + this->dtype());
    given.back() = py::reinterpret_borrow<py::array>(value);
    require(given.back()->size() == p.rows * p.cols && (given.back()->flags() & py::array::c_style), "[load] array ", i,
            " has shape ", shape_text(*given.back()), "; expected (", p.rows, ", ", p.cols, ") without gaps");
  }
  require(batches >= 0, "[load] batches = ", batches, "; expected a number >= 0");
  const WithoutGil free;
  const train::Gate::PatientWriter writer(model().gate(), "load_state_dict");
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (!given[i]) continue;
    const auto& p = views[i].parameter;
    const auto item = static_cast<std::size_t>(dtype.itemsize()), row = item * static_cast<std::size_t>(p.cols);
    for (Index r = 0; r < p.rows; ++r)
      std::memcpy(static_cast<char*>(views[i].data) + static_cast<std::size_t>(r * p.stride) * item,
                  static_cast<const char*>(given[i]->data()) + static_cast<std::size_t>(r) * row, row);
  }
  model().set_progress({model().step(), batches, model().draw()});
}

// All copies show the same moment: the GIL is held from the first copy to the last, and Reader refuses the call while
// another thread trains without the GIL.
py::dict Network::snapshot(const std::optional<std::vector<std::string>>& layers) {
  const train::Gate::Reader reader(model().gate(), "copy");
  const py::dtype dtype = model().is_double() ? py::dtype::of<double>() : py::dtype::of<float>();
  const auto copy_to = [&](const py::dict& copied, const std::vector<train::ParameterView>& views) {
    for (const auto& view : views) {
      const auto& p = view.parameter;
      py::array to =
          p.two_dimensional() ? py::array(dtype, {p.rows, p.cols}) : py::array(dtype, std::vector<Index>{p.cols});
      const auto row = static_cast<std::size_t>(p.cols * dtype.itemsize());
      for (Index r = 0; r < p.rows; ++r)
        std::memcpy(static_cast<char*>(to.mutable_data()) + r * p.cols * dtype.itemsize(),
                    static_cast<const char*>(view.data) + r * p.stride * dtype.itemsize(), row);
      copied[p.key().c_str()] = to;
    }
  };
  py::dict values;
  py::dict taken(py::arg("values") = values, py::arg("num_batches") = model().batches());
  if (layers) {
    for (const auto& layer : *layers) copy_to(values, model().parameters(Model::kValues, layer));
    return taken;
  }
  copy_to(values, model().parameters(Model::kValues));
  taken["step"] = model().step();
  taken["draw"] = model().draw();
  taken["steps"] = optimizer_steps();
  py::list states;
  for (int s = 0; s < model().n_states(); ++s) {
    py::dict state;
    copy_to(state, model().parameters(s));
    states.append(state);
  }
  taken["state"] = states;
  return taken;
}

py::dict Network::optimizer_steps() {
  py::dict steps;
  const auto views = model().parameters(Model::kValues);
  for (std::size_t i = 0; i < views.size(); ++i)
    if (views[i].parameter.trainable) steps[views[i].parameter.key().c_str()] = model().optimizer_step(i);
  return steps;
}

py::dict Network::optimizer_state(const py::object& self) {
  py::list states;
  for (int s = 0; s < model().n_states(); ++s) states.append(parameters(self, s));
  return py::dict(py::arg("step") = model().step(), py::arg("steps") = optimizer_steps(), py::arg("state") = states);
}

void LentViews::add(const py::array& view) {
  if (views_.size() >= room_) {
    std::erase_if(views_, [](const py::weakref& ref) { return ref().is_none(); });
    room_ = std::max<std::size_t>(16, 2 * views_.size());
  }
  views_.emplace_back(py::handle(view));
}

// Clears the flag itself instead of calling setflags, which could later refuse to set it again: it asks whether the
// array's base is writeable.
LentViews::Lock::Lock(const LentViews& views) {
  locked_.reserve(views.views_.size());
  for (const auto& ref : views.views_)
    if (const py::object view = ref(); !view.is_none() && py::reinterpret_borrow<py::array>(view).writeable())
      locked_.push_back(py::reinterpret_borrow<py::array>(view));
  for (const auto& view : locked_)
    py::detail::array_proxy(view.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
}

LentViews::Lock::~Lock() {
  for (const auto& view : locked_)
    py::detail::array_proxy(view.ptr())->flags |= py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
}

void Network::set_optimizer_steps(const std::map<std::string, std::int64_t>& steps) {
  const train::Gate::Writer writer(model().gate(), "load");
  refuse_unless(model().loss() != nullptr, "set_optimizer_steps", reason::kNotCompiled);
  std::map<std::string, std::size_t> places;
  std::vector<std::string> known;
  const auto views = model().parameters(Model::kValues);
  for (std::size_t i = 0; i < views.size(); ++i)
    if (views[i].parameter.trainable) known.push_back(views[i].parameter.key()), places[known.back()] = i;
  for (const auto& [key, step] : steps) {
    if (!places.contains(key))  // asked first, because join(known) takes time and is needed for the message only
      require(false, "[set_optimizer_steps] unknown parameter '", key, "'; known: ", join(known));
    require(step >= 0, "[set_optimizer_steps] ", key, " = ", step, "; expected a number >= 0");
  }
  for (const auto& [key, step] : steps) model().set_optimizer_step(places[key], step);
}

void register_network(py::module_& m) {
  using py::arg;
  const auto none = py::none();
  py::class_<Network> cls(m, "Network", "Layers, their values and their training; see fastnn.nn.Sequential.");
  cls.def("__init__", &make_network, py::detail::is_new_style_constructor(), arg("layers"), arg("dtype") = "float32",
          arg("seed") = 0)
      .def_property_readonly("n_features", [](Network& n) { return n.model().n_features(); })
      .def_property_readonly("n_outputs", [](Network& n) { return n.model().n_outputs(); })
      .def_property_readonly("dtype", &Network::dtype)
      .def_property_readonly("flops_per_row", [](Network& n) { return n.model().flops_per_row(); })
      .def_property_readonly("threads_used", [](Network& n) { return n.model().threads_used(); })
      .def_property_readonly("step", [](Network& n) { return n.model().step(); })
      .def_property_readonly("num_batches", [](Network& n) { return n.model().batches(); })
      .def(
          "expect_idle", [](Network& n, const std::string& where) { n.model().gate().expect_idle(where.c_str()); },
          arg("where"), "Raises ModelBusyError, headed by `where`, while a call trains the model.")
      .def_property_readonly("busy", [](Network& n) { return n.model().gate().writing(); })
      .def_property_readonly("history", &Network::history)
      .def_property_readonly("draw", [](Network& n) { return n.model().draw(); })
      .def("set_progress", &Network::set_progress, arg("step"), arg("num_batches"), arg("draw") = 0)
      .def("load", &Network::load, arg("values"), arg("num_batches"))
      .def_property("stop", &Network::asked_to_stop, &Network::ask_to_stop)
      .def(
          "parameters",
          [](const py::object& self, const std::optional<std::string>& layer) {
            return self.cast<Network&>().parameters(self, Model::kValues, layer);
          },
          arg("layer") = none)
      .def("gradients",
           [](const py::object& self) { return self.cast<Network&>().parameters(self, Model::kGradients); })
      .def("optimizer_state", [](const py::object& self) { return self.cast<Network&>().optimizer_state(self); })
      .def("snapshot", &Network::snapshot, arg("layers") = none)
      .def("lend", &Network::lend, arg("view"))
      .def("set_optimizer_steps", &Network::set_optimizer_steps, arg("steps"))
      .def("set_frozen", &Network::set_frozen, arg("layer"), arg("frozen"))
      .def(
          "frozen", [](Network& n, const std::string& layer) { return n.model().frozen(layer); }, arg("layer"))
      .def("change_layer", &Network::change_layer, arg("layers"), arg("kind"), arg("settings"))
      .def("compile", &Network::compile, arg("loss"), arg("loss_params"), arg("optimizer"), arg("params"),
           arg("groups") = py::dict(), "settings: of the row \"compile\".")
      .def("set_optimizer_params", &Network::set_optimizer_params, arg("params"), arg("groups") = py::dict(),
           "Other hyperparameters, as compile takes them, from the next update on; states and counts stay.")
      .def("fit", &Network::fit, arg("x"), arg("y"), arg("sample_weight") = none, arg("orders") = none,
           arg("validation") = none, arg("class_weight") = none, arg("on_epoch") = none,
           "settings: of the row \"fit\".")
      .def("check", &Network::check, arg("x"), arg("y"), arg("sample_weight") = none, arg("validation") = false)
      .def("loss_and_grad", &Network::loss_and_grad, arg("x"), arg("y"), arg("sample_weight") = none,
           arg("n_threads") = 0, arg("training") = true)
      .def("forward", &Network::forward, arg("x"), arg("training"), arg("n_threads") = 0)
      .def("backward", &Network::backward, arg("grad"), arg("need_dx") = false, arg("n_threads") = 0)
      .def("clip_grad_norm", &Network::clip_grad_norm, arg("max_norm"))
      .def("apply_gradients", &Network::apply_gradients, arg("n_threads") = 0)
      .def("evaluate", &Network::evaluate, arg("x"), arg("y"), arg("sample_weight") = none, arg("metrics") = false,
           arg("n_threads") = 0);
  add_calls(cls);
}

}  // namespace fastnn::bindings
