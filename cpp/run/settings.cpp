// SPDX-License-Identifier: BSD-3-Clause
#include "run/settings.h"

namespace fastnn::run {

namespace {
constexpr Row kRows[] = {
    row_of<Compile>("compile", "Sequential.compile", "what compile settles beside loss and optimizer"),
    row_of<Fit>("fit", "Sequential.fit", "what fit settles beside its data"),
    row_of<StandstillRow>("standstill", "MLPClassifier.fit", "when a fit ends because its loss stands still"),
    row_of<SchedulePosition>("schedule", "Sequential.save", "what has happened since a schedule began"),
};
}  // namespace

Registry<Row> settings() { return {"call", kRows}; }

}  // namespace fastnn::run
