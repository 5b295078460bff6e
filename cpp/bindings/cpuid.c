/* The module fastnn._core._cpuid: which instruction-set levels this processor can run. It is written in C, without NumPy
 * or Eigen, and compiled for the oldest processor, so that it can be loaded before a level is chosen.
 * SPDX-License-Identifier: BSD-3-Clause */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#if defined(__x86_64__)
/* In both cases the support code of the compiler also checks whether the operating system saves the wide registers. */
#if !defined(__clang__) && __GNUC__ >= 12
static int runs_v2(void) { return __builtin_cpu_supports("x86-64-v2"); }
static int runs_v3(void) { return __builtin_cpu_supports("x86-64-v3"); }
static int runs_v4(void) { return __builtin_cpu_supports("x86-64-v4"); }
#else /* clang before 19 does not know the levels by name, so the features that define them are checked */
static int runs_v2(void) {
  return __builtin_cpu_supports("sse3") && __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1") &&
         __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static int runs_v3(void) {
  return runs_v2() && __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}

static int runs_v4(void) {
  return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

static PyObject* levels(PyObject* self, PyObject* unused) {
  (void)self;
  (void)unused;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (runs_v4()) return Py_BuildValue("(ssss)", "v4", "v3", "v2", "base");
  if (runs_v3()) return Py_BuildValue("(sss)", "v3", "v2", "base");
  if (runs_v2()) return Py_BuildValue("(ss)", "v2", "base");
#endif
  return Py_BuildValue("(s)", "base");
}

static PyMethodDef methods[] = {
    {"levels", levels, METH_NOARGS, "levels() -> tuple of the levels that this processor can run, best first."},
    {NULL, NULL, 0, NULL},
};

static int fill(PyObject* module) { return PyModule_AddStringConstant(module, "version", FASTNN_VERSION); }

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void*)fill},
#if PY_VERSION_HEX >= 0x030c0000 /* this module has no state; the core itself refuses sub-interpreters */
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030d0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "_cpuid",
    .m_doc = "Which instruction-set levels this processor can run.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__cpuid(void) { return PyModuleDef_Init(&module); }
