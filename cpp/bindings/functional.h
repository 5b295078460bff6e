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
