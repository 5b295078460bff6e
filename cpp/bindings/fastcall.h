// Methods that a program may call a hundred thousand times a second, by CPython's own calling convention: pybind11's
// loading of four arguments takes as long as a small network. Signature of refusals and errors are as everywhere.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>

#include <array>
#include <span>
#include <string>

namespace fastnn::bindings {

namespace py = pybind11;

// What a method takes: `names` of its arguments after self, the first `required` of them without a default.
struct Signature {
  const char* method;
  std::span<const char* const> names;
  std::size_t required;
};

// The slow part of Arguments: keywords, too many, too few.
void sort_arguments(const Signature& signature, PyObject* const* args, std::size_t n, PyObject* keywords,
                    std::span<py::handle> values);

// The arguments of one call in the order of their names; an empty handle where the caller gave none.
template <std::size_t N>
class Arguments {
 public:
  Arguments(const Signature& signature, PyObject* const* args, Py_ssize_t count, PyObject* keywords)
      : signature_(signature) {
    const auto n = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < N && i < n; ++i) values_[i] = args[i];
    if (keywords != nullptr || n > N || n < signature.required) sort_arguments(signature, args, n, keywords, values_);
  }
  py::handle operator[](std::size_t i) const { return values_[i]; }
  py::handle or_none(std::size_t i) const { return values_[i] ? values_[i] : py::handle(Py_None); }
  bool flag(std::size_t i, bool otherwise) const {
    const py::handle value = values_[i];
    if (!value) return otherwise;
    return value.ptr() == Py_True || (value.ptr() != Py_False && as<bool>(i, "True or False"));
  }
  int number(std::size_t i, int otherwise) const {
    return values_[i] ? as<int>(i, "an integer of at most 32 bits") : otherwise;
  }

 private:
  template <class T>
  T as(std::size_t i, const char* expected) const {
    try {
      return values_[i].template cast<T>();
    } catch (const py::cast_error&) {
      throw py::type_error("[" + std::string(signature_.method) + "] " + signature_.names[i] + " is " +
                           std::string(py::repr(values_[i])) + "; expected " + expected);
    }
  }
  const Signature& signature_;
  std::array<py::handle, N> values_;
};

// The C++ object of `self`, which the method descriptor has found to be of the class.
template <class C>
C& object_of(PyObject* self) {
  const auto* instance = reinterpret_cast<py::detail::instance*>(self);
  if (instance->simple_layout && instance->simple_value_holder[0] != nullptr)
    return *static_cast<C*>(instance->simple_value_holder[0]);
  return py::handle(self).cast<C&>();
}

// object_of reads what pybind11 calls a detail: does it find in an object what a cast finds there? Asked once, at import.
template <class C>
void require_known_layout(const py::object& made) {
  if (&object_of<C>(made.ptr()) != &made.cast<C&>())
    throw py::import_error("[fastnn] this pybind11 lays objects out in another way; expected the layout of pybind11 3");
}

// Runs `body`, which returns a new reference; what it throws becomes Python's error, as in a pybind11 function.
template <class F>
PyObject* with_errors(F body) {
  try {
    return body();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    py::detail::try_translate_exceptions();
  }
  return nullptr;
}

using FastFunction = PyObject* (*)(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords);

// Makes `function` a method of `cls`. `definition` must live as long as the class.
void add_fast_method(const py::handle& cls, PyMethodDef& definition);
inline PyMethodDef fast_method(const char* name, FastFunction function, const char* doc) {
  return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL | METH_KEYWORDS,
          doc};
}

}  // namespace fastnn::bindings
