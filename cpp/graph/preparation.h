// All input preparation of a network, in order, with the functions that gather, the bindings and backward need.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "inputs/input.h"

namespace fastnn::graph {

template <class T>
class Preparation {
 public:
  void add(const inputs::Row& row, Index columns, const inputs::Settings& settings) {
    for (const Member& other : members_)
      require(!(row.scales && other.row->scales), "[", row.name, "] comes after ", other.row->class_name,
              "; expected one layer that scales the columns");
    std::string key = row.numbered ? std::to_string(numbered_++) : "input." + std::to_string(size() - numbered_);
    members_.push_back({&row, std::move(key), row.make<T>()(columns, settings)});
    update();
  }
  int size() const { return static_cast<int>(members_.size()); }
  // The number of those that are counted in the keys of layers, as in torch. The others are "input.0", "input.1", ...
  int numbered() const { return numbered_; }
  const std::string& key(int k) const { return members_[static_cast<std::size_t>(k)].key; }

  const kernels::Scaling<T>& scaling() const { return scaling_; }
  bool ready() const {
    return std::ranges::all_of(members_, [](const Member& m) { return m.input->ready(); });
  }
  bool flattens() const {
    for (const Member& member : members_)
      if (member.row->flattens) return true;
    return false;
  }
  void change(int k, const std::string& kind, const inputs::Settings& settings, bool sparse) {
    const Member& member = members_[static_cast<std::size_t>(k)];
    require(kind == member.row->name, "[Network] ", key(k), " is a ", member.row->name, ", not a ", kind);
    require(!sparse || member.input->keeps_zeros(settings), "[", kind,
            "] zeros of X would become other numbers, but the running fit reads only the stored cells of X; expected a "
            "shift of 0 until it ends");
    member.input->change(settings);
    update();
  }
  // raw (rows x columns, without gaps) = gradient of the rows as they came.
  void backward(ConstMatrix<T> prepared, T* raw) const noexcept {
    for (Index r = 0; r < prepared.rows; ++r) {
      T* to = raw + r * prepared.cols;
      std::copy_n(prepared.row(r), prepared.cols, to);
      for (auto member = members_.rbegin(); member != members_.rend(); ++member)
        member->input->backward(to, prepared.cols);
    }
  }

 private:
  struct Member {
    const inputs::Row* row;
    std::string key;
    std::unique_ptr<inputs::Input<T>> input;
  };
  void update() {
    for (const Member& member : members_)
      if (member.row->scales) scaling_ = member.input->scaling();
  }
  std::vector<Member> members_;
  int numbered_ = 0;
  kernels::Scaling<T> scaling_;
};

}  // namespace fastnn::graph
