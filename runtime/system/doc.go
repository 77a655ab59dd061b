// Package system contains system calls that several packages need: functions for open descriptors (descriptors.go), and
// functions that open files without following symbolic links that the application could have made (files.go). A Watched
// is a file that is read again after a change (watched.go).
//
// All functions are safe for concurrent use. No child process inherits the descriptors that they open.
//
// Applications may close descriptors that they did not open. Descriptors that must stay open therefore get high numbers
// (OpenHigh), and runtime.Server.Intact notices if one of them was closed.
package system
