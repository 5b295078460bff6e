// The list of all input preparation.
// SPDX-License-Identifier: BSD-3-Clause
#include "inputs/flatten.h"
#include "inputs/input.h"
#include "inputs/rescale.h"
#include "inputs/standardize.h"

namespace fastnn::inputs {

namespace {

template <class T, template <class> class I>
std::unique_ptr<Input<T>> make(Index columns, const Settings& settings) {
  return std::make_unique<I<T>>(columns, settings);
}

template <template <class> class I>
constexpr Row entry(const char* name, const char* class_name, const char* formula) {
  return {row_of<NoParams>(name, class_name, formula),
          I<float>::kSettings,
          I<float>::kScales,
          I<float>::kFlattens,
          I<float>::kNumbered,
          make<float, I>,
          make<double, I>};
}

constexpr Row kRows[] = {
    entry<Rescale>("rescale", "Rescale", "x * scale + shift, a number or one per column, while rows are gathered"),
    entry<Standardize>("standardize", "Standardize", "(x - mean) / scale by column, learned from the training rows"),
    entry<Flatten>("flatten", "Flatten", "(n, d1, d2, ...) to (n, d1 d2 ...), while rows are gathered"),
};

}  // namespace

Registry<Row> registry() { return {"input preparation", kRows}; }

}  // namespace fastnn::inputs
