//go:build library

package main

import "C"
import "runtime"

// fapws_main is main in the form of a library (package process). fapws_main runs on the main thread and stays there: a
// locked goroutine starts no thread that would inherit privileges of the main thread.
//
//export fapws_main
func fapws_main() {
	runtime.LockOSThread()
	main()
}
