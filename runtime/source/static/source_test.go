package static

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/exchange/exchangetest"
)

func sourceFiles(t *testing.T) *Files {
	t.Helper()
	root := t.TempDir()
	for name, content := range map[string]string{"a.txt": "content", "large.bin": strings.Repeat("x", 200<<10), "sub/index.cgi": "", "sub/x": ""} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := New(Options{Root: root, Index: []string{"index.cgi"}, Programs: []string{"*.cgi"}})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A file comes in parts, the first time as later, and gets no body.
func TestSource(t *testing.T) {
	files := sourceFiles(t)
	const get = " HTTP/1.1\r\nHost: x\r\n"
	for _, test := range []struct {
		name     string
		declines bool
		request  string
		status   int    // of the head, or of a reply
		sent     string // what the body is
		declined string // "-": nothing
	}{
		{"file", false, "GET /s/a.txt" + get + "\r\n", 200, "content", "-"},
		{"HEAD", false, "HEAD /s/a.txt" + get + "\r\n", 200, "", "-"},
		{"part", false, "GET /s/a.txt" + get + "Range: bytes=1-2\r\n\r\n", 206, "on", "-"},
		{"open file", false, "GET /s/large.bin" + get + "\r\n", 200, "file of 204800", "-"},
		{"nothing", false, "GET /s/none" + get + "\r\n", 404, "", "-"},
		{"nothing, others may have it", true, "GET /s/none" + get + "\r\n", 0, "", ""},
		{"a program is the index", false, "GET /s/sub/" + get + "\r\n", 0, "", "index.cgi"},
		{"body", false, "GET /s/a.txt" + get + "Content-Length: 3\r\n\r\n", 413, "", "-"},
		{"form", false, "POST /s/a.txt" + get + "Content-Length: 3\r\n\r\n", 405, "", "-"},
	} {
		s := NewSource(files, test.declines)
		for _, round := range []string{"from the disk", "from memory"} {
			var c exchangetest.Client
			s.Start(c.Exchange(test.request, "/s"))
			status, sent := 0, ""
			for i, p := range c.Parts {
				if i == 0 {
					status = p.Head.Status
				}
				if sent += string(p.Body); p.File >= 0 {
					sent += "file of 204800"
					if p.Count != 200<<10 {
						t.Errorf("%s, %s: %d bytes of a file", test.name, round, p.Count)
					}
				}
				if p.First != (i == 0) || p.Last != (i == len(c.Parts)-1) {
					t.Errorf("%s, %s: part %d: first %v, last %v", test.name, round, i, p.First, p.Last)
				}
			}
			for _, r := range c.Replies {
				status = r.Status
			}
			declined := "-"
			if len(c.Declined) > 0 {
				declined = c.Declined[0]
			}
			if status != test.status || sent != test.sent || declined != test.declined {
				t.Errorf("%s, %s: %d, %.20q, declined %q", test.name, round, status, sent, declined)
			}
		}
	}
}

// A source that is not next waits, and one whose client has left sends nothing.
func TestSourceWaits(t *testing.T) {
	s := NewSource(sourceFiles(t), false)
	for _, c := range []*exchangetest.Client{{Waits: true}, {Left: true}} {
		s.Start(c.Exchange("GET /a.txt HTTP/1.1\r\nHost: x\r\n\r\n", ""))
		if len(c.Parts)+len(c.Replies) > 0 {
			t.Errorf("%+v", c)
		}
	}
}
