// Registry: the only list of a room's members, one registry row for each. Python's classes, functions, stubs, tables
// and tests are made from it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"
#include "core/row.h"

namespace fastnn {

template <class R>
class Registry {
 public:
  // what: "loss", for messages.
  constexpr Registry(const char* what, std::span<const R> rows) : what_(what), rows_(rows) {}

  auto begin() const { return rows_.begin(); }
  auto end() const { return rows_.end(); }
  // The registry row called `name`, or nullptr.
  const R* find(std::string_view name) const {
    for (const R& row : rows_)
      if (name == row.name) return &row;
    return nullptr;
  }
  // The registry row called `name`; throws std::invalid_argument, with a message that begins with `where` and lists the
  // known names.
  const R& at(std::string_view where, std::string_view name) const {
    const R* row = find(name);
    if (row == nullptr) require(false, where, " unknown ", what_, " '", name, "'; known: ", join(names()));
    return *row;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const R& row : rows_) all.emplace_back(row.name);
    return all;
  }

 private:
  const char* what_;
  std::span<const R> rows_;
};

}  // namespace fastnn
