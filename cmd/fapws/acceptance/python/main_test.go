// Package python_test checks what scripts, WSGI and ASGI applications are promised.
package python_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
