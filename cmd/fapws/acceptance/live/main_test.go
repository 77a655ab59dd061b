// Package live_test checks the behaviour of channels and WebSockets that clients see, also during reloads.
package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
