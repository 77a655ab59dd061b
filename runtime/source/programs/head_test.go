package programs_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"fapws/runtime/source/programs"
)

// FuzzParseHead checks that each parsed head can be sent, and that parsing does not depend on how the input was split.
func FuzzParseHead(f *testing.F) {
	for _, seed := range []string{
		"Content-Type: text/html\n\nbody", "Status: 404 Not Found\r\nX: y\r\n\r\n", "Location: /a\n\n",
		"Location: http://a/\nStatus: 301\n\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n\r\nraw", "\n", "a", ": x\n\n", "Content-Length: 12\n\n", "Status: 99\n\n",
		" folded\n\n", "A: b\rc\n\n",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		given := slices.Clone(data)
		h, n, err := programs.ParseHead(data, raw)
		if !bytes.Equal(given, data) {
			t.Fatal("it changes its input")
		}
		if err != nil {
			return
		}
		if n <= 0 || n > len(data) || n > programs.MaxHead+1 {
			t.Fatalf("n = %d of %d", n, len(data))
		}
		if h.Status < 200 || h.Status > 999 || h.Length < -1 || h.Local && (h.Location == "" || h.Location[0] != '/') {
			t.Fatalf("%+v", h)
		}
		for line := range bytes.Lines(h.Fields) {
			text, ended := bytes.CutSuffix(line, []byte("\r\n"))
			name, _, ok := bytes.Cut(text, []byte(": "))
			if !ended || !ok || len(name) == 0 || bytes.ContainsAny(text, "\r\n\x00") {
				t.Fatalf("field %q", line)
			}
		}
		if bytes.ContainsAny(h.Reason, "\r\n\x00") {
			t.Fatalf("reason %q", h.Reason)
		}
		for _, cut := range []int{0, 1, n / 2, n - 1} {
			if _, _, err := programs.ParseHead(data[:cut], raw); !errors.Is(err, programs.ErrNeedMore) {
				t.Fatalf("%d of %d bytes: %v", cut, n, err)
			}
		}
	})
}
