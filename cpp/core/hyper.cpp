// SPDX-License-Identifier: BSD-3-Clause
#include "core/hyper.h"

#include <cmath>
#include <sstream>
#include <stdexcept>

namespace fastnn {

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

HyperValues resolve(const std::string& where, std::span<const Hyper> table, const HyperGiven& given) {
  HyperValues values;
  for (const auto& row : table) values.push_back(row.value);
  for (const auto& [name, value] : given) {
    std::size_t k = 0;
    while (k < table.size() && name != table[k].name) ++k;
    if (k == table.size()) {
      std::vector<std::string> known;
      for (const auto& row : table) known.emplace_back(row.name);
      throw std::invalid_argument(where + " has no parameter '" + name + "'; known: " + join(known));
    }
    if (!(value >= table[k].lowest && value <= table[k].highest) || std::isinf(value)) {
      std::ostringstream text;
      text << where << " " << name << " = " << value << " is outside [" << table[k].lowest << ", " << table[k].highest
           << "]";
      throw std::invalid_argument(text.str());
    }
    if (table[k].kind == HyperKind::kCount && value != std::floor(value)) {
      std::ostringstream text;
      text << where << " " << name << " = " << value << "; expected a whole number";
      throw std::invalid_argument(text.str());
    }
    values[k] = value;
  }
  return values;
}

}  // namespace fastnn
