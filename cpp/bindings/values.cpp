// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/values.h"

#include <cmath>
#include <string_view>
#include <vector>

#include "bindings/numpy_view.h"
#include "core/check.h"

namespace fastnn::bindings {

namespace {

// The fields that make up the pair called `name`, in their order.
std::vector<const Field*> pair_of(Fields fields, std::string_view name) {
  std::vector<const Field*> parts;
  for (const Field& field : fields)
    if (field.pair != nullptr && name == field.pair) parts.push_back(&field);
  return parts;
}

// Reads a Python integer; false if `object` is not one, is negative or has more than 64 bits.
bool whole_number(PyObject* object, Number& number) {
  if (!PyIndex_Check(object)) return false;
  const auto exact = py::reinterpret_steal<py::object>(PyNumber_Index(object));
  const std::uint64_t value = exact ? PyLong_AsUnsignedLongLong(exact.ptr()) : 0;
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    return false;
  }
  number = Number::count(value);
  return true;
}

Number number_of(const std::string& where, const std::string& name, const Field* field, const py::handle& value) {
  if (py::isinstance<py::str>(value)) {
    const std::string word = py::str(value);
    if (field == nullptr) return {};  // an unknown name, for which set() throws the error
    std::vector<std::string> known;
    for (const char* choice : field->choices)
      if (choice != nullptr) known.emplace_back(choice);
    const int choice = field->choice(word);
    require(choice >= 0, where, " ", name, " = '", word, "'; known: ", known.empty() ? "a number" : join(known));
    return Number(choice);
  }
  Number number;
  if (whole_number(value.ptr(), number)) return number;
  if (field != nullptr && field->kind == Kind::kCount) {
    const std::string text = where + " " + name + " is " + std::string(py::repr(value)) + "; expected ";
    if (PyIndex_Check(value.ptr())) require(false, text, permitted(*field));  // below 0, or of more than 64 bits
    throw py::type_error(text + permitted(*field));
  }
  try {
    return Number(value.cast<double>());
  } catch (const py::cast_error&) {
    throw py::type_error(where + " " + name + " is a " + type_name(value) + "; expected a number");
  }
}

// The numbers of a Python list or tuple.
std::vector<double> numbers_of(const std::string& where, const Field& field, const py::handle& value) {
  std::vector<double> numbers;
  if (value.is_none()) return numbers;
  if (!py::isinstance<py::list>(value) && !py::isinstance<py::tuple>(value))
    throw py::type_error(where + " " + field.name + " is a " + type_name(value) + "; expected " + permitted(field));
  for (const py::handle each : value) {
    if (PyBool_Check(each.ptr()) || (!PyFloat_Check(each.ptr()) && !PyIndex_Check(each.ptr())))
      throw py::type_error(where + " " + field.name + " has a " + type_name(each) + "; expected " + permitted(field));
    numbers.push_back(each.cast<double>());
  }
  return numbers;
}

// number_of() for the types that arguments usually have; false for other types and for numbers that are not permitted.
bool plain_number(const Field& field, PyObject* object, Number& number) {
  if (field.kind == Kind::kFlag) {
    number = Number(object == Py_True ? 1 : 0);
    return PyBool_Check(object);
  }
  if (field.kind == Kind::kChoice) {
    const char* word = PyUnicode_CheckExact(object) ? PyUnicode_AsUTF8(object) : nullptr;
    PyErr_Clear();
    if (word == nullptr || field.choice(word) < 0) return false;
    number = Number(field.choice(word));
    return true;
  }
  if (PyLong_CheckExact(object)) {
    if (!whole_number(object, number)) return false;
  } else if (PyFloat_Check(object) && field.kind == Kind::kReal) {
    number = Number(PyFloat_AS_DOUBLE(object));
  } else {
    return false;
  }
  return field.permits(number);
}

bool plain_value(const Field& field, PyObject* object, Values& values) {
  if (field.kind == Kind::kReals) {
    if (!PyList_CheckExact(object) && !PyTuple_CheckExact(object)) return false;
    const Py_ssize_t count = PySequence_Fast_GET_SIZE(object);
    std::vector<double> numbers;
    for (Py_ssize_t i = 0; i < count; ++i) {
      PyObject* each = PySequence_Fast_GET_ITEM(object, i);
      if (!PyFloat_CheckExact(each) || !field.permits(PyFloat_AS_DOUBLE(each))) return false;
      numbers.push_back(PyFloat_AS_DOUBLE(each));
    }
    if (numbers.empty()) return false;
    field.set_list(values, numbers);
    return true;
  }
  Number number;
  if (!plain_number(field, object, number)) return false;
  field.set(values, number);
  return true;
}

}  // namespace

