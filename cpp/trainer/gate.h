// Gate: who may use a model now. Any number of readers (predict, evaluate) or one writer (fit, train_step, load); who
// does not get in is refused, never kept waiting. A writer may open a window in which readers come in (callbacks).
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>

#include "core/isa.h"

namespace fastnn::inline FASTNN_ISA::trainer {

struct Busy : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Gate {
 public:
  class Writer {
   public:
    Writer(Gate& gate, const char* what) : gate_(gate) {
      const std::lock_guard lock(gate.mutex_);
      if (gate.writing_)
        throw Busy(std::string("[") + what + "] the model is being trained by another call; wait for it to return");
      if (gate.readers_ > 0)
        throw Busy(std::string("[") + what + "] another thread predicts or evaluates with this model; wait for it");
      gate.writing_ = true;
      gate.open_ = false;
    }
    ~Writer() {
      const std::lock_guard lock(gate_.mutex_);
      gate_.writing_ = false;
      gate_.open_ = false;
    }
    Writer(const Writer&) = delete;

   private:
    Gate& gate_;
  };

  class Reader {
   public:
    Reader(Gate& gate, const char* what) : gate_(gate) {
      const std::lock_guard lock(gate.mutex_);
      if (gate.writing_ && !gate.open_)
        throw Busy(std::string("[") + what + "] the model is being trained by another call; wait for it to return");
      ++gate.readers_;
    }
    ~Reader() {
      const std::lock_guard lock(gate_.mutex_);
      if (--gate_.readers_ == 0) gate_.drained_.notify_all();
    }
    Reader(const Reader&) = delete;

   private:
    Gate& gate_;
  };

  // The writer's window. close_window waits for the readers inside: call it without the GIL.
  void open_window() {
    const std::lock_guard lock(mutex_);
    open_ = true;
  }
  void close_window() {
    std::unique_lock lock(mutex_);
    open_ = false;
    drained_.wait(lock, [this] { return readers_ == 0; });
  }
  bool writing() {
    const std::lock_guard lock(mutex_);
    return writing_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable drained_;
  int readers_ = 0;
  bool writing_ = false, open_ = false;
};

}  // namespace fastnn::inline FASTNN_ISA::trainer
