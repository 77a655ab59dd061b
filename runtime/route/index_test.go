package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

// A table finds the same mounts, in the same order, as a comparison of the path with each mount in turn.
func TestIndexFindsMountsInTheirOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		return "/" + strings.Join(slices.Repeat([]string{"a", "b", "/", "a/", "ab", ""}[random.IntN(6):][:1],
			random.IntN(4)), "") + []string{"", "a", "b", "/", "a.p", "b/a.p/"}[random.IntN(6)]
	}
	maybe := func(value string) string {
		if random.IntN(3) > 0 {
			return ""
		}
		return value
	}
	pattern := func() string {
		return []string{"*.p", "a*", "*", "*b*", "a.p", "[ab].p", `\a?p`, "a*b", "?", "*[.]p", "b"}[random.IntN(11)]
	}
	found := 0
	for range 2000 {
		mounts := make([]Mount, 1+random.IntN(30))
		for i := range mounts {
			m := &mounts[i]
			m.Prefix, m.Within, m.Having, m.Match = text(), maybe(text()), maybe(pattern()), maybe(pattern())
			m.Inner, m.Plain, m.Optional = random.IntN(2) == 0, random.IntN(4) == 0, true
			if random.IntN(6) == 0 {
				m.Prefix = ""
			}
			if random.IntN(3) == 0 {
				m.Except = []string{text(), text()}
			}
		}
		table := checktest.Try(New([]Site{{Mounts: mounts}})).Must(t)
		for range 20 {
			r, ok := parse("GET " + text() + text() + " HTTP/1.0")
			if !ok {
				continue
			}
			peer := *r.Client
			peer.HTTPS = random.IntN(2) == 0
			r.Client = &peer
			var d Decision
			table.Decide(&d, r)
			for i := range mounts {
				m := &mounts[i]
				path := string(d.Path)
				if !strings.HasPrefix(path, m.Prefix) || !strings.HasPrefix(path, m.Within) || m.Plain && peer.HTTPS {
					continue
				}
				script, fits := (&compiled{Mount: *m}).fits(d.Path)
				if !fits {
					continue
				}
				checktest.Needf(t, d.Outcome == NeedsLookup && d.Mount == i && d.Script == script, "%q: mount %d, want %d of %+v",
					path, d.Mount, i, mounts)
				found++
				d.Skip()
			}
			checktest.Needf(t, d.Outcome == Refused && d.Mount < 0, "%q: mount %d, want none of %+v", d.Path, d.Mount, mounts)
		}
	}
	checktest.Truef(t, found > 10_000, "%d mounts", found)
}

// The time for a request does not depend on the number of routes and hosts, nor on the place of its route.
func TestTimeOfADecisionDoesNotDependOnTheNumberOfRoutes(t *testing.T) {
	taken := func(n int, match string) (least int64) {
		sites := make([]Site, n)
		for i := range sites {
			sites[i] = Site{Names: []string{fmt.Sprintf("host%d.example", i)}, Mounts: []Mount{{Prefix: "/"}}}
		}
		last := &sites[n-1]
		last.Mounts = nil
		for i := range n {
			m := Mount{Prefix: fmt.Sprintf("/route/%d/", i)}
			if match != "page" {
				m = Mount{Prefix: "/route/", Match: fmt.Sprintf(match, i), Inner: i%2 == 0}
			}
			last.Mounts = append(last.Mounts, m)
		}
		last.Mounts = append(last.Mounts, Mount{Prefix: "/"})
		table := checktest.Try(New(sites)).Must(t)
		page := strings.NewReplacer("*", "x", "%d", fmt.Sprint(n-1)).Replace(match)
		r, _ := parse(fmt.Sprintf("GET /route/%d/%s HTTP/1.1\r\nHost: host%d.example", n-1, page, n-1))
		var d Decision
		for range 3 {
			spent := checktest.ProcessorTime(t, func() {
				for range 50_000 {
					table.Decide(&d, r)
				}
			})
			checktest.Needf(t, d.Site == n-1 && d.Mount == n-1, "site %d, mount %d", d.Site, d.Mount)
			if least == 0 || int64(spent) < least {
				least = int64(spent)
			}
		}
		return max(least, int64(time.Millisecond)) // the kernel may count in ticks
	}
	for _, match := range []string{"page", "*.%d", "page%d-*"} {
		few, many := taken(10, match), taken(10_000, match)
		checktest.Truef(t, many < 20*few, "%s: %d ns for the last of 10,000 routes, %d ns for the last of 10", match,
			many/50_000, few/50_000)
	}
}

func TestLiteralTextsOfAPattern(t *testing.T) {
	for pattern, want := range map[string][2]string{
		"*.php": {"", ".php"}, "a*b": {"a", "b"}, "name": {"name", "name"}, "*": {}, "": {}, "a[b*c]d": {"a", "d"},
		`a\*b`: {"a*b", "a*b"}, `[\]]x`: {"", "x"}, "?x?": {}, `a*\?`: {"a", "?"},
	} {
		begin, end := literals(pattern)
		checktest.Equalf(t, [2]string{begin, end}, want, "%s", pattern)
	}
	set := NewPatterns([]string{"*.php", "wp-*", "*.min.*", "README"})
	for name, want := range map[string]bool{"a.php": true, "wp-x": true, "a.min.js": true, "README": true, "READ": false,
		"a.phpx": false, "wp": false, "": false} {
		checktest.Equalf(t, set.Fit(name), want, "%q", name)
	}
	checktest.Truef(t, !(*Patterns)(nil).Fit("a"), "no set")
}
