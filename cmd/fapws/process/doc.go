// Package process knows in which of two forms the program runs, and how the program starts itself again: no other package looks at
// os.Args[0], os.Executable or /proc/self/exe.
//
// As an executable (executable.go), which build.sh makes, the program has Python linked into it. As a library (library.go, build tag
// library), which the wheel of pip has, the program runs in the Python that has installed it: `python -m fapws` (contrib/fapws/__main__.py)
// starts that Python again with the library preloaded, which puts its own main in the place of Python's (preload.c). So Python itself is
// the libpython, of the same build as the extension modules that it has installed, and everything else is as in the executable:
// this program initializes Python, on the main thread, when and how it needs to.
//
// An extension module, which a Python that runs already would import, is the other way. Handlers then run two frames deeper, inline loses
// Python's main thread to the importing script, signals arrive at handlers of Python first, and a supervisor has a Python in memory
// that it never uses.
package process
