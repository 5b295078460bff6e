// Methods that a program may call a hundred thousand times per second. They use CPython's vectorcall convention,
// because pybind11 takes as long to convert four arguments as a small network takes to compute. Signatures and error
// messages are the same as elsewhere.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cxxabi.h>
#include <pybind11/pybind11.h>

#include <array>
#include <span>
#include <string>

namespace fastnn::bindings {

namespace py = pybind11;

// The signature of a method: `names` of its arguments after self, of which the first `required` have no default.
struct Signature {
  const char* method;
  std::span<const char* const> names;
  std::size_t required;
};

// The slow path of Arguments: keyword arguments, too many or too few arguments.
void sort_arguments(const Signature& signature, PyObject* const* args, std::size_t n, PyObject* keywords,
                    std::span<py::handle> values);

// The arguments of one call in the order of `names`; the handle of an argument that was not given is empty.
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

// The C++ object of `self`. The method descriptor has already checked its class.
template <class C>
C& object_of(PyObject* self) {
  const auto* instance = reinterpret_cast<py::detail::instance*>(self);
  if (instance->simple_layout && instance->simple_value_holder[0] != nullptr)
    return *static_cast<C*>(instance->simple_value_holder[0]);
  return py::handle(self).cast<C&>();
}

// object_of depends on the private layout of pybind11's objects. This checks once, at import, that it gives the same
// result as a cast.
template <class C>
void require_known_layout(const py::object& made) {
  if (&object_of<C>(made.ptr()) != &made.cast<C&>())
    throw py::import_error("[fastnn] this pybind11 has another layout of objects; expected that of pybind11 3");
}

// Runs `body`, which returns a new reference. Exceptions become Python's, as in a function of pybind11.
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
