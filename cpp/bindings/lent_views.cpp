// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/lent_views.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "core/types.h"

namespace fastnn::bindings {

void LentViews::add(const py::array& view) {
  if (views_.size() >= room_) {
    std::erase_if(views_, [](const py::weakref& ref) { return ref().is_none(); });
    room_ = std::max<std::size_t>(16, 2 * views_.size());
  }
  views_.emplace_back(py::handle(view));
}

std::vector<py::array> LentViews::held() const {
  std::vector<py::array> found;
  found.reserve(views_.size());
  for (const auto& ref : views_)
    if (const py::object view = ref(); !view.is_none()) found.push_back(py::reinterpret_borrow<py::array>(view));
  return found;
}

namespace {

// How many calls hold each array that they have made read-only. The lock is for interpreters with a GIL of their own.
std::mutex g_holders_mutex;
std::unordered_map<PyObject*, Index> g_holders;

int& flags_of(const py::array& array) { return py::detail::array_proxy(array.ptr())->flags; }

}  // namespace

// Clears the flag itself instead of calling setflags, which could later refuse to set it again: it asks whether the
// array's base is writeable.
ReadOnly::ReadOnly(std::vector<py::array> arrays) : locked_(std::move(arrays)) {
  const std::lock_guard lock(g_holders_mutex);
  std::erase_if(locked_, [](const py::array& array) { return !array.writeable() && !g_holders.contains(array.ptr()); });
  for (const auto& array : locked_) {
    ++g_holders[array.ptr()];
    flags_of(array) &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }
}

ReadOnly::~ReadOnly() {
  const std::lock_guard lock(g_holders_mutex);
  for (const auto& array : locked_) {
    const auto holders = g_holders.find(array.ptr());
    if (--holders->second > 0) continue;
    g_holders.erase(holders);
    flags_of(array) |= py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  }
}

}  // namespace fastnn::bindings
