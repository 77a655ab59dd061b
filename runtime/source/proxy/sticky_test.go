package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"fapws/runtime/backend/backendtest"
	"fapws/runtime/source/proxy"
)

func visit(t *testing.T, address, cookies string) (body string, cookie *http.Cookie) {
	t.Helper()
	text := talk(t, address, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"+cookies+"\r\n")
	response, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range response.Cookies() {
		if strings.HasPrefix(c.Name, "fapws-upstream-") {
			cookie = c
		}
	}
	return string(all), cookie
}

func TestClientStaysWithTheUpstreamOfItsCookie(t *testing.T) {
	t.Parallel()
	named := func(name string) string {
		url, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: own=1\r\n\r\n%s", name)
		})
		return url
	}
	refuses := "http://" + backendtest.Unused(t)
	targets := []string{named("one"), named("two"), refuses}
	address, _ := front(t, "/", proxy.Options{Targets: targets, Sticky: true})
	cookies := map[string]string{}
	for range 200 {
		body, c := visit(t, address, "")
		if c == nil || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Secure {
			t.Fatalf("cookie %+v", c)
		}
		if strings.Contains(c.Value, "127") || cookies[body] != "" && cookies[body] != c.Value {
			t.Fatalf("%s has the cookies %q and %q", body, cookies[body], c.Value)
		}
		if cookies[body] = c.Value; len(cookies) == 2 {
			break
		}
	}
	_, c := visit(t, address, "")
	for name, value := range cookies {
		cookie := "Cookie: own={\"a\": \"b\"}; unnamed; " + c.Name + "=" + value
		for range 20 {
			if body, again := visit(t, address, cookie+"\r\n"); body != name || again != nil {
				t.Fatalf("%s responds to a client of %s, and sets %+v", body, name, again)
			}
		}
	}
	if len(cookies) != 2 {
		t.Errorf("cookies %v", cookies)
	}
	if _, again := visit(t, address, "Cookie: "+c.Name+"=0123456789abcdef\r\n"); again == nil {
		t.Error("a client with an unknown value gets no cookie")
	}
}

func TestClientMovesIfTheUpstreamOfItsCookieFails(t *testing.T) {
	t.Parallel()
	works, _ := server(t, func(c *net.TCPConn, _ *bufio.Reader, _ *http.Request) {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
	})
	failing := backendtest.Unused(t)
	before := proxy.Options{Targets: []string{works, "http://" + failing}, Sticky: true}
	address, _ := front(t, "/", before)
	_, of := visit(t, address, "")
	// A client with an unknown cookie value gets the cookie value of the working upstream.
	for range 5 {
		if _, c := visit(t, address, "Cookie: "+of.Name+"=of-another\r\n"); c == nil || c.Value != of.Value {
			t.Fatalf("cookie %+v, want %+v", c, of)
		}
	}
}
