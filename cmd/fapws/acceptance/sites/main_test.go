// Package sites_test checks files, routes, proxies, caches and programs of hosts.
package sites_test

import (
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestMain(m *testing.M) { fapwstest.Main(m) }
