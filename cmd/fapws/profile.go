//go:build profile

package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
)

// init records a CPU profile in the file that CPUPROFILE names, until the process receives SIGIO. ./build.sh profile
// makes default.pgo from these profiles. Executables for users do not contain this file.
func init() {
	name := os.Getenv("CPUPROFILE")
	if name == "" {
		return
	}
	file, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGIO)
	go func() {
		<-end
		pprof.StopCPUProfile()
		file.Close()
		fmt.Fprintln(os.Stderr, "profile written")
	}()
}
