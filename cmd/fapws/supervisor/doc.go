// Package supervisor is the process of a supervisor: it binds the addresses, gives up root,
// keeps workers with package pool, watches files for a reload, and tells the service manager
// and the control socket how all of them are. It knows the settings as flags, environment and
// configuration file have them, until the first worker reports those of the script. It starts no Python.
//
// Package command calls Run, on the main goroutine; the functions that it gives to package
// pool run on that goroutine, too.
package supervisor
