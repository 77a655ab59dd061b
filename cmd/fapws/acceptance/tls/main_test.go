// Package tls_test checks HTTPS: certificates and their renewal, redirects from HTTP, and sessions.
package tls_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
