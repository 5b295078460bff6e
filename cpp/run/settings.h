// The settings of compile and of fit, and the position of a schedule, which a saved model has: registry rows, whose
// parameters are the settings. A new setting is a field
// here and the place that reads it: the bindings convert whatever the tables have, and Python checks by them.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "core/parallel.h"
#include "core/registry.h"
#include "core/types.h"
#include "schedules/registry.h"

namespace fastnn::run {

// A limit that is not set; None in Python.
inline constexpr double kNoLimit = std::numeric_limits<double>::infinity();

struct CompileSettings {
  double max_grad_norm = kNoLimit, max_grad_value = kNoLimit;
  bool penalty_in_loss = false;
  Index accumulate = 1;

  bool accumulates() const { return accumulate > 1; }
  bool clips_values() const { return max_grad_value < kNoLimit; }
};
struct Compile {
  using Params = CompileSettings;
  static constexpr std::array kFields{
      field<&Params::max_grad_norm>("max_grad_norm", above(0), "clip the gradients of each step to this common norm"),
      field<&Params::max_grad_value>("max_grad_value", above(0), "clip each entry of the gradients to this size"),
      field<&Params::penalty_in_loss>("penalty_in_loss", "report losses of training with the optimizer's penalties"),
      field<&Params::accumulate>("accumulate", at_least(1), "update once for so many batches, as for one of all rows"),
  };
};

struct FitSettings {
  Index batch_size = 32, epochs = 1, initial_epoch = 0, epochs_seen = 0;
  bool shuffle = true, drop_last = false;
  std::uint64_t seed = 0;
  bool metrics = false, restores = true;
  int n_threads = 0;

  // The number by which the order of the rows in `epoch` is drawn: epochs are counted over all fits of a model.
  std::uint64_t order_of(Index epoch) const {
    return static_cast<std::uint64_t>(std::max(initial_epoch, epochs_seen)) +
           static_cast<std::uint64_t>(epoch - initial_epoch);
  }
};
struct Fit {
  using Params = FitSettings;
  static constexpr std::array kFields{
      field<&Params::batch_size>("batch_size", at_least(1), "rows a step"),
      field<&Params::epochs>("epochs", at_least(1), "number of the last epoch, counted from 1, as in Keras"),
      field<&Params::initial_epoch>("initial_epoch", "number of the first epoch, counted from 0"),
      field<&Params::epochs_seen>("epochs_seen",
                                  "epochs of earlier fits, whose orders of the rows are not drawn again"),
      field<&Params::shuffle>("shuffle", "another order of rows in every epoch"),
      field<&Params::drop_last>("drop_last", "leave out a last batch that is not full"),
      field<&Params::seed>("seed", "what the orders of rows are drawn from"),
      field<&Params::metrics>("metrics", "accuracy beside the loss"),
      field<&Params::restores>("restores",
                               "return to the last good epoch when one fails, for which each begins with a "
                               "copy; without it, the model is of no use then"),
      field<&Params::n_threads>("n_threads", within(0, parallel::kMaxThreads), "0: chosen by measuring"),
  };
};

// When a fit ends by itself, as those of scikit-learn's perceptrons do: its loss has not been smaller than the smallest
// one by `tol` for more than so many epochs in a row.
struct Standstill {
  double tol = 1e-4, best = kNoLimit;
  Index epochs = 10, waited = 0;

  // Takes the loss of an epoch into account; returns whether it is the last one.
  bool ends(double loss) {
    waited = loss > best - tol ? waited + 1 : 0;
    best = loss < best ? loss : best;
    return waited > epochs;
  }
};
struct StandstillRow {
  using Params = Standstill;
  static constexpr std::array kFields{
      field<&Params::tol>("tol", at_least(0), "by how much the loss of an epoch has to be smaller than the best"),
      field<&Params::epochs>("epochs", at_least(1), "how many in a row may be without that"),
      field<&Params::best>("best", "the smallest loss before the fit"),
      field<&Params::waited>("waited", at_least(0), "epochs without an improvement before the fit"),
  };
};

struct SchedulePosition {
  using Params = schedules::Position;
  static constexpr std::array kFields{
      field<&Params::steps>("steps", "updates"),
      field<&Params::epochs>("epochs", "whole epochs of fit"),
      field<&Params::rows>("rows", "rows trained on, those of a fit from the end of their epoch on"),
      field<&Params::best>("best", "the smallest training loss of an epoch"),
      field<&Params::waited>("waited", "epochs without a smaller one"),
      field<&Params::reduced>("reduced", "how often the rate was reduced"),
  };
};

Registry<Row> settings();

}  // namespace fastnn::run
