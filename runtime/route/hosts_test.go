package route

import (
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestHostsSelectTheirSite(t *testing.T) {
	names := [][]string{
		{"default.example"},
		{"example.org", "[2001:db8::1]", "192.0.2.1"},
		{"*.example.org"},
		{"*.deep.example.org"},
		{"www.example.*"},
		{"Exact.Example.ORG."},
	}
	var sites []Site
	for _, n := range names {
		sites = append(sites, Site{Names: n})
	}
	h := checktest.Try(newHosts(sites)).Must(t)
	for host, want := range map[string]int{
		"example.org":                     1,
		"EXAMPLE.org:8080":                1,
		"example.org.":                    1,
		"example.org.:80":                 1,
		"[2001:DB8:0::1]:80":              1,
		"[2001:db8::2]":                   -1,
		"192.0.2.1:80":                    1,
		"a.example.org":                   2,
		"a.b.example.org":                 2,
		"deep.example.org":                2,
		"x.deep.example.org":              3,
		"www.example.org":                 2, // *.example.org precedes www.example.*, as in nginx
		"www.example.net":                 4,
		"www.example.co.uk:80":            4,
		"www.example":                     -1,
		"exact.example.org":               5,
		"notexample.org":                  -1,
		".example.org":                    -1,
		"":                                -1,
		strings.Repeat("a.", 200) + "org": -1,
	} {
		checktest.Equalf(t, h.find([]byte(host)), want, "%q: site", host)
	}
	host := []byte("A.B.Example.org:8080")
	checktest.Equalf(t, testing.AllocsPerRun(100, func() { h.find(host) }), 0, "allocations")
}

func TestInvalidHostNamesAreRejected(t *testing.T) {
	for _, test := range []struct {
		names [][]string
		want  string
	}{
		{[][]string{{"a.example", "b.example"}, {"B.example"}}, `the host "B.example" belongs to two sites`},
		{[][]string{{"*.example"}, {"*.example."}}, "belongs to two sites"},
		{[][]string{{"a:80"}}, "not the name of a host"},
		{[][]string{{"a.*.b"}}, "not the name of a host"},
		{[][]string{{"*"}}, "not the name of a host"},
		{[][]string{{"*.[::1]"}}, "not the name of a host"},
		{[][]string{{""}}, "not the name of a host"},
		{[][]string{{"a b"}}, "not the name of a host"},
		{[][]string{{"a"}, {}}, "site 2 of 2 has no name"},
	} {
		var sites []Site
		for _, n := range test.names {
			sites = append(sites, Site{Names: n})
		}
		_, err := newHosts(sites)
		checktest.Truef(t, err != nil && strings.Contains(err.Error(), test.want) && !strings.Contains(err.Error(), "\n"),
			"%q: %v, want %s", test.names, err, test.want)
	}
	h, err := newHosts([]Site{{Names: []string{"a"}}})
	checktest.Truef(t, h == nil && err == nil, "one site: %v, %v: there is nothing to choose", h, err)
}

func FuzzHosts(f *testing.F) {
	sites := []Site{{Names: []string{"a.example"}}, {Names: []string{"*.b.example", "c.example.*"}}}
	h := checktest.Try(newHosts(sites)).Must(f)
	for _, host := range []string{"a.example", "A.EXAMPLE.:80", "x.b.example", "[::1]:80", "..", "c.example.", "[", "]:"} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name := string(NormalHost(nil, []byte(host)))
		switch h.find([]byte(host)) {
		case 0:
			checktest.Equalf(t, name, "a.example", "%q is taken for a.example", host)
		case 1:
			checktest.Truef(t, strings.HasSuffix(name, ".b.example") || strings.HasPrefix(name, "c.example."),
				"%q is taken for another host", host)
		}
	})
}
