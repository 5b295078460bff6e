// Optimizer steps on the caller's arrays: parameters and states are updated in place.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include "bindings/border.h"
#include "bindings/functional.h"
#include "bindings/items.h"
#include "bindings/operands.h"
#include "bindings/values.h"
#include "core/check.h"
#include "optimizers/registry.h"

namespace fastnn::bindings {

namespace {

// An optimizer with the values of its hyperparameters in step t, as one call applies it to each parameter.
struct Rule {
  Rule(const optimizers::Row& its_row, const Values& values, std::int64_t t)
      : row(its_row), coefficients(row.coefficients(values, t)), l1(row.l1(values)) {
    const auto kept = row.kept(values);
    for (int s = 0; s < static_cast<int>(row.states.size()); ++s)
      if (optimizers::contains(kept, s)) states.push_back(static_cast<std::size_t>(s));
  }
  const optimizers::Row& row;
  optimizers::Coefficients coefficients;
  double l1;
  std::vector<std::size_t> states;  // indices of the states that these values need
};

template <class T>
void update_flat(const Rule& rule, const optimizers::Flat<T>& flat, Index n) {
  constexpr Index kRun = 16384;
  constexpr double kPerNumber = 30;  // the cost of one number, in floating-point operations of the matrix products
  run_items(ceil_div(n, kRun), kPerNumber * static_cast<double>(n), 0, [&](Index item) {
    optimizers::update<T>(rule.row, rule.coefficients, flat, item * kRun, std::min(kRun, n - item * kRun));
  });
}

// Whether the arrays are contiguous, of one shape and dtype, writeable where they are written, and without overlap. The
// gradient alone may be the same array as the parameter.
template <class T>
bool lie_flat(PyObject* param, PyObject* grad, const std::vector<PyObject*>& states) {
  std::vector<PyObject*> all{param};
  if (grad != param) all.push_back(grad);
  all.insert(all.end(), states.begin(), states.end());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!PlainArray::is<T>(all[i]) || !PlainArray(all[i]).contiguous() ||
        !PlainArray(all[i]).same_shape(PlainArray(param)) || (all[i] != grad && !PlainArray(all[i]).writeable()))
      return false;
    for (std::size_t j = 0; j < i; ++j)
      if (may_share_memory(all[i], all[j])) return false;
  }
  return PlainArray(param).writeable();
}

template <class T>
void step_in_place(const Rule& rule, PyObject* param, PyObject* grad, const std::vector<PyObject*>& states) {
  optimizers::Flat<T> flat{PlainArray(param).data<T>(), PlainArray(grad).data<const T>(), {}, static_cast<T>(rule.l1)};
  for (std::size_t s = 0; s < states.size(); ++s) flat.state[rule.states[s]] = PlainArray(states[s]).data<T>();
  update_flat<T>(rule, flat, PlainArray(param).size());
}

// Updates one parameter with any strides: in place if the arrays lie flat, otherwise in copies that are written back.
template <class T>
void step_one(const Rule& rule, const py::array& param, const py::array& grad, const std::vector<py::array>& states) {
  std::vector<PyObject*> own;
  for (const auto& state : states) own.push_back(state.ptr());
  if (lie_flat<T>(param.ptr(), grad.ptr(), own)) return step_in_place<T>(rule, param.ptr(), grad.ptr(), own);
  const auto n = static_cast<Index>(param.size());
  const auto copy = [&](const char* name, const py::array& a) {
    return matrix<T>(rule.row.name, name, a.attr("reshape")(1, n).template cast<py::object>());
  };
  auto w = copy("parameter", param);
  const auto g = copy("gradient", grad);
  std::vector<MatrixBuffer<T>> kept;
  for (const auto& state : states) kept.push_back(copy("state", state));
  optimizers::Flat<T> flat{w.view().data, g.view().data, {}, static_cast<T>(rule.l1)};
  for (std::size_t s = 0; s < kept.size(); ++s) flat.state[rule.states[s]] = kept[s].view().data;
  update_flat<T>(rule, flat, n);
  const auto write = [&](const py::array& to, MatrixBuffer<T>& from) {
    py::object target = to;
    target[py::ellipsis()] = py::array_t<T>({n}, from.view().data).attr("reshape")(to.attr("shape"));
  };
  write(param, w);
  for (std::size_t s = 0; s < kept.size(); ++s) write(states[s], kept[s]);
}

// Refuses a parameter, its gradient and its states unless all have one shape and one float dtype and those that are
// written are writeable.
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
  require(param.writeable(), where, " is read-only; expected a writable array");
  for (std::size_t a = 0; a < others.size(); ++a) {
    const char* what = a == 0 ? "gradient" : "state";
    const Rows checked(rule.c_str(), ("the " + std::string(what) + " of " + which).c_str(),
                       others[a].attr("reshape")(-1), {.cols = 1, .vector = true});  // refuses other dtypes and masks
    require(others[a].attr("shape").equal(param.attr("shape")), where, ": its ", what, " has shape ",
            shape_text(others[a]), "; expected ", shape_text(param));
    if (!others[a].dtype().equal(dtype))
      throw py::type_error(where + ": its " + what + " has dtype " +
                           std::string(py::str(py::object(others[a].dtype()))) + "; expected " +
                           std::string(py::str(py::object(dtype))));
    require(a == 0 || others[a].writeable(), where, ": its state is read-only; expected a writable array");
  }
}

