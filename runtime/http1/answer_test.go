package http1

import (
	"bytes"
	"slices"
	"testing"

	"fapws/runtime/checktest"
)

func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest", "HTTP/1.0 304\nA : b\n c\nConnection: close\n\n",
		"HTTP/1.1 200 \r\nContent-Length: 1, 1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"} {
		f.Add([]byte(text))
	}
	// The result must not depend on where the head was split, and each span must be inside the head.
	f.Fuzz(func(t *testing.T, text []byte) {
		var whole, split UpstreamHead
		once := bytes.Clone(text)
		n, err := whole.Parse(once, 0)
		if err != nil {
			return
		}
		again := bytes.Clone(text)
		for seen, k := 0, 0; k <= n; seen, k = k, k+1 {
			m, err := split.Parse(again[:k], seen)
			if k == n {
				checktest.Truef(t, m == n && err == nil && bytes.Equal(again, once) && slices.Equal(split.Fields, whole.Fields) &&
					split.Status == whole.Status, "%q: %d, %v", text, m, err)
			} else {
				checktest.Truef(t, err == ErrNeedMore, "%q is %v, although %q is a head", text[:k], err, text[:n])
			}
		}
		for _, f := range whole.Fields {
			checktest.Truef(t, !bytes.ContainsAny(f.Name.In(once), " :\r\n") && !bytes.ContainsAny(f.Value.In(once), "\r\n\x00"),
				"%q", f.Name.In(once))
		}
		if whole.Delimit(once) == nil && whole.Body == Sized {
			checktest.Truef(t, whole.Length >= 0, "%d", whole.Length)
		}
	})
}
