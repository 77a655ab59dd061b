// Package process_test checks processes: workers, users, limits and logs, and how the server starts and stops.
package process_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
