package main

import (
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestStolenTimeCountsOnlyOnProcessorsOfServerAndClient(t *testing.T) {
	server, client := serverCPU, clientCPU
	defer func() { serverCPU, clientCPU = server, client }()
	serverCPU, clientCPU = 1, 3
	const stat = "cpu  9 0 9 9 0 0 0 999 0 0\ncpu0 1 0 1 1 0 0 0 400 0 0\ncpu1 1 0 1 1 0 0 0 7 0 0\ncpu3 1 0 1 1 0 0 " +
		"0 20 0 0\nintr 1 2 3\n"
	checktest.Equalf(t, stolen(stat), 270*time.Millisecond, "stolen")
}
