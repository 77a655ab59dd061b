// Package sites_test checks what hosts and routes serve: files, proxies, caches and programs.
package sites_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
