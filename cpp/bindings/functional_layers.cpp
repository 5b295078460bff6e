// Layers as functions of the caller's arrays, forward and backward.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "bindings/functional.h"
#include "bindings/operands.h"
#include "bindings/values.h"
#include "core/check.h"
#include "run/layer_alone.h"

namespace fastnn::bindings {

namespace {

// Where the random numbers of a call come from, and whether it trains.
struct Mode {
  bool training;
  std::uint64_t seed, step, draw;
  int layer;
};
using Arrays = std::map<std::string, py::object>;  // parameters by name; those that are missing are initial values

Mode mode_of(bool training, std::uint64_t seed, int layer, std::uint64_t step, std::uint64_t draw) {
  require(layer >= 0, "[layer] layer = ", layer, "; expected a number >= 0");
  return {training, seed, step, draw, layer};
}

template <class T>
void copy_into(const char* where, const char* name, const py::object& from, Matrix<T> to, const Expected& expected) {
  const NumpyView rows(where, name, from, expected);
  kernels::gather<T>(rows.source(), {}, {}, to);
}

template <class T>
run::LayerAlone<T> made(const std::string& name, const py::dict& settings, const py::object& x, const Arrays& given,
                        const Mode& mode) {
  const auto* row = layers::find(name);
  require(row != nullptr, "[layer] unknown layer '", name, "'");
  const Values values = values_of("[" + name + "]", *row, settings);
  const NumpyView shape(name.c_str(), "x", x, {});
  const Index rows = shape.rows(), columns = shape.source().cols;
  run::LayerAlone<T> alone(
      name, values, rows, columns,
      {.training = mode.training, .rows = rows, .seed = mode.seed, .step = mode.step, .draw = mode.draw}, mode.layer);
  kernels::gather<T>(shape.source(), {}, {}, alone.x());
  for (std::size_t i = 0; i < alone.shapes().size(); ++i) {
    const auto& p = alone.shapes()[i];
    const auto found = given.find(p.name);
    if (found == given.end()) continue;
    // A vector is a column for NumpyView, and a row for the engine.
    const NumpyView numbers(name.c_str(), p.name, found->second, {.cols = 1, .vector = true});
    require(numbers.rows() == p.cols, "[", name, "] ", p.name, " has ", numbers.rows(), " numbers; expected ", p.cols);
    for (Index c = 0; c < p.cols; ++c)
      alone.value(i).data[c] = static_cast<T>(kernels::element(numbers.source(), c, 0));
  }
  return alone;
}

template <class T>
py::array vector(ConstMatrix<T> row) {
  py::array_t<T> array(row.cols);
  std::copy_n(row.data, row.cols, array.mutable_data());
  return array;
}

// (y, the running statistics after the call by their names)
template <class T>
py::tuple forward(const std::string& name, const py::dict& settings, const py::object& x, const Arrays& given,
                  const Mode& mode) {
  auto alone = made<T>(name, settings, x, given, mode);
  if (alone.x().rows > 0) {
    const FloatMode float_mode;
    alone.forward();
    alone.commit();
  }
  py::dict kept;
  for (std::size_t i = 0; i < alone.shapes().size(); ++i)
    if (!alone.shapes()[i].trainable) kept[alone.shapes()[i].name] = vector<T>(alone.value(i));
  return py::make_tuple(result<T>(name.c_str(), alone.y(), py::none()), kept);
}

// (dx, the gradients of the parameters by their names)
template <class T>
py::tuple backward(const std::string& name, const py::dict& settings, const py::object& dy, const py::object& x,
                   const Arrays& given, const Mode& mode) {
  auto alone = made<T>(name, settings, x, given, mode);
  copy_into<T>((name + "_backward").c_str(), "dy", dy, alone.dy(),
               {.cols = alone.dy().cols, .rows = alone.dy().rows, .of = "x"});
  if (alone.x().rows > 0) {
    const FloatMode float_mode;
    alone.forward();
    alone.backward();
  }
  py::dict gradients;
  for (std::size_t i = 0; i < alone.shapes().size(); ++i)
    if (alone.shapes()[i].trainable) gradients[alone.shapes()[i].name] = vector<T>(alone.gradient(i));
  return py::make_tuple(result<T>(name.c_str(), alone.dx(), py::none()), gradients);
}

// The parameters of a layer for x with so many columns: (name, columns, is it trained?).
py::list layer_parameters(const std::string& name, const py::dict& settings, Index columns) {
  const auto* row = layers::find(name);
  require(row != nullptr, "[layer] unknown layer '", name, "'");
  const auto layer = layers::make_layer<float>(name, values_of("[" + name + "]", *row, settings), columns);
  py::list found;
  for (const auto& p : layer->params()) found.append(py::make_tuple(p.name, p.cols, p.trainable));
  return found;
}

}  // namespace

void register_functional_layers(py::module_& m) {
  using py::arg;
  m.def("layer_parameters", layer_parameters, arg("name"), arg("params"), arg("columns"));
  m.def(
      "layer",
      [](const std::string& name, const py::dict& settings, const py::object& x, const Arrays& given, bool training,
         std::uint64_t seed, int layer, std::uint64_t step, std::uint64_t draw) {
        const Mode mode = mode_of(training, seed, layer, step, draw);
        return wants_double({x}) ? forward<double>(name, settings, x, given, mode)
                                 : forward<float>(name, settings, x, given, mode);
      },
      arg("name"), arg("params"), arg("x"), arg("given"), arg("training") = false, arg("seed") = 0, arg("layer") = 0,
      arg("step") = 0, arg("draw") = 0);
  m.def(
      "layer_backward",
      [](const std::string& name, const py::dict& settings, const py::object& dy, const py::object& x,
         const Arrays& given, bool training, std::uint64_t seed, int layer, std::uint64_t step, std::uint64_t draw) {
        const Mode mode = mode_of(training, seed, layer, step, draw);
        return wants_double({x, dy}) ? backward<double>(name, settings, dy, x, given, mode)
                                     : backward<float>(name, settings, dy, x, given, mode);
      },
      arg("name"), arg("params"), arg("dy"), arg("x"), arg("given"), arg("training") = false, arg("seed") = 0,
      arg("layer") = 0, arg("step") = 0, arg("draw") = 0);
}

}  // namespace fastnn::bindings
