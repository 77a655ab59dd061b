package worker

import (
	"fmt"
	"testing"
)

// TestProxies: single addresses are networks of their own, and IPv4 in IPv6 is IPv4.
func TestProxies(t *testing.T) {
	for list, want := range map[string]string{
		"unix":                "[] true",
		"*":                   "[0.0.0.0/0 ::/0] true",
		"10.1.2.3":            "[10.1.2.3/32] false",
		"10.1.2.3/8":          "[10.0.0.0/8] false",
		"::1":                 "[::1/128] false",
		"2001:db8::7/32":      "[2001:db8::/32] false",
		"::ffff:10.0.0.1":     "[10.0.0.1/32] false",
		"::ffff:10.0.0.1/104": "[10.0.0.0/8] false",
	} {
		networks, unix := proxies([]string{list})
		if got := fmt.Sprint(networks, unix); got != want {
			t.Errorf("%s: %s, want %s", list, got, want)
		}
	}
}
