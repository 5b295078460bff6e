// Losses and optimizer steps on the caller's arrays: the training half of the functional kernels.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <cmath>

#include "bindings/border.h"
#include "bindings/copies.h"
#include "core/check.h"
#include "losses/loss.h"
#include "optimizers/registry.h"

namespace fastnn::bindings {

namespace {

template <class T>
py::tuple loss(const std::string& name, const py::dict& hyper, const py::object& out, const py::object& target,
               const py::object& weights) {
  const auto* row = losses::find(name);
  std::vector<std::string> names;
  for (const auto& each : losses::registry()) names.emplace_back(each.name);
  require(row != nullptr, "[functional] unknown loss \'", name, "'; known: ", join(names));
  const auto values = resolve("[" + name + "]", row->hypers, hyper_given("[" + name + "]", hyper, row->hypers));
  const FloatMode mode;
  auto o = matrix<T>(row->name, "out", out);
  const Index n = o.view().rows, k = o.view().cols;
  MatrixBuffer<T> dense, dout(n, k);
  Buffer<std::int32_t> labels(n);
  losses::Targets<T> targets;
  if (row->target == losses::TargetKind::kDense) {
    dense = matrix<T>(row->name, "target", target, k, k == 1);
    require(dense.view().rows == n, "[", name, "] target has ", dense.view().rows, " rows, out has ", n);
    targets.dense = dense.view();
  } else {
    const Rows classes(row->name, "target", target, 1, false, true);
    require(classes.rows() == n, "[", name, "] target has ", classes.rows(), " rows, out has ", n);
    if (!kernels::gather_classes(classes.source(), {}, n, k, labels.data()))
      for (Index r = 0; r < n; ++r) {
        const double value = kernels::element(classes.source(), r, 0);
        require(value >= 0 && value < static_cast<double>(k) && value == std::floor(value), "[", name, "] target has ",
                value, " at row ", r, "; expected class numbers 0 to ", k - 1);
      }
    targets.classes = labels.data();
  }
  double total = static_cast<double>(n);
  Buffer<T> per_row;
  if (!weights.is_none()) {
    const auto w = matrix<T>(row->name, "sample_weight", weights, 1, true);
    require(w.view().rows == n, "[", name, "] sample_weight has ", w.view().rows, " rows, out has ", n);
    per_row = Buffer<T>(n);
    total = 0;
    for (Index r = 0; r < n; ++r) total += static_cast<double>(per_row[r] = w.view().row(r)[0]);
  }
  const bool sum = values[0] != 0 || total == 0;
  const double divisor = sum ? 1 : row->mean_over_outputs ? total * static_cast<double>(k) : total;
  const double value =
      row->loops<T>().value(values.data(), o.view(), targets, weights.is_none() ? nullptr : per_row.data(),
                            static_cast<T>(1 / divisor), dout.view());
  return py::make_tuple(value / divisor, result<T>(row->name, dout.view(), py::none()));
}

// Updates flat arrays in place: what the engine does to a tile, on a copy of the caller's memory.
template <class T>
void step_one(const optimizers::Row& row, const optimizers::Coefficients& c, T l1, py::array param,
              const py::array& grad, const std::vector<py::array>& states) {
  const auto n = static_cast<Index>(param.size());
  const auto flat = [&](const py::object& a) { return a.attr("reshape")(1, n).cast<py::object>(); };
  auto w = matrix<T>(row.name, "parameter", flat(param));
  const auto g = matrix<T>(row.name, "gradient", flat(grad));
  std::vector<MatrixBuffer<T>> kept;
  optimizers::Tile<T> tile;
  tile.rows = 1;
  tile.cols = padded<T>(n);
  tile.param = w.view().data;
  tile.stride = tile.grad_stride = padded<T>(n);
  tile.grad = g.view().data;
  tile.l1 = l1;
  for (const auto& state : states) kept.push_back(matrix<T>(row.name, "state", flat(state)));
  for (std::size_t s = 0; s < kept.size(); ++s) tile.state[s] = kept[s].view().data;
  row.loops<T>().update(c, tile);
  const auto write = [&](const py::array& to, MatrixBuffer<T>& from) {
    to[py::ellipsis()] = py::array_t<T>({n}, from.view().data).attr("reshape")(to.attr("shape"));
  };
  write(param, w);
  for (std::size_t s = 0; s < kept.size(); ++s) write(states[s], kept[s]);
}

// One parameter with its gradient and state: same shape, same float dtype, writeable where they are written.
void check_one(const std::string& rule, const std::string& which, const py::array& param, const py::array& grad,
               const std::vector<py::array>& states) {
  const std::string where = "[" + rule + "] " + which;
  const py::dtype dtype = param.dtype();
  const bool native =
      dtype.kind() == 'f' && (dtype.itemsize() == 4 || dtype.itemsize() == 8) && dtype.attr("isnative").cast<bool>();
  if (!native)
    throw py::type_error(where + " has dtype " + std::string(py::str(py::object(dtype))) +
                         "; expected float32 or float64");
  std::vector<py::array> others{grad};
  others.insert(others.end(), states.begin(), states.end());
  require(param.writeable(), where, " is read-only");
  for (std::size_t a = 0; a < others.size(); ++a) {
    const char* what = a == 0 ? "gradient" : "state";
    const Rows checked(rule.c_str(), ("the " + std::string(what) + " of " + which).c_str(),
                       others[a].attr("reshape")(-1), 1, false, true);  // dtype and masks
    require(others[a].attr("shape").equal(param.attr("shape")), where, ": its ", what, " has shape ",
            shape_text(others[a]), "; expected ", shape_text(param));
    if (!others[a].dtype().equal(dtype))
      throw py::type_error(where + ": its " + what + " has dtype " +
                           std::string(py::str(py::object(others[a].dtype()))) + "; expected " +
                           std::string(py::str(py::object(dtype))));
    require(a == 0 || others[a].writeable(), where, ": its state is read-only");
  }
}

void optimizer_step(const std::string& name, const py::dict& hyper, std::int64_t t,
                    const std::vector<py::array>& params, const std::vector<py::array>& grads,
                    const std::vector<std::vector<py::array>>& states) {
  const auto* row = optimizers::find(name);
  std::vector<std::string> names;
  for (const auto& each : optimizers::registry()) names.emplace_back(each.name);
  require(row != nullptr, "[functional] unknown optimizer \'", name, "'; known: ", join(names));
  const auto values = resolve("[" + name + "]", row->hypers, hyper_given("[" + name + "]", hyper, row->hypers));
  require(t >= 1, "[", name, "] t = ", t, "; steps are counted from 1");
  const auto n_states = static_cast<std::size_t>(row->states(values.data()));
  require(grads.size() == params.size(), "[", name, "] ", grads.size(), " gradients came for ", params.size(),
          " parameters");
  require(states.size() >= n_states, "[", name, "] ", states.size(), " state lists came, expected ", n_states);
  double l1 = 0;
  for (std::size_t h = 0; h < row->hypers.size(); ++h)
    if (std::string(row->hypers[h].name) == "l1") l1 = values[h];
  // All of them are checked before the first is written.
  std::vector<std::vector<py::array>> own(params.size());
  for (std::size_t k = 0; k < params.size(); ++k) {
    for (std::size_t s = 0; s < n_states; ++s) {
      require(states[s].size() == params.size(), "[", name, "] state ", s, " has ", states[s].size(),
              " arrays, expected ", params.size());
      own[k].push_back(states[s][k]);
    }
    check_one(name, "parameter " + std::to_string(k), params[k], grads[k], own[k]);
  }
  const FloatMode mode;
  const auto coefficients = row->coefficients(values.data(), t);
  for (std::size_t k = 0; k < params.size(); ++k) {
    if (params[k].dtype().itemsize() == 4)
      step_one<float>(*row, coefficients, static_cast<float>(l1), params[k], grads[k], own[k]);
    else
      step_one<double>(*row, coefficients, l1, params[k], grads[k], own[k]);
  }
}

}  // namespace

void register_functional_training(py::module_& m) {
  using py::arg;
  using O = const py::object&;
  const auto none = py::none();
  m.def(
      "loss",
      [](const std::string& name, const py::dict& hyper, O out, O target, O weights) {
        return wants_double({out}) ? loss<double>(name, hyper, out, target, weights)
                                   : loss<float>(name, hyper, out, target, weights);
      },
      arg("name"), arg("hyper"), arg("out"), arg("target"), arg("sample_weight") = none);
  m.def("optimizer_step", optimizer_step, arg("name"), arg("hyper"), arg("t"), arg("params"), arg("grads"),
        arg("states"));
}

}  // namespace fastnn::bindings
