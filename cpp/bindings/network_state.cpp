// _core.Network: what training changes, as views of the model's memory and as copies: values, optimizer state, counters.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>

#include "bindings/network.h"

namespace fastnn::bindings {

namespace {

// A Python object that owns a reference to `owner`; as the base of an array it keeps the array's memory alive.
py::object shared_owner(const std::shared_ptr<void>& owner) {
  auto held = std::make_unique<std::shared_ptr<void>>(owner);
  py::capsule capsule(held.get(), [](void* of) { delete static_cast<std::shared_ptr<void>*>(of); });
  held.release();
  return capsule;
}

}  // namespace

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
  taken["epochs"] = epochs();
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

void Network::set_progress(std::int64_t step, std::int64_t batches, std::int64_t draw) {
  const train::Gate::Writer writer(model().gate(), "load");
  require(step >= 0 && batches >= 0 && draw >= 0, "[set_progress] step = ", step, ", batches = ", batches,
          ", draw = ", draw, "; expected numbers >= 0");
  model().set_progress({step, batches, draw});
}

}  // namespace fastnn::bindings
