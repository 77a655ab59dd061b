// Package python_test checks how scripts, WSGI and ASGI applications run.
package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
