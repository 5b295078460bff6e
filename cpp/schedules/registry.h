// The registry of schedules as other rooms see it: for each a registry row with names, parameters and the learning rate
// at a moment of the training. This header has no vector types, so that the bindings can include it.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>
#include <limits>

#include "core/registry.h"
#include "core/types.h"

namespace fastnn::schedules {

// A length that is not given, None in Python: that of the present fit.
inline constexpr double kWholeFit = std::numeric_limits<double>::infinity();

// What has happened since the schedule began. It is saved with the model.
struct Position {
  std::int64_t steps = 0;   // updates
  std::int64_t epochs = 0;  // whole epochs of fit
  std::int64_t rows = 0;    // rows trained on, those of a fit from the end of their epoch on
  // What a schedule remembers of the losses of epochs:
  double best = std::numeric_limits<double>::infinity();  // the smallest one so far
  std::int64_t waited = 0;                                // epochs without an improvement
  std::int64_t reduced = 0;                               // how often the rate was reduced
};

// The moment of the next update.
struct Clock {
  Position position;
  // The running fit, all zero outside of one: its epochs with those before initial_epoch, the updates of an epoch, the
  // present epoch, and the updates in it so far.
  struct Fit {
    std::int64_t epochs = 0, epoch_steps = 0, epoch = 0, step = 0;
  } fit;
};

struct Row : fastnn::Row {
  // The learning rate at this moment of a parameter whose rate without schedule is `base`.
  double (*rate)(const Values& values, double base, const Clock& clock);
  // Whether the schedule sets the momentum of all parameters, too, and that momentum.
  bool (*cycles_momentum)(const Values& values);
  double (*momentum)(const Values& values, const Clock& clock);
  bool (*needs_fit)(const Values& values);    // whether its length is that of a fit, so that it has none outside of one
  bool (*needs_steps)(const Values& values);  // whether that length is a number of steps
  void (*epoch_end)(const Values& values, Position& position, double loss);  // with the training loss of the epoch
};

Registry<Row> registry();

}  // namespace fastnn::schedules
