// Package tls_test checks HTTPS: certificates, their renewal, redirects to it, sessions that go on.
package tls_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
