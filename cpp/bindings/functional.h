// What the functional_*.cpp files share. Each function has two forms: a plain call takes only the usual case, arrays
// that can be used in place, and returns NotImplemented for every other; the general call converts and refuses. So a
// small call costs little more than its arithmetic, and each error has one place.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <initializer_list>
#include <optional>

#include "bindings/border.h"
#include "bindings/fastcall.h"
#include "bindings/operands.h"

namespace fastnn::bindings {

void register_functional_layers(py::module_& m);
void register_functional_products(py::module_& m);
void register_functional_rows(py::module_& m);
void register_functional_schedules(py::module_& m);
void register_functional_steps(py::module_& m);
void register_functional_training(py::module_& m);

// The n_threads argument of a plain call, None being 0; nullopt if it is out of range or not an int.
inline std::optional<int> plain_threads(PyObject* object) {
  if (object == Py_None) return 0;
  if (!PyLong_CheckExact(object)) return std::nullopt;
  int overflow = 0;
  const long value = PyLong_AsLongAndOverflow(object, &overflow);
  if (overflow != 0 || value < 1 || value > parallel::kMaxThreads) return std::nullopt;
  return static_cast<int>(value);
}

// The result of a plain call: f(T()), if `fits` and `decides` is an array of T = float or double; otherwise, or if f
// returns an empty object, NotImplemented.
template <class F>
PyObject* plain_answer(PyObject* decides, bool fits, F f) {
  return with_errors([&]() -> PyObject* {
    py::object answer;
    if (fits && PlainArray::is<float>(decides))
      answer = f(float());
    else if (fits && PlainArray::is<double>(decides))
      answer = f(double());
    return answer ? answer.release().ptr() : Py_NewRef(Py_NotImplemented);
  });
}

// -- what a plain call writes to: the caller's array, or a new one for None; empty: the general call has to decide ------

template <class T>
bool is_plain_target(PyObject* given) {
  return PlainArray::is<T>(given) && PlainArray(given).writeable() && PlainArray(given).contiguous();
}

// An array of the shape of `like`. It may be one of `inputs` (arrays, or None), but must not overlap them otherwise.
template <class T>
py::object plain_out(PyObject* given, PyObject* like, std::initializer_list<PyObject*> inputs) {
  if (given == Py_None) return new_like(like);
  if (!is_plain_target<T>(given) || !PlainArray(given).same_shape(PlainArray(like))) return {};
  for (PyObject* input : inputs)
    if (input != given && input != Py_None && may_share_memory(input, given)) return {};
  return py::reinterpret_borrow<py::object>(given);
}

// An array of this shape that overlaps none of `others` (arrays, or None).
template <class T>
py::object plain_result(PyObject* given, std::initializer_list<Index> shape, std::initializer_list<PyObject*> others) {
  if (given == Py_None) return new_array<T>(shape);
  if (!is_plain_target<T>(given) || !PlainArray(given).has_shape(shape)) return {};
  for (PyObject* other : others)
    if (other != Py_None && may_share_memory(other, given)) return {};
  return py::reinterpret_borrow<py::object>(given);
}

// f(T()) with T = float or double, the dtype in which a call with these arrays computes.
template <class F>
auto by_dtype(std::initializer_list<py::object> arrays, F f) {
  return wants_double(arrays) ? f(double()) : f(float());
}

using PlainFunction = PyObject* (*)(PyObject* module, PyObject* const* args, Py_ssize_t count);
inline PyMethodDef plain_function(const char* name, PlainFunction function, const char* doc) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, doc};
}

}  // namespace fastnn::bindings
