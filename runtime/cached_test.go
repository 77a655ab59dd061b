package runtime

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fapws/runtime/eventloop"
	"fapws/runtime/exchange"
	"fapws/runtime/sites"
	"fapws/runtime/source/cache"
)

// cachedServer serves f with a rule for all pages.
func cachedServer(t testing.TB, cfg Config, rule cache.Rule, inline bool, f func(*call)) (*testServer, *testApp) {
	t.Helper()
	return cachedOn(t, cfg, rule, newApp(inline, f))
}

func cachedOn(t testing.TB, cfg Config, rule cache.Rule, a *testApp) (*testServer, *testApp) {
	t.Helper()
	c, err := cache.Compile(rule)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.CacheSize == 0 {
		cfg.CacheSize = 1 << 20
	}
	return serve(t, cfg, a, sites.Mount{Prefix: "/", Cache: c}), a
}

// answers returns the response of a client: Fapws-Cache, status and body.
func (s *testServer) answers(t testing.TB, method, target string, fields ...string) (said string, res *http.Response, body string) {
	t.Helper()
	c := s.dial(t)
	defer c.Close()
	return ask(t, c, method, target, fields...)
}

func ask(t testing.TB, c io.ReadWriter, method, target string, fields ...string) (said string, res *http.Response, body string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(fields, ""), "\r\n")); err != nil {
		t.Error(err)
		return
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Error(err)
		return "", &http.Response{Header: http.Header{}}, ""
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return strings.Join(res.Header["Fapws-Cache"], "+"), res, string(text)
}

// say answers with fields.
func (c *call) say(status int, body string, fields ...string) {
	c.part(exchange.Part{Last: true, File: -1, Body: []byte(body), Head: exchange.Head{
		Status: status, Length: int64(len(body)), Type: "text/html; charset=utf-8", Fields: []byte(strings.Join(append(fields, ""), "\r\n"))}})
}

