package fapwstest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/runtime/waittest"
	"fapws/runtime/websocket/wstest"
)

func Equal[T comparable](t *testing.T, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("got %.500q, want %.500q", fmt.Sprint(got), fmt.Sprint(want))
	}
}

// Has fails unless text contains each part.
func Has(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %.4000s", part, text)
		}
	}
}

func Lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("%q is in %.4000s", part, text)
		}
	}
}

// Matches fails unless each pattern has a match in text.
func Matches(t *testing.T, text string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("no %s in %.4000s", pattern, text)
		}
	}
}

// Patience limits how long a test waits for an event that should come at once.
var Patience = waittest.Patience

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
	n, err := strconv.Atoi(text)
	Must(t, err)
	return n
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
