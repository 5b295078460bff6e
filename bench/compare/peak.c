// SPDX-License-Identifier: BSD-3-Clause
// Prints how many floating-point operations per second THREADS threads reach with fused multiply-adds in registers (two
// operations each):
//   cc -O3 -march=native -ffp-contract=fast -pthread [-DREAL=double] peak.c -o peak && ./peak THREADS SECONDS
// It is compiled on the machine that is measured (peak.py) and is not part of the engine.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifndef REAL
#define REAL float
#endif
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
// The latency of fma times the number of units is 8 to 10 on current processors. 12 chains and two constants fit into 16
// registers, provided that each is a variable of its own: compilers would keep an array in memory.
#define CHAINS 12
#define EACH(F) F(a) F(b) F(c) F(d) F(e) F(f) F(g) F(h) F(i) F(j) F(k) F(l)
#define START(s) \
  Vec s = term;  \
  __asm__("" : "+x"(s));  // hides the value from the compiler, which would otherwise merge equal chains
#define STEP(s) s = s * factor + term;
#define ADD(s) factor += s;
#define INNER 20000

typedef REAL Vec __attribute__((vector_size(BYTES)));
typedef struct {
  double seconds, operations, elapsed;
  REAL out;
} Work;

static pthread_barrier_t start;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void* run(void* argument) {
  Work* work = argument;
  Vec factor, term;
  for (unsigned lane = 0; lane < sizeof(Vec) / sizeof(REAL); lane++) {
    factor[lane] = (REAL)0.999;
    term[lane] = (REAL)0.001;
  }
  EACH(START)
  pthread_barrier_wait(&start);
  double begin = now(), blocks = 0;
  do {
    for (int turn = 0; turn < INNER; turn++) {
      EACH(STEP)
    }
    blocks++;
  } while (now() - begin < work->seconds);
  work->elapsed = now() - begin;
  work->operations = blocks * INNER * CHAINS * 2.0 * (sizeof(Vec) / sizeof(REAL));
  EACH(ADD)
  work->out = factor[0];
  return NULL;
}

int main(int argc, char** argv) {
  int n = argc > 1 ? atoi(argv[1]) : 1;
  if (n < 1) return 2;
  Work* work = calloc((size_t)n, sizeof(Work));
  pthread_t* threads = calloc((size_t)n, sizeof(pthread_t));
  pthread_barrier_init(&start, NULL, (unsigned)n);
  for (int i = 0; i < n; i++) {
    work[i].seconds = argc > 2 ? atof(argv[2]) : 0.1;
    if (pthread_create(&threads[i], NULL, run, &work[i])) return 1;
  }
  double rate = 0;
  volatile REAL sink = 0;
  for (int i = 0; i < n; i++) {
    pthread_join(threads[i], NULL);
    rate += work[i].operations / work[i].elapsed;
    sink += work[i].out;
  }
  printf("%.6g\n", rate);
  return 0;
}