// TestHitAllocatesNothing: a page costs the loop no garbage.
func TestHitAllocatesNothing(t *testing.T) {
	s, _ := cachedServer(t, Config{}, cache.Rule{TTL: time.Hour}, true, func(c *call) { c.reply(200, "page") })
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

// versioned is an application whose page has a version, and that answers 304 to clients that have it.
type versioned struct {
	version atomic.Int32
	whole   atomic.Int32 // answers with a body
	same    atomic.Int32 // answers 304
	control string
}

func (v *versioned) answer(c *call) {
	n := strconv.Itoa(int(v.version.Load()))
	tag := `"` + n + `"`
	fields := []string{"ETag: " + tag, "X-Version: " + n, "Cache-Control: " + v.control}
	if c.Fields["if-none-match"] == tag {
		v.same.Add(1)
		c.say(304, "", fields...)
		return
	}
	v.whole.Add(1)
	c.say(200, "version "+n, fields...)
}

// TestRevalidationIsNeverOld: no client gets a version of a page that says no-cache that was out of date before it
// asked, however many ask and whatever leaves meanwhile.
func TestRevalidationIsNeverOld(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		v := &versioned{control: "no-cache"}
		s, a := cachedServer(t, Config{CacheSize: 64 << 10}, cache.Rule{}, inline, v.answer)
		var wg sync.WaitGroup
		for client := range 8 {
			wg.Go(func() {
				for i := range 60 {
					switch {
					case client == 0:
						v.version.Add(1)
					case client == 1 && i%3 == 0:
						s.Purge(cache.Pattern{Path: "*"})
					case client == 2:
						c := s.dial(t)
						io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
						c.SetLinger(0)
						c.Close()
						continue
					}
					before := v.version.Load()
					said, res, body := s.answers(t, "GET", "/")
					n, err := strconv.Atoi(strings.TrimPrefix(body, "version "))
					if err != nil || int32(n) < before || res.Header.Get("X-Version") != strconv.Itoa(n) {
						t.Errorf("%s %d %q %v, when it was version %d", said, res.StatusCode, body, res.Header, before)
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "all is given back", a.idle)
	})
}

// TestCacheStorm: clients that come, wait, leave and purge in every way get
// their own pages whole, and nothing is left afterwards.
func TestCacheStorm(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		rule := cache.Rule{TTL: time.Second, Stale: time.Second, Compress: true}
		a := newApp(inline, func(c *call) {
			n, _ := strconv.Atoi(c.Query)
			if !inline && n%3 == 0 {
				select {
				case <-c.gone:
				case <-time.After(time.Duration(n) * 100 * time.Microsecond):
				}
			}
			body := fmt.Sprintf("%s?%s %s|", c.Path, c.Query, c.Fields["accept-language"]) + strings.Repeat("x", n*300)
			switch n % 10 {
			case 0:
				c.say(200, body, "Vary: Accept-Language")
			case 1:
				c.say(200, body, "Set-Cookie: a=b")
			case 2:
				c.say(500, body, "Cache-Control: max-age=1")
			case 3: // breaks off
				c.part(exchange.Part{File: -1, Body: []byte(body), Head: exchange.Head{Status: 200, Length: int64(len(body)) + 5}})
				c.part(exchange.Part{File: -1, Last: true, Failed: true})
			case 4:
				c.part(exchange.Part{File: -1, Last: true, Head: exchange.Head{Status: 503, Length: -1, Instead: exchange.Refusal}})
			case 5:
				c.say(200, body, "Cache-Control: max-age=0, stale-while-revalidate=5")
			default:
				half := len(body) / 2
				c.part(exchange.Part{File: -1, Body: []byte(body[:half]), Head: exchange.Head{Status: 200, Length: -1}})
				c.part(exchange.Part{File: -1, Last: true, Body: []byte(body[half:])})
			}
		})
		a.limit = 30
		s, _ := cachedOn(t, Config{CacheSize: 200 << 10, Timeout: patience}, rule, a)
		var clients sync.WaitGroup
		for i := range 10 {
			clients.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), 2))
				for range 150 {
					c := s.dial(t)
					var asked []string
					for range 1 + rnd.IntN(5) {
						target := fmt.Sprintf("/%d?%d", rnd.IntN(3), rnd.IntN(40))
						language := []string{"de", "en"}[rnd.IntN(2)]
						fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nAccept-Language: %s\r\n\r\n", target, language)
						asked = append(asked, target+" "+language)
					}
					switch rnd.IntN(6) {
					case 0:
						c.SetLinger(0)
					case 1:
						io.ReadAtLeast(c, make([]byte, 2000), 1)
					case 2:
						s.Purge(cache.Pattern{Path: fmt.Sprintf("/%d*", rnd.IntN(3))})
					default:
						r := bufio.NewReader(c)
						for _, want := range asked {
							res, err := http.ReadResponse(r, nil)
							if err != nil {
								break // an answer before has broken off
							}
							body, err := io.ReadAll(res.Body)
							if err != nil {
								break
							}
							page, _, _ := strings.Cut(string(body), "|")
							path, language, _ := strings.Cut(want, " ")
							query, _ := strconv.Atoi(path[strings.IndexByte(path, '?')+1:])
							if res.StatusCode == 503 {
								continue
							}
							// Only a page that says so depends on the language.
							if !strings.HasPrefix(page, path+" ") || query%10 == 0 && page != path+" "+language {
								t.Errorf("asked for %s, got %q", want, page)
							}
							if said := res.Header.Get("Fapws-Cache"); query%10 == 1 && said != "bypass" {
								t.Errorf("Set-Cookie is %s", said)
							}
						}
					}
					c.Close()
				}
			})
		}
		clients.Wait()
		s.talk(t, "GET /0?5 HTTP/1.0\r\nHost: a\r\n\r\n") // those that were not accepted yet come before this one
		eventually(t, "connections gone", func() bool { return s.loop.live.Load() == 0 })
		eventually(t, "all released", a.idle)
		eventually(t, "nothing is under way", func() bool { return s.loop.owed.Load() == 0 })
		eventually(t, "all exchanges are free", func() bool {
			used := 0
			s.do(func() { used = s.loop.sites.Active() })
			return used == 0
		})
		s.do(func() {
			if !s.loop.pages.Idle() || !s.loop.app.Idle() {
				t.Error("something still waits")
			}
			s.loop.pages.Store.PurgeNow(cache.Pattern{Path: "*"})
			if st := s.loop.pages.Store.Stats(); st.Bytes != 0 || st.Entries != 0 {
				t.Errorf("left in the cache: %+v", st)
			}
		})
	})
}
