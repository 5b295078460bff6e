// Training steps with a loss that the caller computes: a forward pass, the caller's loss and gradient, and the rest of
// the step. The two passes are plans of their own, so that the caller is asked outside of parallel regions.
// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/float_mode.h"
#include "train/refuse.h"
#include "train/trainer.h"

namespace fastnn::train {

template <class T>
typename Trainer<T>::OwnPlans Trainer<T>::own_plans(Goal rest, Index rows, Index last, bool guard) {
  rest.gradient = Gradient::kStored, rest.forward = false, rest.guard = guard;
  // Of the same form, so that both halves have the same tiles, by whose rows the cells of sparse rows are sorted.
  const Goal forward{.gradient = Gradient::kNone, .update = false, .form = rest.form, .row_cells = rest.row_cells};
  plans_.make_room(4);
  OwnPlans plans{};
  plans.forward = plans.short_forward = &plans_.get(net_, rows, forward);
  plans.rest = plans.short_rest = &plans_.get(net_, rows, rest);
  if (last == 0) return plans;
  plans.short_forward = &plans_.get(net_, last, forward);
  plans.short_rest = &plans_.get(net_, last, rest);
  return plans;
}

template <class T>
Verdict Trainer<T>::own_forward(Engine<T>& run, const OwnPlans& plans, int n_threads, parallel::Poll poll) {
  run.progress.draw = 0;  // an update takes the masks of the first draw, and so must its forward pass
  run.use(plans.forward, plans.short_forward);
  return run.run(1, n_threads, poll);
}

template <class T>
Verdict Trainer<T>::own_step(Engine<T>& run, const OwnPlans& plans, OwnLoss& loss, int n_threads, parallel::Poll poll) {
  const Verdict verdict = own_forward(run, plans, n_threads, poll);
  if (verdict != Verdict::kGood) return verdict;
  const Matrix<T> out = workspace_->output(), dout = workspace_->dout();
  const std::int64_t* order = run.order() ? run.order() + run.batch_first() : nullptr;
  double value = 0;
  try {
    value = loss.compute({order, run.batch_first(), out.rows}, out.data, dout.data, out.cols, out.stride);
  } catch (...) {
    if (!plans.rest->goal.guard) restore();  // the forward pass has taken statistics of a batch that is not trained on
    throw;
  }
  run.again(value);
  if (!std::isfinite(value)) return Verdict::kLossNotFinite;
  if (plans.rest->goal.guard) own_dout_.assign(dout.data, dout.row(dout.rows));
  run.use(plans.rest, plans.short_rest);
  return run.run(1, n_threads, {});  // no stop in between: statistics of the forward pass have been taken
}

// The update may overflow: the step is done again with a copy of the model. The loss is not computed again.
template <class T>
Verdict Trainer<T>::own_step_again(Engine<T>& run, const OwnPlans& plans, int n_threads) {
  const double value = run.last_loss();
  snapshot();
  run.rewind();
  const Verdict verdict = own_forward(run, plans, n_threads, {});
  if (verdict != Verdict::kGood) return verdict;
  std::copy(own_dout_.begin(), own_dout_.end(), workspace_->dout().data);
  run.again(value);
  run.use(plans.rest, plans.short_rest);
  return run.run(1, n_threads, {});
}

template <class T>
double Trainer<T>::train_step_own(const Data& data, Index rows, OwnLoss& loss, int n_threads, parallel::Poll poll) {
  const FloatMode mode;
  begin_step();
  const Goal goal = training_goal(rows, Gradient::kStored, data.x);
  // As in one_batch. The forward pass takes statistics, and the loss may raise an exception after it, so a model that
  // has statistics is copied before.
  bool guarded = may_overflow(goal) || copy_is_small(rows, goal.row_cells) || net_.has_statistics();
  if (guarded) snapshot();
  const OwnPlans plans = own_plans(goal, rows, 0, !guarded);
  Workspace<T>& ws = workspace(rows, false, goal.row_cells == 0);
  need_cells(ws, *plans.rest, *plans.rest, data.x, rows);
  if (goal.form == Form::kMaterialised) gradients();
  ws.need_tiles(static_cast<Index>(plans.rest->tiles.size()));
  Engine<T> run = engine(ws, false);
  run.feed(data, nullptr, rows, rows);
  const double flops = plans.forward->flops + plans.rest->flops;
  Tuner* tuner = n_threads <= 0 && !Tuner::too_small(flops) ? &tuners_.of(flops) : nullptr;
  int n = n_threads;
  if (n <= 0) n = tuner ? tuner->pick(limits_.available(), flops) : 1;
  ws.need_threads(n, *plans.rest);
  const auto start = tuner ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point{};
  Verdict verdict = own_step(run, plans, loss, n, poll);
  if (tuner) tuner->record(1, run::seconds_since(start));
  if (verdict == Verdict::kMayOverflow) {
    guarded = true;
    verdict = own_step_again(run, own_plans(goal, rows, 0, false), n);
  }
  if (verdict != Verdict::kGood) {
    if (guarded) restore();
    raise("train_step", verdict, run, data, nullptr, "");
  }
  keep(run);
  compiled_->clock.position.rows += rows;
  return run.last_loss();
}

template Trainer<float>::OwnPlans Trainer<float>::own_plans(Goal, Index, Index, bool);
template Trainer<double>::OwnPlans Trainer<double>::own_plans(Goal, Index, Index, bool);
template Verdict Trainer<float>::own_step(Engine<float>&, const OwnPlans&, OwnLoss&, int, parallel::Poll);
template Verdict Trainer<double>::own_step(Engine<double>&, const OwnPlans&, OwnLoss&, int, parallel::Poll);
template double Trainer<float>::train_step_own(const Data&, Index, OwnLoss&, int, parallel::Poll);
template double Trainer<double>::train_step_own(const Data&, Index, OwnLoss&, int, parallel::Poll);

}  // namespace fastnn::train
