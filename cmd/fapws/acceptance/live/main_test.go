// Package live_test checks channels, WebSockets and their subscribers, also through reloads.
package live_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
