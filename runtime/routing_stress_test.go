package runtime

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"fapws/runtime/exchange"
	"fapws/runtime/sites"
)

// Everything that makes a request wait or begin again, from clients that send
// all at once, byte for byte, or leave in between: clients that stay get each answer
// in its order, and nothing is left over.
func TestRoutingUnderStress(t *testing.T) {
	t.Parallel()
	modes(t, func(t *testing.T, inline bool) {
		a := newApp(inline, func(c *call) { c.reply(200, fmt.Sprintf("<%s%s?%s %d>", c.Script, c.Path, c.Query, len(c.Body))) })
		rules := mustRules(t, sites.RuleOptions{Auth: mustAuth(t, "ann:secret"), Set: []exchange.Field{{Name: "X-Set", Value: "1"}}})
		first := tree(t, map[string]string{"file": "content", "large": string(pattern(200000))})[0]
		first.Prefix, first.Source, first.Match = "/", optional(first.Source), ""
		second := tree(t, map[string]string{"other": "content"})[0]
		second.Prefix, second.Source, second.Rules = "/in/", optional(second.Source), rules
		s := serveSites(t, Config{}, a, sites.Site{Table: []sites.Mount{
			mustRewrite(t, "/rw/", "/in/${rest}?w=1"), first, second, {Prefix: "/in/", Rules: rules}, {Prefix: "/"},
		}})
		type exchange struct{ request, want string }
		pick := func(r *rand.Rand) exchange {
			n := r.IntN(20000)
			switch r.IntN(8) {
			case 0:
				return exchange{"GET /file HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\ncontent"}
			case 1:
				return exchange{fmt.Sprintf("GET /page/%d HTTP/1.1\r\nHost: x\r\n\r\n", n), fmt.Sprintf("</page/%d? 0>", n)}
			case 2:
				return exchange{fmt.Sprintf("GET /in/%d HTTP/1.1\r\nHost: x\r\n%s\r\n", n, basic("ann", "secret")), fmt.Sprintf("</in/%d? 0>", n)}
			case 3:
				return exchange{fmt.Sprintf("GET /in/other HTTP/1.1\r\nHost: x\r\n%s\r\n", basic("ann", "secret")), "\r\n\r\ncontent"}
			case 4:
				return exchange{fmt.Sprintf("GET /in/x HTTP/1.1\r\nHost: x\r\n%s\r\n", basic("ann", fmt.Sprint(n%6))), "HTTP/1.1 401"} // few guesses: each one slows the next
			case 5:
				return exchange{fmt.Sprintf("POST /rw/%d HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", n, basic("ann", "secret"), n, strings.Repeat("b", n)),
					fmt.Sprintf("</in/%d?w=1 %d>", n, n)}
			case 6:
				return exchange{"GET /large HTTP/1.1\r\nHost: x\r\n\r\n", "Content-Length: 200000"}
			}
			return exchange{fmt.Sprintf("GET /rw/%d?q HTTP/1.1\r\nHost: x\r\n%s\r\n", n, basic("ann", "secret")), fmt.Sprintf("</in/%d?w=1 0>", n)}
		}
		var wg sync.WaitGroup
		for client := range 12 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(client), 7))
				for round := range 6 {
					var requests string
					var wants []string
					for range 1 + r.IntN(12) {
						e := pick(r)
						requests += e.request
						wants = append(wants, e.want)
					}
					requests += "GET /end HTTP/1.0\r\n\r\n"
					c, err := net.Dial("tcp", s.addr)
					if err != nil {
						t.Error(err)
						return
					}
					c.SetDeadline(time.Now().Add(patience))
					leaves := round%3 == 2
					go func() {
						for len(requests) > 0 {
							n := len(requests)
							if client%3 == 1 {
								n = min(n, 700)
							}
							if _, err := io.WriteString(c, requests[:n]); err != nil {
								return
							}
							requests = requests[n:]
						}
					}()
					if leaves {
						io.CopyN(io.Discard, c, int64(client*100))
						c.(*net.TCPConn).SetLinger(client % 2 * -1)
						c.Close()
						continue
					}
					got, err := io.ReadAll(c)
					c.Close()
					if err != nil {
						t.Errorf("client %d: %v after %d bytes", client, err, len(got))
						return
					}
					rest := string(got)
					for i, want := range append(wants, "</end? 0>") {
						_, after, found := strings.Cut(rest, want)
						if !found {
							t.Errorf("client %d: answer %d, %q, is missing in %.600q", client, i, want, rest)
							return
						}
						rest = after
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "all has ended", func() bool { return s.loop.live.Load() == 0 && a.idle() })
	})
}
