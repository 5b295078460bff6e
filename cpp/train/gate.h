// Gate: a lock of a model for any number of readers (predict, evaluate) or one writer (fit, train_step, load). A call
// that does not get the lock is refused instead of waiting. During callbacks a writer opens a window, in which readers
// and one change of settings at a time are admitted.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "core/forks.h"
#include "core/refusal.h"

namespace fastnn::train {

struct Busy : Failure {
  using Failure::Failure;
};

class Gate {
 public:
  class Writer {
   public:
    Writer(Gate& gate, const char* what) : gate_(gate) {
      std::uint64_t seen = gate.here();
      if (flags(seen) != 0 || !gate.state_.compare_exchange_strong(seen, seen | kWriting)) gate.refuse(what, seen);
      gate.writer_.store(thread_number(), std::memory_order_relaxed);
    }
    ~Writer() {
      gate_.writer_.store(0, std::memory_order_relaxed);
      gate_.state_.fetch_and(~(kWriting | kOpen));
    }
    Writer(const Writer&) = delete;

   private:
    Gate& gate_;
  };

  // A writer for a short time, which waits for the present readers and refuses new ones: in a program that predicts all
  // the time there would never be a moment without readers. To be constructed without the GIL, which the readers may
  // need in order to finish.
  class PatientWriter {
   public:
    PatientWriter(Gate& gate, const char* what) : gate_(gate) {
      std::uint64_t seen = gate.here();
      do {
        if (seen & (kWriting | kChanging)) gate.refuse(what, seen);
      } while (!gate.state_.compare_exchange_weak(seen, seen | kWriting));
      gate.writer_.store(thread_number(), std::memory_order_relaxed);
      while (flags(seen = gate.here()) != kWriting) gate.state_.wait(seen);
    }
    ~PatientWriter() {
      gate_.writer_.store(0, std::memory_order_relaxed);
      gate_.state_.fetch_and(~kWriting);
    }
    PatientWriter(const PatientWriter&) = delete;

   private:
    Gate& gate_;
  };

  class Reader {
   public:
    Reader(Gate& gate, const char* what) : gate_(gate), forks_(forks()) {
      std::uint64_t seen = gate.here();
      do {
        if ((seen & (kWriting | kOpen)) == kWriting || (seen & kChanging)) gate.refuse(what, seen);
      } while (!gate.state_.compare_exchange_weak(seen, seen + 1));
    }
    ~Reader() {
      if (forks_ != forks()) return;  // the process forked meanwhile: a child does not count its parent's readers
      if (flags(gate_.state_.fetch_sub(1)) == kWriting + 1) gate_.state_.notify_all();  // close_window may be waiting
    }
    Reader(const Reader&) = delete;

   private:
    Gate& gate_;
    const std::uint32_t forks_;
  };

  // A change of settings: the only user of the model, or the only one in a writer's window.
  class Change {
   public:
    Change(Gate& gate, const char* what) : gate_(gate) {
      std::uint64_t seen = gate.here();
      const bool alone = flags(seen) == 0 || flags(seen) == (kWriting | kOpen);
      if (!alone || !gate.state_.compare_exchange_strong(seen, seen | kChanging))
        gate.refuse(what, seen, ", or for the end of an epoch");
    }
    ~Change() {
      gate_.state_.fetch_and(~kChanging);
      gate_.state_.notify_all();  // close_window may be waiting
    }
    Change(const Change&) = delete;

   private:
    Gate& gate_;
  };

  // Opens and closes the writer's window. close_window waits for the readers in it, so call it without the GIL.
  void open_window() { state_.fetch_or(kOpen); }
  void close_window() {
    here();  // in a forked child: removes the readers of other threads, which do not exist there
    std::uint64_t seen = state_.fetch_and(~kOpen) & ~kOpen;
    while (flags(seen) != kWriting) {
      state_.wait(seen);
      seen = state_.load();
    }
  }
  // Refuses while there is a writer, even in its window.
  void expect_idle(const char* what) {
    if (const std::uint64_t seen = here(); seen & kWriting) refuse(what, seen);
  }
  bool writing() { return (here() & kWriting) != 0; }

 private:
  // The state is one atomic word, so that no mutex is needed: the number of forks when it was written, three flags, and
  // the number of readers.
  static constexpr std::uint64_t kWriting = 1U << 31, kOpen = 1U << 30, kChanging = 1U << 29;
  static std::uint64_t flags(std::uint64_t word) { return word & 0xFFFFFFFF; }
  static std::uint32_t made_in(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }

  // The word as it is in this process. In a forked child the readers of other threads do not exist. Neither does the
  // writer, unless it is the thread that forked; if it is gone, the word stays as it is, and the model remains refused.
  std::uint64_t here() {
    std::uint64_t seen = state_.load();
    while (made_in(seen) != forks()) {
      const bool goes_on = outlived_forks(writer_.load(std::memory_order_relaxed), made_in(seen));
      if ((seen & kWriting) && !goes_on) break;
      const std::uint64_t now = static_cast<std::uint64_t>(forks()) << 32 | (seen & (kWriting | kOpen));
      if (state_.compare_exchange_weak(seen, now)) return now;
    }
    return seen;
  }

  [[noreturn]] void refuse(const char* what, std::uint64_t seen, const char* or_else = "") const {
    std::string why = "another thread predicts or evaluates with this model; wait for it";
    if ((seen & kWriting) && made_in(seen) != forks())
      why =
          "this process was forked while another thread trained the model: that call goes on in the parent, and the "
          "values here may be half a step further; make a model anew and load a state_dict() saved before the fork";
    else if (seen & kWriting)
      why = std::string("the model is being trained by another call; wait for it to return") + or_else;
    else if (seen & kChanging)
      why = "another thread changes a setting of this model; wait for it";
    throw Busy(what, why);
  }

  std::atomic<std::uint64_t> state_{0};
  std::atomic<std::uint64_t> writer_{0};  // thread_number() of the writer
};

}  // namespace fastnn::train
