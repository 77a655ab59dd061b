//go:build library

package main

import "C"
import "runtime"

// fapws_main is the main function if the program is a library (package process). fapws_main runs on the main thread and
// stays there. Its goroutine is locked to the thread. Otherwise Go could start a new thread from the main thread, and
// the new thread would inherit the privileges of the main thread.
//
//export fapws_main
func fapws_main() {
	runtime.LockOSThread()
	main()
}
