//go:build library

package main

import "C"

// fapws_main is main in the form of a library (package process). It is called on the main thread, on which its goroutine stays.
//
//export fapws_main
func fapws_main() { main() }
