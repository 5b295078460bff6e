// The contract of input preparation, which is applied to the caller's rows before the first layer and is not trained.
// Operations on single columns are done while rows are gathered.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/registry.h"
#include "core/types.h"
#include "kernels/gather.h"

namespace fastnn::inputs {

// The settings of a member by name: each is one number, or one number per column.
using Settings = std::map<std::string, std::vector<double>>;

template <class T>
class Input {
 public:
  virtual ~Input() = default;
  Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Changes all settings that the registry row names. If it throws std::invalid_argument, nothing has changed.
  virtual void change(const Settings& settings) { (void)settings; }
  // Whether with these settings zeros of X are zeros after scaling, so that stored cells alone have to be read.
  virtual bool keeps_zeros(const Settings& settings) const {
    (void)settings;
    return true;
  }
  // Whether rows can be prepared: false before a member has learned what it needs from training rows.
  virtual bool ready() const { return true; }
  // The scaling that gather applies to each column.
  virtual kernels::Scaling<T> scaling() const { return {}; }
  // Replaces one row of the gradient of the prepared rows by the gradient of the caller's row.
  virtual void backward(T* dx, Index columns) const noexcept { (void)dx, (void)columns; }
};

template <class T>
using Make = std::unique_ptr<Input<T>> (*)(Index columns, const Settings& settings);

struct Row : fastnn::Row {
  std::span<const char* const> settings;  // the names of the settings
  bool scales;                            // it has a scaling(), of which a network takes at most one
  bool flattens;                          // the caller's rows may have several dimensions
  bool numbered;                          // it counts in the keys of the layers after it, as in torch
  Make<float> make_f32;
  Make<double> make_f64;

  template <class T>
  Make<T> make() const {
    return of_type<T>(make_f32, make_f64);
  }
};

// The list of all input preparation (registry.cpp).
Registry<Row> registry();

}  // namespace fastnn::inputs
