// SPDX-License-Identifier: BSD-3-Clause
#include "core/row.h"

#include <algorithm>

#include "core/check.h"

namespace fastnn {

std::string permitted(const Field& field) {
  if (field.kind == Kind::kFlag) return "True or False";
  const std::string range = field.range.text();
  const char* number = field.kind == Kind::kCount ? "a whole number" : "a finite number";
  const std::string one = range.empty() ? number : std::string(number) + ", " + range;
  return field.kind == Kind::kReals ? "a list of finite numbers" + (range.empty() ? "" : ", each " + range) : one;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const Field* find(Fields fields, std::string_view name) {
  for (const Field& field : fields)
    if (name == field.name) return &field;
  return nullptr;
}

void set(const std::string& where, Fields fields, Values& values, std::string_view name, Number number) {
  const Field* field = find(fields, name);
  if (field == nullptr) {
    std::vector<std::string> known;
    for (const Field& each : fields) known.emplace_back(each.name);
    require(false, where, " has no parameter '", name, "'; known: ", join(known));
  }
  // The condition stands outside of require(), which makes its text in any case.
  if (field->kind == Kind::kReals) require(false, where, " ", name, " is a number; expected ", permitted(*field));
  if (!field->permits(number))
    require(false, where, " ", name, " = ", field->range.shown(number.real), "; expected ", permitted(*field));
  field->set(values, number);
}

void set_list(const std::string& where, const Field& field, Values& values, std::span<const double> numbers) {
  require(!numbers.empty() || field.standard_list.empty(), where, " ", field.name, " is empty; expected ",
          permitted(field));
  for (const double number : numbers)
    require(field.permits(number), where, " ", field.name, " has ", field.range.shown(number), "; expected ",
            permitted(field));
  field.set_list(values, numbers);
}

const Field* first_not_above(Fields fields, const Values& values) {
  for (const Field& field : fields)
    if (field.above != nullptr && !(field.get(values).real > find(fields, field.above)->get(values).real))
      return &field;
  return nullptr;
}

void check_together(const std::string& where, Fields fields, const Values& values) {
  const Field* field = first_not_above(fields, values);
  if (field == nullptr) return;
  require(false, where, " ", field->name, " = ", field->get(values).real, "; expected above ", field->above,
          ", which is ", find(fields, field->above)->get(values).real);
}

bool same(Fields fields, const Values& a, const Values& b) {
  for (const Field& field : fields)
    if (field.kind == Kind::kReals ? !std::ranges::equal(field.get_list(a).all(), field.get_list(b).all())
                                   : !(field.get(a) == field.get(b)))
      return false;
  return true;
}

}  // namespace fastnn
