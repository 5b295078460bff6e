// _core.Network: what training changes, as views of the model's memory and as copies: values, optimizer state, counters.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cmath>

#include "bindings/network.h"
#include "kernels/transpose.h"

namespace fastnn::bindings {

namespace {

// A Python object that owns a reference to `owner`; as the base of an array it keeps the array's memory alive.
py::object shared_owner(const std::shared_ptr<void>& owner) {
  auto held = std::make_unique<std::shared_ptr<void>>(owner);
  py::capsule capsule(held.get(), [](void* of) { delete static_cast<std::shared_ptr<void>*>(of); });
  held.release();
  return capsule;
}

py::dtype dtype_of(const Model& model) { return model.is_double() ? py::dtype::of<double>() : py::dtype::of<float>(); }

// Copies between a parameter, or its state, which is (I, O) with padded rows, and an array in torch's layout, which is
// (O, I) without gaps.
template <class T>
void copy_out(const train::ParameterView& view, void* array) {
  const auto& p = view.parameter;
  kernels::transpose<T>({static_cast<const T*>(view.data), p.rows, p.cols, p.stride},
                        {static_cast<T*>(array), p.cols, p.rows, p.rows});
}
template <class T>
void copy_in(const void* array, const train::ParameterView& view) {
  const auto& p = view.parameter;
  kernels::transpose<T>({static_cast<const T*>(array), p.cols, p.rows, p.rows},
                        {static_cast<T*>(view.data), p.rows, p.cols, p.stride});
}

// The array that is to be copied into a parameter, or into its state.
py::array given_for(const Model& model, const train::ParameterView& view, const py::handle& value) {
  const auto& p = view.parameter;
  if (!py::isinstance<py::array>(value) || !py::reinterpret_borrow<py::array>(value).dtype().equal(dtype_of(model)))
    throw py::type_error("[load] '" + p.key() + "' does not fit; expected an array of " +
                         (model.is_double() ? "float64" : "float32"));
  auto array = py::reinterpret_borrow<py::array>(value);
  require(array.size() == p.rows * p.cols && (array.flags() & py::array::c_style), "[load] '", p.key(), "' has shape ",
          shape_text(array), "; expected (", p.cols, ", ", p.rows, ") without gaps");
  return array;
}

// The batches since the last update as a dictionary of numbers, and back.
py::dict as_dict(const run::Group& group) {
  return py::dict(py::arg("batches") = group.batches, py::arg("rows") = group.rows,
                  py::arg("weight") = group.sums.weight, py::arg("loss") = group.sums.loss,
                  py::arg("divisor") = group.sums.divisor, py::arg("exponent") = group.sums.exponent);
}
run::Group group_of(const py::dict& given) {
  run::Group group;
  group.batches = given["batches"].cast<std::int64_t>();
  group.rows = given["rows"].cast<std::int64_t>();
  group.sums.weight = given["weight"].cast<double>();
  group.sums.loss = given["loss"].cast<double>();
  group.sums.divisor = given["divisor"].cast<double>();
  group.sums.exponent = given["exponent"].cast<int>();
  const bool valid = group.batches >= 0 && group.rows >= group.batches && group.sums.weight >= 0 &&
                     group.sums.divisor >= 0 && std::abs(group.sums.exponent) <= losses::Sums::kHighestExponent;
  require(valid, "[set_progress] the batches since the last update are ", std::string(py::repr(given)),
          "; expected counts and sums of at least 0");
  return group;
}

}  // namespace

py::list Network::parameters(const py::object& self, int array, const std::optional<std::string>& layer) {
  const bool busy = model().gate().writing();
  std::optional<train::Gate::Writer> writer;
  if (array == Model::kGradients) writer.emplace(model().gate(), "gradients");  // which may allocate them
  const py::dtype dtype = dtype_of(model());
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

py::dict Network::views(const py::object& self, const std::optional<std::string>& layer) {
  const py::dtype dtype = dtype_of(model());
  const auto item = dtype.itemsize();
  py::dict layers;
  py::dict values;  // of the layer `node`
  const std::string* node = nullptr;
  const auto parameters = model().parameters(Model::kValues, layer);
  for (const auto& [p, data, owner] : parameters) {
    if (node == nullptr || *node != p.node) {
      node = &p.node;
      values = py::dict();
      layers[p.node.c_str()] = values;
    }
    const py::object base = owner ? shared_owner(owner) : self;
    const py::array view = p.two_dimensional() ? py::array(dtype, {p.cols, p.rows}, {item, p.stride * item}, data, base)
                                               : py::array(dtype, {p.cols}, {item}, data, base);
    values[p.name.c_str()] = view;
    lend(view);
  }
  return layers;
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

// All copies show the same moment: the GIL is held from the first copy to the last, and Reader refuses the call while
// another thread trains without the GIL.
py::dict Network::snapshot(const std::optional<std::vector<std::string>>& layers) {
  const train::Gate::Reader reader(model().gate(), "copy");
  const py::dtype dtype = dtype_of(model());
  const auto copy_to = [&](const py::dict& copied, const std::vector<train::ParameterView>& views) {
    for (const auto& view : views) {
      const auto& p = view.parameter;
      py::array to =
          p.two_dimensional() ? py::array(dtype, {p.cols, p.rows}) : py::array(dtype, std::vector<Index>{p.cols});
      (model().is_double() ? copy_out<double> : copy_out<float>)(view, to.mutable_data());
      copied[p.key().c_str()] = to;
    }
  };
  py::dict values;
  py::dict taken(py::arg("values") = values);
  if (layers) {
    py::dict batches;
    for (const auto& layer : *layers) {
      copy_to(values, model().parameters(Model::kValues, layer));
      for (const auto& [key, count] : model().batches(layer)) batches[key.c_str()] = count;
    }
    taken["num_batches"] = batches;
    return taken;
  }
  taken["num_batches"] = model().batches();
  copy_to(values, model().parameters(Model::kValues));
  taken["step"] = model().step();
  taken["draw"] = model().draw();
  const run::Progress progress = model().progress();
  taken["averaged"] = progress.averaged;
  taken["group"] = progress.group.batches > 0 ? py::object(as_dict(progress.group)) : py::none();
  taken["epochs"] = epochs();
  taken["schedule"] = schedule_position();
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

void Network::load(const py::list& values, const std::map<std::string, std::int64_t>& batches) {
  const auto views = model().parameters(Model::kValues);
  require(values.size() == views.size(), "[load] ", values.size(), " arrays came; expected ", views.size());
  std::vector<std::optional<py::array>> given(views.size());
  for (std::size_t i = 0; i < views.size(); ++i) {
    const py::object value = values[i];
    if (!value.is_none()) given[i] = given_for(model(), views[i], value);
  }
  const WithoutGil free;
  const train::Gate::PatientWriter writer(model().gate(), "load_state_dict");
  model().set_batches(batches);  // checks them first
  for (std::size_t i = 0; i < views.size(); ++i)
    if (given[i]) (model().is_double() ? copy_in<double> : copy_in<float>)(given[i]->data(), views[i]);
}

void Network::load_state(int number, const py::dict& arrays) {
  refuse_unless(model().loss() != nullptr, "load_state", reason::kNotCompiled);
  require(number >= 0 && number < model().n_states(), "[load_state] number = ", number, "; expected one below ",
          model().n_states());
  const auto views = model().parameters(number);
  std::vector<py::array> given;
  for (const auto& view : views) {
    const auto key = view.parameter.key();
    require(arrays.contains(key.c_str()), "[load_state] '", key, "' is missing");
    given.push_back(given_for(model(), view, arrays[key.c_str()]));
  }
  const WithoutGil free;
  const train::Gate::Writer writer(model().gate(), "load");
  for (std::size_t i = 0; i < views.size(); ++i)
    (model().is_double() ? copy_in<double> : copy_in<float>)(given[i].data(), views[i]);
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

void Network::set_progress(std::int64_t step, std::int64_t draw, std::int64_t averaged, const py::object& group) {
  const train::Gate::Writer writer(model().gate(), "load");
  require(step >= 0 && draw >= 0 && averaged >= 0, "[set_progress] step = ", step, ", draw = ", draw,
          ", averaged = ", averaged, "; expected numbers >= 0");
  model().set_progress({step, draw, averaged, group.is_none() ? run::Group{} : group_of(group.cast<py::dict>())});
}

}  // namespace fastnn::bindings