Values changed(const std::string& where, Fields fields, Values values, const py::dict& given) {
  for (const auto& [key, value] : given) {
    const std::string name = py::str(key);
    const Field* field = find(fields, name);
    if (field != nullptr && plain_value(*field, value.ptr(), values)) continue;
    // None stands for "no limit", which is infinity and the default.
    if (field != nullptr && field->kind == Kind::kReals) {
      set_list(where, *field, values, numbers_of(where, *field, value));
      continue;
    }
    if (value.is_none() && field != nullptr && std::isinf(field->standard.real)) continue;
    const auto parts = pair_of(fields, name);
    if (parts.empty()) {
      set(where, fields, values, name, number_of(where, name, field, value));
      continue;
    }
    const bool listed = py::isinstance<py::tuple>(value) || py::isinstance<py::list>(value);
    require(listed && py::len(value) == parts.size(), where, " ", name, " = ", std::string(py::repr(value)),
            "; expected ", parts.size(), " numbers");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto part = py::reinterpret_steal<py::object>(PySequence_GetItem(value.ptr(), static_cast<Py_ssize_t>(i)));
      if (!part) throw py::error_already_set();
      set(where, fields, values, parts[i]->name, number_of(where, parts[i]->name, parts[i], part));
    }
  }
  check_together(where, fields, values);
  return values;
}

Values values_of(const std::string& where, const Row& row, const py::dict& given) {
  for (const Field& field : row.params)
    if (field.is_required && !given.contains(field.name))  // first, because require() makes its text in any case
      require(false, where, " has no ", field.name, "; expected ", permitted(field));
  Values values = row.defaults();
  if (plain_values(row.params, given.ptr(), values)) return values;
  return changed(where, row.params, row.defaults(), given);  // with the reason if a value is not permitted
}

bool plain_values(Fields fields, PyObject* given, Values& values) {
  if (!PyDict_CheckExact(given)) return false;
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; PyDict_Next(given, &at, &key, &value) != 0;) {
    const char* name = PyUnicode_CheckExact(key) ? PyUnicode_AsUTF8(key) : nullptr;
    PyErr_Clear();
    if (name == nullptr) return false;
    if (const Field* field = find(fields, name)) {
      if (!plain_value(*field, value, values)) return false;
      continue;
    }
    const auto parts = pair_of(fields, name);
    if (parts.empty() || !PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != static_cast<Py_ssize_t>(parts.size()))
      return false;
    for (std::size_t i = 0; i < parts.size(); ++i)
      if (!plain_value(*parts[i], PyTuple_GET_ITEM(value, static_cast<Py_ssize_t>(i)), values)) return false;
  }
  return first_not_above(fields, values) == nullptr;
}

py::object python_list(std::span<const double> numbers) {
  if (numbers.empty()) return py::none();
  py::list list;
  for (const double number : numbers) list.append(number);
  return py::tuple(list);
}

py::object python_value(const Field& field, Number number) {
  switch (field.kind) {
    case Kind::kFlag:
      return py::bool_(number.real != 0);
    case Kind::kChoice:
      return py::str(field.choices[static_cast<std::size_t>(number.whole)]);
    case Kind::kCount:
      return py::int_(number.whole);
    case Kind::kReal:
    case Kind::kReals:
      break;
  }
  if (std::isinf(number.real)) return py::none();  // infinity stands for no limit, which is None in Python
  return py::float_(number.real);
}

}  // namespace fastnn::bindings
