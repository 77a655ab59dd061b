// Package cli_test checks the behaviour of flags, configuration files and commands.
package cli_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
