package runtime

import (
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/sites"
	"fapws/runtime/source/cache"
)

// TestHitAllocatesNothing: a page costs the loop no garbage.
func TestHitAllocatesNothing(t *testing.T) {
	rule, err := cache.Compile(cache.Rule{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, patient(Config{CacheSize: 1 << 20}), &instant{body: []byte("page")}, sites.Mount{Prefix: "/", Cache: rule})
	c := s.dial(t)
	request := []byte("GET /page HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, 4096)
	round := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		round()
	}
	if n := testing.AllocsPerRun(2000, round); n > eventloop.BatchAllocations {
		t.Errorf("%v allocations for a hit", n)
	}
}
