package runtime

import (
	"strings"
	"testing"
)

// bodies splits a run of responses with Content-Length into status codes and
// bodies: "200:hello 404:Not Found\n".
func bodies(t *testing.T, text string) string {
	t.Helper()
	var out []string
	for text != "" {
		head, rest, ok := strings.Cut(text, "\r\n\r\n")
		if !ok {
			t.Fatalf("no head in %q", text)
		}
		n := 0
		for _, line := range strings.Split(head, "\r\n") {
			if v, ok := strings.CutPrefix(line, "Content-Length: "); ok {
				for _, d := range v {
					n = n*10 + int(d-'0')
				}
			}
		}
		if n > len(rest) {
			t.Fatalf("%d bytes promised, %q sent", n, rest)
		}
		out = append(out, head[9:12]+":"+rest[:n])
		text = rest[n:]
	}
	return strings.Join(out, " ")
}