void optimizer_step(const std::string& name, const py::dict& hyper, std::int64_t t,
                    const std::vector<py::array>& params, const std::vector<py::array>& grads,
                    const std::vector<std::vector<py::array>>& states) {
  const auto& row = optimizers::registry().at("[functional]", name);
  const Values values = values_of("[" + name + "]", row, hyper);
  require(t >= 1, "[", name, "] t = ", t, "; steps are counted from 1");
  const FloatMode mode;
  const Rule rule(row, values, t);
  const std::size_t n_states = rule.states.size();
  require(grads.size() == params.size(), "[", name, "] ", grads.size(), " gradients came for ", params.size(),
          " parameters");
  require(states.size() >= n_states, "[", name, "] ", states.size(), " state lists came, expected ", n_states);
  // All parameters are checked before the first is written, so that a refused call changes nothing.
  std::vector<std::vector<py::array>> own(params.size());
  for (std::size_t k = 0; k < params.size(); ++k) {
    for (std::size_t s = 0; s < n_states; ++s) {
      require(states[s].size() == params.size(), "[", name, "] state ", s, " has ", states[s].size(),
              " arrays, expected ", params.size());
      own[k].push_back(states[s][k]);
    }
    check_one(name, "parameter " + std::to_string(k), params[k], grads[k], own[k]);
  }
  for (std::size_t k = 0; k < params.size(); ++k) {
    if (params[k].dtype().itemsize() == 4)
      step_one<float>(rule, params[k], grads[k], own[k]);
    else
      step_one<double>(rule, params[k], grads[k], own[k]);
  }
}

// -- the plain call ------------------------------------------------------------------------------------------------

// The arrays of an argument that is one array or a list of arrays.
std::vector<PyObject*> plain_list(PyObject* object) {
  if (!PyList_CheckExact(object)) return {object};
  std::vector<PyObject*> arrays;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object); ++i) arrays.push_back(PyList_GET_ITEM(object, i));
  return arrays;
}

// plain_step(name, hyper, t, params, grads, memory): True if the step was made; False, and nothing is written, if an
// argument is not plain.
PyObject* plain_step(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return with_errors([&]() -> PyObject* {
    if (count != 6 || !PyUnicode_CheckExact(args[0]) || !PyLong_CheckExact(args[2]) || !PyList_CheckExact(args[5]))
      return Py_NewRef(Py_False);
    const auto* row = optimizers::registry().find(PyUnicode_AsUTF8(args[0]));
    int overflow = 0;
    const long long t = PyLong_AsLongLongAndOverflow(args[2], &overflow);
    if (row == nullptr || t < 1) return Py_NewRef(Py_False);
    Values values = row->defaults();
    if (!plain_values(row->params, args[1], values)) return Py_NewRef(Py_False);
    const FloatMode mode;
    const Rule rule(*row, values, t);
    const auto params = plain_list(args[3]), grads = plain_list(args[4]);
    const std::size_t n_states = rule.states.size();
    if (params.size() != grads.size() || (n_states > 0 && PyList_GET_SIZE(args[5]) != Py_ssize_t(n_states)))
      return Py_NewRef(Py_False);
    std::vector<std::vector<PyObject*>> states(params.size());
    for (std::size_t s = 0; s < n_states; ++s) {
      PyObject* kind = PyList_GET_ITEM(args[5], Py_ssize_t(s));
      if (!PyList_CheckExact(kind) || PyList_GET_SIZE(kind) != Py_ssize_t(params.size())) return Py_NewRef(Py_False);
      for (std::size_t k = 0; k < params.size(); ++k) states[k].push_back(PyList_GET_ITEM(kind, Py_ssize_t(k)));
    }
    std::vector<bool> is_double;  // filled for all parameters before the first is written
    for (std::size_t k = 0; k < params.size(); ++k) {
      is_double.push_back(lie_flat<double>(params[k], grads[k], states[k]));
      if (!is_double[k] && !lie_flat<float>(params[k], grads[k], states[k])) return Py_NewRef(Py_False);
    }
    std::vector<py::object> held;  // Another thread may change the caller's lists while the GIL is released.
    for (std::size_t k = 0; k < params.size(); ++k) {
      held.push_back(py::reinterpret_borrow<py::object>(params[k]));
      held.push_back(py::reinterpret_borrow<py::object>(grads[k]));
      for (PyObject* state : states[k]) held.push_back(py::reinterpret_borrow<py::object>(state));
    }
    for (std::size_t k = 0; k < params.size(); ++k) {
      if (is_double[k])
        step_in_place<double>(rule, params[k], grads[k], states[k]);
      else
        step_in_place<float>(rule, params[k], grads[k], states[k]);
    }
    return Py_NewRef(Py_True);
  });
}

PyMethodDef g_plain_steps[] = {
    plain_function("plain_step", plain_step,
                   "plain_step(name, hyper, t, params, grads, memory) -> object\n\n"
                   "optimizer_step of plain arrays: True; else nothing is done: False."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_functional_steps(py::module_& m) {
  using py::arg;
  if (PyModule_AddFunctions(m.ptr(), g_plain_steps) != 0) throw py::error_already_set();
  m.def("optimizer_step", optimizer_step, arg("name"), arg("hyper"), arg("t"), arg("params"), arg("grads"),
        arg("states"));
}

}  // namespace fastnn::bindings
