package fapwstest

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"fapws/runtime/checktest"
	"fapws/runtime/websocket/wstest"
)

var (
	Must    = checktest.Must
	Mustf   = checktest.Mustf
	Truef   = checktest.Truef
	Needf   = checktest.Needf
	Has     = checktest.Has
	Lacks   = checktest.Lacks
	Matches = checktest.Matches
)

func Try[T any](value T, err error) checktest.Result[T] { return checktest.Try(value, err) }

func Equal[T any](t testing.TB, got, want T) {
	t.Helper()
	checktest.Equal(t, got, want)
}

func Equalf[T any](t testing.TB, got, want T, format string, args ...any) {
	t.Helper()
	checktest.Equalf(t, got, want, format, args...)
}

// Repeat calls make n times, and returns the results.
func Repeat[T any](n int, make func(i int) T) (items []T) {
	for i := range n {
		items = append(items, make(i))
	}
	return items
}

// AtOnce calls do n times at once, each time in a goroutine, and waits until all calls have returned.
func AtOnce(n int, do func(i int)) { InBackground(n, do)() }

// InBackground calls do n times at once, each time in a goroutine. wait returns when all calls have returned.
func InBackground(n int, do func(i int)) (wait func()) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	return all.Wait
}

// Patience limits how long a test waits for an event that should come at once.
var Patience = checktest.Patience

// On a busy machine, loading a script may take longer than the default of --load-timeout.
var serverPatience = []string{"FAPWS_LOAD_TIMEOUT=10m"}

// clientTimeouts are settings that end a request or a connection, with their defaults in seconds. In an emulator, or on
// a busy machine, correct tests could exceed the defaults.
var clientTimeouts = []struct {
	variable string
	seconds  int
}{
	{"FAPWS_START_WAIT", 30}, {"FAPWS_HEAD_TIMEOUT", 10}, {"FAPWS_BODY_TIMEOUT", 20}, {"FAPWS_WRITE_TIMEOUT", 60},
	{"FAPWS_GRACEFUL_TIMEOUT", 30}, {"FAPWS_WS_PING_TIMEOUT", 20},
}

// Amount returns the number in an environment variable, or fallback if the variable is not set.
func Amount(t *testing.T, variable string, fallback int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return fallback
	}
	return Try(strconv.Atoi(text)).Must(t)
}

// scalePatience multiplies the time limits of clients and servers by FAPWS_TEST_SLOWNESS. The variable contains the
// factor by which the server is slower than on an idle processor. The factor is higher if tests run in an emulator
// (`build.sh cross ARCH --test`).
func scalePatience() error {
	text := os.Getenv("FAPWS_TEST_SLOWNESS")
	if text == "" {
		return nil
	}
	factor, err := strconv.Atoi(text)
	if err != nil || factor < 1 {
		return fmt.Errorf("FAPWS_TEST_SLOWNESS=%s: expected a whole number of at least 1", text)
	}
	Patience *= time.Duration(factor)
	wstest.Patience *= time.Duration(factor)
	for _, t := range clientTimeouts {
		serverPatience = append(serverPatience, fmt.Sprintf("%s=%ds", t.variable, t.seconds*factor))
	}
	return nil
}
