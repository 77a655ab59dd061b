package ssi

import "golang.org/x/sys/unix"

// rusageThread makes getrusage(2) count the calling thread only.
const rusageThread = unix.RUSAGE_THREAD
