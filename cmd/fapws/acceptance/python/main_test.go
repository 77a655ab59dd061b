// Package python_test checks how the server runs scripts, WSGI applications and ASGI applications.
package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
