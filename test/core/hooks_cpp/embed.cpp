// Calls a descriptor script as RTAB-Map does: in an embedded interpreter, by the script's name
// from its folder, init(dim) from the first thread, extract(image) from another, with the image's
// own memory as signed bytes of three dimensions. Prints what comes back.
//   embed SCRIPT.py DIM CHANNELS WIDTH HEIGHT VALUE...   (VALUEs repeat to fill the image)

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION
#include <numpy/arrayobject.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

PyObject* load(const std::string& script, int dim) {
  const auto slash = script.rfind('/');
  PyRun_SimpleString("import sys");
  PyRun_SimpleString(("sys.path.append('" + script.substr(0, slash) + "')").c_str());
  const std::string file = script.substr(slash + 1);
  PyObject* name = PyUnicode_FromString(file.substr(0, file.find('.')).c_str());
  PyObject* module = PyImport_Import(name);
  Py_DECREF(name);
  if (!module) return nullptr;
  PyObject* init = PyObject_GetAttrString(module, "init");
  PyObject* result = init ? PyObject_CallFunction(init, "i", dim) : nullptr;
  if (!result) {
    std::puts("init raised");
    return nullptr;
  }
  return PyObject_GetAttrString(module, "extract");
}

int extract(PyObject* function, std::vector<unsigned char>& image, npy_intp* shape) {
  const std::vector<unsigned char> before = image;
  PyObject* argument = PyArray_SimpleNewFromData(3, shape, NPY_BYTE, image.data());
  PyObject* returned = PyObject_CallFunctionObjArgs(function, argument, nullptr);
  Py_DECREF(argument);
  if (!returned) {
    std::puts("extract raised");
    PyErr_Print();
    return 3;
  }
  if (!PyArray_Check(returned)) return 4;
  auto* array = reinterpret_cast<PyArrayObject*>(returned);
  if (PyArray_NDIM(array) != 2 || PyArray_TYPE(array) != NPY_FLOAT) return 5;
  if (!PyArray_IS_C_CONTIGUOUS(array)) return 6;
  const auto rows = PyArray_SHAPE(array)[0], size = PyArray_SHAPE(array)[1];
  const auto* values = static_cast<const float*>(PyArray_DATA(array));
  double sum = 0;
  for (npy_intp i = 0; i < size; ++i) sum += double(values[i]) * values[i];
  std::printf("%ld x %ld, length %.5f, first %.6f\n", long(rows), long(size), std::sqrt(sum), values[0]);
  std::puts(image == before ? "image untouched" : "image changed");
  Py_DECREF(returned);
  return 0;
}

}  // namespace

int main(int, char** argv) {
  Py_Initialize();
  if (_import_array() < 0) return 1;
  PyObject* function = load(argv[1], std::atoi(argv[2]));
  if (!function) {
    PyErr_Print();
    return 2;
  }
  npy_intp shape[3] = {std::atol(argv[5]), std::atol(argv[4]), std::atol(argv[3])};
  std::vector<unsigned char> image(std::size_t(shape[0] * shape[1] * shape[2]));
  std::vector<unsigned char> pattern;
  for (char** value = argv + 6; *value; ++value) pattern.push_back(static_cast<unsigned char>(std::atoi(*value)));
  for (std::size_t i = 0; i < image.size(); ++i) image[i] = pattern[i % pattern.size()];
  PyThreadState* state = PyEval_SaveThread();
  int code = 0;
  std::thread other([&] {
    const PyGILState_STATE lock = PyGILState_Ensure();
    code = extract(function, image, shape);
    PyGILState_Release(lock);
  });
  other.join();
  PyEval_RestoreThread(state);
  std::fflush(stdout);
  std::_Exit(code);  // RTAB-Map ends without taking its interpreter down, too
}
