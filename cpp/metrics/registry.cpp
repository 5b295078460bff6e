// The one list of metrics that are sums over rows.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "metrics/absolute_error.h"
#include "metrics/confusion.h"
#include "metrics/log_loss.h"
#include "metrics/metric.h"
#include "metrics/relative_error.h"
#include "metrics/squared_error.h"
#include "metrics/target_spread.h"
#include "metrics/top_k.h"

namespace fastnn::metrics {

namespace {
constexpr Row kRows[] = {
    entry<AbsoluteError>("absolute_error", "MAE", "|prediction - target| of each output"),
    entry<SquaredError>("squared_error", "MSE", "(prediction - target)^2 of each output"),
    entry<RelativeError>("relative_error", "MAPE", "|prediction - target| / |target| of each output"),
    entry<TargetSpread>("target_spread", "R2",
                        "(target - mean)^2 of each output; their mean, from the smallest one on, and range"),
    entry<Confusion>("confusion", "ConfusionCounts", "of each class: true, predicted, both; rows with one of these"),
    entry<TopK>("top_k", "TopK", "whether the class is among the k largest outputs"),
    entry<LogLoss>("log_loss", "LogLoss", "-log(probability of the class)"),
};
}  // namespace

Registry<Row> registry() { return {"metric", kRows}; }

Chosen::Chosen(const Kind& kind, std::span<const Given> members) : kind_(kind) {
  for (const auto& [row, values] : members) {
    require(row->defined(kind), "[compile] ", row->name, " is not defined for ", kind.loss, " on ", kind.columns,
            " outputs");
    parts_.push_back({row, values, size_, row->size(kind)});
    size_ += parts_.back().size;
    see_predictions_ = see_predictions_ || row->sees_predictions;
  }
}

template <class T>
void Chosen::sum(const Rows<T>& rows, bool predictions, double* sums) const noexcept {
  for (const Part& part : parts_) {
    if (part.row->sees_predictions != predictions) continue;
    std::fill_n(sums + part.first, part.size, 0.0);
    part.row->add<T>()(part.values, kind_, rows, sums + part.first);
  }
}

void Chosen::join(double* sums, double own, const double* others, double its) const noexcept {
  for (const Part& part : parts_) part.row->join(kind_, sums + part.first, own, others + part.first, its);
}

template void Chosen::sum(const Rows<float>&, bool, double*) const noexcept;
template void Chosen::sum(const Rows<double>&, bool, double*) const noexcept;

}  // namespace fastnn::metrics
