// Gate: who may use a model now. Any number of readers (predict, evaluate) or one writer (fit, train_step, load); who
// does not get in is refused, never kept waiting. A writer may open a window in which readers come in (callbacks), and
// one change of settings at a time.
// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace fastnn::trainer {

struct Busy : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Gate {
 public:
  class Writer {
   public:
    Writer(Gate& gate, const char* what) : gate_(gate) {
      unsigned seen = 0;
      if (gate.state_.compare_exchange_strong(seen, kWriting)) return;
      if (seen & kWriting) refuse(what, "the model is being trained by another call; wait for it to return");
      refuse(what, "another thread predicts or evaluates with this model; wait for it");
    }
    ~Writer() { gate_.state_.fetch_and(~(kWriting | kOpen)); }
    Writer(const Writer&) = delete;

   private:
    Gate& gate_;
  };

  // A writer of a moment that waits for the readers inside and keeps new ones out: they would come without end where a
  // program predicts all the time. Made without the GIL, which they may need to leave.
  class PatientWriter {
   public:
    PatientWriter(Gate& gate, const char* what) : gate_(gate) {
      unsigned seen = gate.state_.load();
      do {
        if (seen & (kWriting | kChanging))
          refuse(what, "the model is being trained by another call; wait for it to return");
      } while (!gate.state_.compare_exchange_weak(seen, seen | kWriting));
      while ((seen = gate.state_.load()) != kWriting) gate.state_.wait(seen);
    }
    ~PatientWriter() { gate_.state_.fetch_and(~kWriting); }
    PatientWriter(const PatientWriter&) = delete;

   private:
    Gate& gate_;
  };

  class Reader {
   public:
    Reader(Gate& gate, const char* what) : gate_(gate) {
      unsigned seen = gate.state_.load();
      do {
        if ((seen & (kWriting | kOpen)) == kWriting || (seen & kChanging))
          refuse(what, "the model is being trained by another call; wait for it to return");
      } while (!gate.state_.compare_exchange_weak(seen, seen + 1));
    }
    ~Reader() {
      if (gate_.state_.fetch_sub(1) == kWriting + 1) gate_.state_.notify_all();  // a closing window waits for the last
    }
    Reader(const Reader&) = delete;

   private:
    Gate& gate_;
  };

  // A change of settings: alone with the model, or alone in a writer's window.
  class Change {
   public:
    Change(Gate& gate, const char* what) : gate_(gate) {
      unsigned seen = 0;
      if (gate.state_.compare_exchange_strong(seen, kChanging)) return;
      seen = kWriting | kOpen;
      if (gate.state_.compare_exchange_strong(seen, kWriting | kOpen | kChanging)) return;
      if ((seen & (kWriting | kOpen)) == kWriting)
        refuse(what, "the model is being trained by another call; wait for it to return, or for the end of an epoch");
      refuse(what, "another thread predicts or evaluates with this model; wait for it");
    }
    ~Change() {
      gate_.state_.fetch_and(~kChanging);
      gate_.state_.notify_all();  // a closing window waits
    }
    Change(const Change&) = delete;

   private:
    Gate& gate_;
  };

  // The writer's window. close_window waits for the readers inside: call it without the GIL.
  void open_window() { state_.fetch_or(kOpen); }
  void close_window() {
    unsigned seen = state_.fetch_and(~kOpen) & ~kOpen;
    while (seen != kWriting) {
      state_.wait(seen);
      seen = state_.load();
    }
  }
  bool writing() const { return (state_.load() & kWriting) != 0; }

 private:
  [[noreturn]] static void refuse(const char* what, const char* why) {
    throw Busy(std::string("[") + what + "] " + why);
  }

  // One word, so that nobody waits for a mutex: three flags above the number of readers.
  static constexpr unsigned kWriting = 1U << 31, kOpen = 1U << 30, kChanging = 1U << 29;
  std::atomic<unsigned> state_{0};
};

}  // namespace fastnn::trainer
