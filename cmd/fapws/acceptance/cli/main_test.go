// Package cli_test checks flags, configuration files and commands where more than their text counts.
package cli_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
