// Package http_test checks connections, requests and responses as a client on the wire sees them.
package http_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
