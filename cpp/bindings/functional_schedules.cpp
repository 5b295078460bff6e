// Schedules as plain arrays: the learning rates, or momenta, of the first n steps.
// SPDX-License-Identifier: BSD-3-Clause
#include <pybind11/stl.h>

#include <algorithm>

#include "bindings/border.h"
#include "bindings/functional.h"
#include "bindings/values.h"
#include "core/check.h"
#include "schedules/registry.h"

namespace fastnn::bindings {

namespace {

// Step by step, as a fit of n steps in epochs of `epoch_steps` steps of `batch_size` rows computes them. losses: the
// training loss of each epoch; in epochs without one it stays as it is.
py::array schedule_values(const std::string& name, const py::dict& params, double base, Index n, Index epoch_steps,
                          Index batch_size, const std::vector<double>& losses, bool momentum) {
  const auto& row = schedules::registry().at("[schedule]", name);
  const Values values = values_of("[" + name + "]", row, params);
  require(n >= 0 && epoch_steps >= 1 && batch_size >= 1, "[schedule] n = ", n, ", steps_per_epoch = ", epoch_steps,
          ", batch_size = ", batch_size, "; expected numbers >= 0, 1, 1");
  require(!momentum || row.cycles_momentum(values), "[schedule] ", row.class_name, " does not change the momentum");
  py::array_t<double> found(n);
  schedules::Clock clock;
  clock.fit = {(n + epoch_steps - 1) / epoch_steps, epoch_steps, 0, 0};
  for (Index i = 0; i < n; ++i) {
    found.mutable_at(i) = momentum ? row.momentum(values, clock) : row.rate(values, base, clock);
    ++clock.position.steps;
    if (++clock.fit.step < epoch_steps) continue;
    const auto epoch = static_cast<std::size_t>(clock.fit.epoch++);
    clock.fit.step = 0;
    ++clock.position.epochs;
    clock.position.rows += epoch_steps * batch_size;
    if (!losses.empty()) row.epoch_end(values, clock.position, losses[std::min(epoch, losses.size() - 1)]);
  }
  return found;
}

}  // namespace

void register_functional_schedules(py::module_& m) {
  using py::arg;
  m.def("schedule_values", schedule_values, arg("name"), arg("params"), arg("base"), arg("n"), arg("epoch_steps") = 1,
        arg("batch_size") = 1, arg("losses") = py::list(), arg("momentum") = false,
        "The learning rates of n steps, or their momenta.");
}

}  // namespace fastnn::bindings
