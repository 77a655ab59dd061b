// Package python_test checks the promises to scripts, WSGI and ASGI applications.
package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
