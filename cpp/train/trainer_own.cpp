// Training steps with a loss that the caller computes: a forward pass, the caller's loss and gradient, and the rest of
// the step. The two passes are plans of their own, so that the caller is asked outside of parallel regions.
// SPDX-License-Identifier: BSD-3-Clause
#include <cmath>

#include "core/float_mode.h"
#include "train/refuse.h"
#include "train/trainer.h"

namespace fastnn::train {

template <class T>
typename Trainer<T>::OwnPlans Trainer<T>::own_plans(Index rows, Index last, const kernels::Source& x) {
  Goal rest = training_goal(rows, Gradient::kStored, x);
  rest.forward = false;
  // Of the same form, so that both halves have the same tiles, by whose rows the cells of sparse rows are sorted.
  const Goal forward{.gradient = Gradient::kNone, .update = false, .form = rest.form, .row_cells = rest.row_cells};
  OwnPlans plans{};
  plans.forward = plans.short_forward = &plans_.get(net_, rows, forward);
  plans.rest = plans.short_rest = &plans_.get(net_, rows, rest);
  if (last == 0) return plans;
  plans.short_forward = &plans_.get(net_, last, forward);
  plans.short_rest = &plans_.get(net_, last, rest);
  return plans;
}

template <class T>
Verdict Trainer<T>::own_step(Engine<T>& run, const OwnPlans& plans, OwnLoss& loss, int n_threads, parallel::Poll poll) {
  run.progress.draw = 0;  // an update takes the masks of the first draw, and so must its forward pass
  run.use(plans.forward, plans.short_forward);
  const Verdict verdict = run.run(1, n_threads, poll);
  if (verdict != Verdict::kGood) return verdict;
  const Matrix<T> out = workspace_->output(), dout = workspace_->dout();
  double value = 0;
  try {
    const std::int64_t* order = run.order() ? run.order() + run.batch_first() : nullptr;
    value = loss.compute({order, run.batch_first(), out.rows}, out.data, dout.data, out.cols, out.stride);
  } catch (...) {
    restore();  // the forward pass has taken statistics of a batch that is not trained on
    throw;
  }
  run.again(value);
  if (!std::isfinite(value)) return Verdict::kLossNotFinite;
  run.use(plans.rest, plans.short_rest);
  return run.run(1, n_threads, {});  // no stop in between: statistics of the forward pass have been taken
}

template <class T>
double Trainer<T>::train_step_own(const Data& data, Index rows, OwnLoss& loss, int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  begin_step();
  plans_.clear();
  const OwnPlans plans = own_plans(rows, 0, data.x);
  Workspace<T>& ws = workspace(rows, false, plans.rest->goal.row_cells == 0);
  need_cells(ws, *plans.rest, *plans.rest, data.x, rows);
  if (plans.rest->goal.form == Form::kMaterialised) gradients();
  ws.need_tiles(static_cast<Index>(plans.rest->tiles.size()));
  Engine<T> run = engine(ws, false);
  run.feed(data, nullptr, rows, rows);
  const int n = n_threads > 0 ? n_threads : 1;
  ws.need_threads(n, plans.rest->tile_size);
  snapshot();
  const Verdict verdict = own_step(run, plans, loss, n, poll);
  keep(run);
  if (verdict != Verdict::kGood) {
    restore();
    raise("train_step", verdict, run, data, nullptr, "");
  }
  compiled_->clock.position.rows += rows;
  return run.last_loss();
}

template Trainer<float>::OwnPlans Trainer<float>::own_plans(Index, Index, const kernels::Source&);
template Trainer<double>::OwnPlans Trainer<double>::own_plans(Index, Index, const kernels::Source&);
template Verdict Trainer<float>::own_step(Engine<float>&, const OwnPlans&, OwnLoss&, int, parallel::Poll);
template Verdict Trainer<double>::own_step(Engine<double>&, const OwnPlans&, OwnLoss&, int, parallel::Poll);
template double Trainer<float>::train_step_own(const Data&, Index, OwnLoss&, int, parallel::Poll);
template double Trainer<double>::train_step_own(const Data&, Index, OwnLoss&, int, parallel::Poll);

}  // namespace fastnn::train
