// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/lent_views.h"

#include <algorithm>

namespace fastnn::bindings {

void LentViews::add(const py::array& view) {
  if (views_.size() >= room_) {
    std::erase_if(views_, [](const py::weakref& ref) { return ref().is_none(); });
    room_ = std::max<std::size_t>(16, 2 * views_.size());
  }
  views_.emplace_back(py::handle(view));
}

// Clears the flag itself instead of calling setflags, which could later refuse to set it again: it asks whether the
// array's base is writeable.
LentViews::Lock::Lock(const LentViews& views) {
  locked_.reserve(views.views_.size());
  for (const auto& ref : views.views_)
    if (const py::object view = ref(); !view.is_none() && py::reinterpret_borrow<py::array>(view).writeable())
      locked_.push_back(py::reinterpret_borrow<py::array>(view));
  for (const auto& view : locked_)
    py::detail::array_proxy(view.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
}

LentViews::Lock::~Lock() {
  for (const auto& view : locked_)
    py::detail::array_proxy(view.ptr())->flags |= py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
}

}  // namespace fastnn::bindings
