package static

import (
	"strings"
	"testing"
)

func TestChooseCoding(t *testing.T) {
	names := map[string]coding{"-": identity, "gzip": gzipped, "br": brotli}
	for _, c := range []struct {
		accept string // fields, separated by "|"
		has    string
		want   string
	}{
		{"gzip", "gzip br", "gzip"},
		{"br", "gzip br", "br"},
		{"gzip, deflate, br, zstd", "gzip br", "br"},
		{"br, gzip", "gzip br", "br"},
		{"gzip, br", "gzip", "gzip"},
		{"gzip, br", "", "-"},
		{"deflate", "gzip br", "-"},
		{"", "gzip br", "-"},
		{"gzip;q=0", "gzip br", "-"},
		{"gzip;q=0.000, br;q=0", "gzip br", "-"},
		{"br;q=0, gzip", "gzip br", "gzip"},
		{"br;q=0.5, gzip;q=0.8", "gzip br", "gzip"},
		{"br;q=0.801, gzip;q=0.8", "gzip br", "br"},
		{"gzip;q=0.001", "gzip br", "gzip"},
		{"*", "gzip br", "br"},
		{"*", "gzip", "gzip"},
		{"*;q=0", "gzip br", "-"},
		{"br;q=0, *", "gzip br", "gzip"},
		{"gzip, *;q=0", "gzip br", "gzip"},
		{"identity", "gzip br", "-"},
		{"identity, gzip", "gzip br", "gzip"},
		{"identity;q=0.5, gzip;q=0.4", "gzip br", "-"},
		{"identity;q=0.5, gzip;q=0.6", "gzip br", "gzip"},
		{"identity;q=0, gzip;q=0.1", "gzip br", "gzip"},
		{"identity;q=0, *;q=0", "gzip br", "-"}, // nothing pleases: the original
		{"GZIP", "gzip br", "gzip"},
		{"x-gzip", "gzip br", "gzip"},
		{"gzip ; Q=0", "gzip br", "-"},
		{" gzip\t;\tq=0.5 , ,", "gzip br", "gzip"},
		{"gzip;x=y;q=0", "gzip br", "-"},
		{"gzip;q=2", "gzip br", "-"},
		{"gzip;q=1.0001", "gzip br", "-"},
		{"gzip;q=-1", "gzip br", "-"},
		{"gzip;q=", "gzip br", "-"},
		{"gzip;q=0,5", "gzip br", "-"},
		{"gzip;q=1.", "gzip br", "gzip"},
		{"gzip;q=1.5", "gzip", "gzip"},
		{"gzipped, brotli", "gzip br", "-"},
		{"deflate|gzip", "gzip br", "gzip"},
		{"gzip;q=0.5|br;q=0.1", "gzip br", "gzip"},
	} {
		var fields []string
		for value := range strings.SplitSeq(c.accept, "|") {
			fields = append(fields, "Accept-Encoding: "+value)
		}
		var has [codings]bool
		has[identity] = true
		for name := range strings.FieldsSeq(c.has) {
			has[names[name]] = true
		}
		if got := chooseCoding(request(t, "", "GET", "/", fields...), &has); got != names[c.want] {
			t.Errorf("%q with %q: %v", c.accept, c.has, got)
		}
	}
	has := [codings]bool{true, true, true}
	if got := chooseCoding(request(t, "", "GET", "/"), &has); got != identity {
		t.Errorf("without the field: %v", got)
	}
}
