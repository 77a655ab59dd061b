package http2

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"fapws/runtime/checktest"
)

// Encoding the same head again gives the same fields, regardless of the size of the client's table. Connection-specific
// fields and fields with invalid names are removed.
func TestHeadLinesBecomeFields(t *testing.T) {
	s := new(Server)
	s.makeEncoder()
	neverKept := []string{"set-cookie", "x-request-id", "server-timing", "ratelimit"}
	long := strings.Repeat("x", maxKnown)
	for range 2 {
		for line, want := range map[string]string{
			"HTTP/1.1 200 OK":            ":status=200",
			"HTTP/1.1 101 Switching":     ":status=200",
			"Content-Type: text/html":    "content-type=text/html",
			"X-Empty:":                   "x-empty=",
			"X-Spaces: \t a b \t":        "x-spaces=a b",
			"X-Colon: a:b":               "x-colon=a:b",
			"Set-Cookie: a=b":            "set-cookie=a=b",
			"X-Request-Id: 7":            "x-request-id=7",
			"Server-Timing: a;dur=1":     "server-timing=a;dur=1",
			"RateLimit: r=0":             "ratelimit=r=0",
			"RateLimit-Policy: q=40":     "ratelimit-policy=q=40",
			"X-Long: " + long:            "x-long=" + long,
			"Connection: close":          "",
			"Transfer-Encoding: chunked": "",
			"Upgrade: websocket":         "",
			"Keep-Alive: 5":              "",
			":status: 200":               "",
			"X Y: z":                     "",
			"none":                       "none=",
		} {
			fields, err := hpack.NewDecoder(0, nil).DecodeFull(s.code([]byte(line)))
			checktest.Mustf(t, err, "%s", line)
			got, hidden := "", false
			for _, f := range fields {
				got, hidden = got+f.Name+"="+f.Value, f.Sensitive
			}
			name, _, _ := strings.Cut(want, "=")
			checktest.Truef(t, got == want && hidden == slices.Contains(neverKept, name),
				"%.50q: %.50q, want %.50q", line, got, want)
		}
	}
}

func TestMalformedHeadIsAnsweredWith400(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(1, "/", true, "Upper case")
	got := p.response(1)
	checktest.Truef(t, strings.HasPrefix(got, "400 "), "%q", got)
}

func TestHeadThatIsTooLargeGetsOneResponse(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	field := "x " + strings.Repeat("v", 3500)
	p.request(1, "/", true, slices.Repeat([]string{field}, 20)...)
	got := p.response(1)
	h.Do(func() { h.Config.Limits.FieldLine = 3000 })
	p.request(3, "/", true, field)
	got += p.response(3)
	checktest.Truef(t, strings.Count(got, "431 ") == 2, "%q", got)
	p.request(5, "/", true)
	p.is(5, "200 /:")
}

func TestStreamWithAnEvenNumberEndsItsConnection(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	p.request(2, "/", true)
	p.is(2, "!!PROTOCOL_ERROR")
}

func TestIncompleteFieldEndsItsConnection(t *testing.T) {
	h := newHost(t)
	_, p := h.open(t)
	// the last field has a name and no value
	p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0, 1, 'a'}, EndHeaders: true,
		EndStream: true})
	p.is(1, "!!COMPRESSION_ERROR")
}
