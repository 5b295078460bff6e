// Optimizer steps and averages on the caller's arrays: parameters, states and averages are updated in place.
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

// An optimizer with the values of its hyperparameters in step t, as one call applies it to each parameter. No batch is
// known here: its weight counts as 1.
struct Rule {
  Rule(const optimizers::Row& its_row, const Values& values, std::int64_t t)
      : row(its_row), coefficients(row.coefficients(values, t, 1)), l1(row.l1(values)) {
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
  constexpr Index kNumbers = 16384;  // of an item
  constexpr double kCost = 30;       // the cost of one number, in floating-point operations of the matrix products
  run_items(ceil_div(n, kNumbers), kCost * static_cast<double>(n), 0, [&](Index item) {
    optimizers::update<T>(rule.row, rule.coefficients, flat, item * kNumbers, std::min(kNumbers, n - item * kNumbers));
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

template <class T>
MatrixBuffer<T> flat_copy(const char* where, const char* name, const py::array& a) {
  return matrix<T>(where, name, a.attr("reshape")(1, a.size()).template cast<py::object>());
}
template <class T>
void write_back(MatrixBuffer<T>& from, const py::array& to) {
  py::object target = to;
  target[py::ellipsis()] = py::array_t<T>({to.size()}, from.view().data).attr("reshape")(to.attr("shape"));
}

// Updates one parameter with any strides: in place if the arrays lie flat, otherwise in copies that are written back.
template <class T>
void step_one(const Rule& rule, const py::array& param, const py::array& grad, const std::vector<py::array>& states) {
  std::vector<PyObject*> own;
  for (const auto& state : states) own.push_back(state.ptr());
  if (lie_flat<T>(param.ptr(), grad.ptr(), own)) return step_in_place<T>(rule, param.ptr(), grad.ptr(), own);
  auto w = flat_copy<T>(rule.row.name, "parameter", param);
  const auto g = flat_copy<T>(rule.row.name, "gradient", grad);
  std::vector<MatrixBuffer<T>> kept;
  for (const auto& state : states) kept.push_back(flat_copy<T>(rule.row.name, "state", state));
  optimizers::Flat<T> flat{w.view().data, g.view().data, {}, static_cast<T>(rule.l1)};
  for (std::size_t s = 0; s < kept.size(); ++s) flat.state[rule.states[s]] = kept[s].view().data;
  update_flat<T>(rule, flat, static_cast<Index>(param.size()));
  write_back<T>(w, param);
  for (std::size_t s = 0; s < kept.size(); ++s) write_back<T>(kept[s], states[s]);
}

// average += share (param - average).
template <class T>
void average_flat(const T* param, T* average, Index n, double share) {
  constexpr Index kNumbers = 65536;  // of an item
  constexpr double kCost = 6;        // as above
  run_items(ceil_div(n, kNumbers), kCost * static_cast<double>(n), 0, [&](Index item) {
    const Index first = item * kNumbers;
    optimizers::add_to_average<T>(param + first, average + first, std::min(kNumbers, n - first), static_cast<T>(share));
  });
}

template <class T>
void average_one(const char* where, const py::array& average, const py::array& param, double share) {
  const auto n = static_cast<Index>(average.size());
  if (lie_flat<T>(average.ptr(), param.ptr(), {}))
    return average_flat<T>(PlainArray(param.ptr()).data<const T>(), PlainArray(average.ptr()).data<T>(), n, share);
  auto sum = flat_copy<T>(where, "averages", average);
  const auto w = flat_copy<T>(where, "params", param);
  average_flat<T>(w.view().data, sum.view().data, n, share);
  write_back<T>(sum, average);
}

// One array, or a list of them; the caller's list may change while the GIL is released.
struct Listed {
  explicit Listed(PyObject* given) : one(!PyList_CheckExact(given)) {
    if (one) arrays.push_back(given);
    for (Py_ssize_t i = 0; !one && i < PyList_GET_SIZE(given); ++i) arrays.push_back(PyList_GET_ITEM(given, i));
  }
  std::size_t size() const { return arrays.size(); }
  PyObject* operator[](std::size_t k) const { return arrays[k]; }
  // What messages call the k-th of them.
  std::string name(const char* argument, std::size_t k) const {
    return one ? argument : std::string(argument) + "[" + std::to_string(k) + "]";
  }
  bool one;
  std::vector<PyObject*> arrays;
};

// The list of arrays of one state in a dictionary by names; nullptr if there is none.
PyObject* list_of(PyObject* states, const char* name) {
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(states, &at, &key, &value) != 0;)
    if (PyUnicode_CheckExact(key) && PyUnicode_CompareWithASCIIString(key, name) == 0)
      return PyList_CheckExact(value) ? value : nullptr;
  return nullptr;
}

// The arrays of one call, whose references it holds.
class StepArrays {
 public:
  // Throws Refused unless each parameter has a gradient of its shape and, of each state that `rule` keeps, an array of
  // its shape and dtype, and unless parameters and states can be written to.
  StepArrays(const Rule& rule, PyObject* params, PyObject* grads, PyObject* states) {
    const char* where = rule.row.name;
    Lists lists;
    for (const std::size_t s : rule.states) {
      lists.emplace_back("state.arrays['" + std::string(rule.row.states[s].name) + "']",
                         list_of(states, rule.row.states[s].name));
      const auto& [name, list] = lists.back();
      require(list != nullptr, "[", where, "] ", name, " is no list; expected one array for each parameter");
    }
    take(where, {"params", "grads", "its parameter"}, params, grads, lists);
  }
  // The same for averages, which are changed, and parameters, which are read.
  StepArrays(const char* where, PyObject* averages, PyObject* params) {
    take(where, {"averages", "params", "its average"}, averages, params, {});
  }

  struct Each {
    py::array param, grad;
    std::vector<py::array> states;
  };
  std::vector<Each> arrays;

 private:
  using Lists = std::vector<std::pair<std::string, PyObject*>>;
  struct Names {
    const char *changed, *read, *which;
  };
  void take(const char* where, const Names& names, PyObject* changed, PyObject* read, const Lists& lists) {
    const Listed all(changed), of(read);
    need_as_many(where, names, names.read, of.size(), all.size());
    for (const auto& [name, list] : lists)
      need_as_many(where, names, name, static_cast<std::size_t>(PyList_GET_SIZE(list)), all.size());
    for (std::size_t k = 0; k < all.size(); ++k) {
      Each each{
          in_place(where, all.name(names.changed, k), all[k]), readable(where, of.name(names.read, k), of[k]), {}};
      need_shape(where, names, of.name(names.read, k), each.grad, each.param);
      for (const auto& [name, list] : lists) {
        const std::string its = name + "[" + std::to_string(k) + "]";
        each.states.push_back(in_place(where, its, PyList_GET_ITEM(list, static_cast<Py_ssize_t>(k)), &each.param));
        need_shape(where, names, its, each.states.back(), each.param);
      }
      arrays.push_back(std::move(each));
    }
  }
  static void need_as_many(const char* where, const Names& names, const std::string& name, std::size_t count,
                           std::size_t changed) {
    if (count != changed)
      throw Refused({.where = where,
                     .reason = reason::kCount,
                     .argument = name,
                     .expected = {.rows = static_cast<Index>(changed), .of = names.changed},
                     .shape = {static_cast<Index>(count)}});
  }
  static void need_shape(const char* where, const Names& names, const std::string& name, const py::array& array,
                         const py::array& param) {
    if (shape_of(array) != shape_of(param))
      throw Refused({.where = where,
                     .reason = reason::kOtherShape,
                     .argument = name,
                     .expected = {.of = names.which},
                     .shape = shape_of(array),
                     .needed = shape_of(param)});
  }
  static py::array readable(const char* where, const std::string& name, PyObject* object) {
    py::object flat = py::reinterpret_borrow<py::object>(object);
    if (py::isinstance<py::array>(flat)) flat = flat.attr("reshape")(-1);
    const NumpyView checked(where, name.c_str(), flat, {.cols = 1, .vector = true});  // masks and dtype
    return py::reinterpret_borrow<py::array>(object);
  }
};

void optimizer_step(const std::string& name, const py::dict& hyper, std::int64_t t, const py::object& params,
                    const py::object& grads, const py::dict& states) {
  const auto& row = optimizers::registry().at("[functional]", name);
  const Values values = values_of("[" + name + "]", row, hyper);
  require(t >= 1, "[", name, "] t = ", t, "; steps are counted from 1");
  const FloatMode mode;
  const Rule rule(row, values, t);
  // All of them are checked before the first is written.
  const StepArrays given(rule, params.ptr(), grads.ptr(), states.ptr());
  for (const auto& each : given.arrays) {
    if (each.param.dtype().itemsize() == 4)
      step_one<float>(rule, each.param, each.grad, each.states);
    else
      step_one<double>(rule, each.param, each.grad, each.states);
  }
}

void add_to_averages(const std::string& name, const py::dict& hyper, std::int64_t n, const py::object& averages,
                     const py::object& params) {
  const auto& row = optimizers::averages().at("[functional]", name);
  const std::string where = name + "_";
  require(n >= 1, "[", where, "] n = ", n, "; updates are counted from 1");
  const double share = row.share(values_of("[" + where + "]", row, hyper), n);
  const FloatMode mode;
  const StepArrays given(where.c_str(), averages.ptr(), params.ptr());
  for (const auto& each : given.arrays) {
    if (each.param.dtype().itemsize() == 4)
      average_one<float>(where.c_str(), each.param, each.grad, share);
    else
      average_one<double>(where.c_str(), each.param, each.grad, share);
  }
}

// -- the plain call ------------------------------------------------------------------------------------------------

// plain_step(name, hyper, t, params, grads, states): True if the step was made; False, and nothing is written, if an
// argument is not plain.
PyObject* plain_step(PyObject*, PyObject* const* args, Py_ssize_t count) {
  return with_errors([&]() -> PyObject* {
    if (count != 6 || !PyUnicode_CheckExact(args[0]) || !PyLong_CheckExact(args[2]) || !PyDict_CheckExact(args[5]))
      return Py_NewRef(Py_False);
    const auto* row = optimizers::registry().find(PyUnicode_AsUTF8(args[0]));
    int overflow = 0;
    const long long t = PyLong_AsLongLongAndOverflow(args[2], &overflow);
    if (row == nullptr || t < 1) return Py_NewRef(Py_False);
    Values values = row->defaults();
    if (!plain_values(row->params, args[1], values)) return Py_NewRef(Py_False);
    const FloatMode mode;
    const Rule rule(*row, values, t);
    const Listed params(args[3]), grads(args[4]);
    if (params.size() != grads.size()) return Py_NewRef(Py_False);
    std::vector<std::vector<PyObject*>> states(params.size());
    for (const std::size_t s : rule.states) {
      PyObject* kind = list_of(args[5], row->states[s].name);
      if (kind == nullptr || PyList_GET_SIZE(kind) != Py_ssize_t(params.size())) return Py_NewRef(Py_False);
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
                   "plain_step(name, hyper, t, params, grads, states) -> object\n\n"
                   "optimizer_step of plain arrays: True; else nothing is done: False."),
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

void register_functional_steps(py::module_& m) {
  using py::arg;
  if (PyModule_AddFunctions(m.ptr(), g_plain_steps) != 0) throw py::error_already_set();
  m.def("add_to_averages", add_to_averages, arg("name"), arg("hyper"), arg("n"), arg("averages"), arg("params"));
  m.def("optimizer_step", optimizer_step, arg("name"), arg("hyper"), arg("t"), arg("params"), arg("grads"),
        arg("states"));
}

}  // namespace fastnn::bindings
