// Package live_test checks channels and WebSockets with their clients, also during reloads.
package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
