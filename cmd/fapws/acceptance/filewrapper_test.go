package acceptance

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// wsgi.file_wrapper sends what read() would give from here on, and closes it.
func TestFileWrapper(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	all := string(data)
	cases := []struct {
		name, query string
		body        string
		length      int64 // -1: not announced
		closed      string
	}{
		{"a file", "kind=real", all, 300_000, "closed\n"},
		{"from its position", "kind=skip", all[100_000:], 200_000, "closed\n"},
		{"partly read", "kind=partly-read", all[11:], 299_989, "closed\n"},
		{"at its end", "kind=at-the-end", "", 0, "closed\n"},
		{"beyond its end", "kind=beyond", "", 0, "closed\n"},
		{"unbuffered", "kind=raw", all, 300_000, ""},
		{"for reading and writing", "kind=update", all, 300_000, ""},
		{"memory", "kind=bytesio", all, -1, ""},
		{"a block size", "kind=noted&block=1000", all, -1, "closed, read by [1000]\n"},
		{"no block size", "kind=noted", all, -1, "closed, read by [65536]\n"},
		{"gzip has a descriptor of other bytes", "kind=gzip", all, -1, ""},
		{"text in the middle", "kind=text", "second \u20ac\nthird\n", 17, ""},
		{"a pipe", "kind=pipe", "pipe", -1, ""},
		{"through a middleware", "kind=real&through=1", all, -1, ""},
		{"with its length", "kind=real&length=300000", all, 300_000, "closed\n"},
		{"with less than its length", "kind=real&length=1234", all[:1234], 1234, "closed\n"},
		{"blocks with less than their length", "kind=noted&length=70000", all[:70_000], 70_000, "closed, read by [65536]\n"},
		{"after write()", "kind=real&write=before,", "before," + all, -1, "closed\n"},
	}
	inModesAndForks(t, func(t *testing.T, m mode) {
		folder := t.TempDir()
		s := command{script: "filewrapper.py", args: []string{folder}, complains: true}.serve(t, m)
		w := s.dial()
		for i, c := range cases {
			for _, method := range []string{"GET", "HEAD"} {
				name := fmt.Sprint(method, i)
				w.send(request(method, "/?"+c.query+"&name="+name, "", "Range: bytes=5-9"))
				a := w.answerTo(method).want(t, 200).field(t, "Content-Type", "text/x-own").field(t, "Content-Range", "")
				unsaid := method == "HEAD" && c.length == 0 && a.ContentLength < 0
				if method == "GET" && a.body != c.body || a.ContentLength != c.length && !unsaid {
					t.Errorf("%s: %s has %d bytes, announced %d", c.name, method, len(a.body), a.ContentLength)
				}
				if c.closed != "" {
					fileSays(t, folder+"/"+name, "closed")
					if said, _ := os.ReadFile(folder + "/" + name); method == "GET" && string(said) != c.closed {
						t.Errorf("%s: %q", c.name, said)
					}
				}
			}
		}
		w.get("/?kind=subclass")
		w.answer().is(t, strings.ReplaceAll(all, "\x00", "\xff"))
		fileSays(t, folder+"/subclass", "closed")
		for _, status := range []int{204, 304} {
			w.get(fmt.Sprint("/?kind=real&status=", status, "&name=bodyless", status))
			w.answer().want(t, status)
			fileSays(t, fmt.Sprint(folder, "/bodyless", status), "closed")
		}
		w.get("/?kind=unreadable")
		w.answer().want(t, 500)
		s.says("OSError: cannot read")
		fileSays(t, folder+"/unreadable", "closed")

		w.get("/?kind=real&length=300001&name=short")
		if a := w.answer(); a.err == nil || a.body != all {
			t.Errorf("longer than the file: %d bytes, %v", len(a.body), a.err)
		}
		w.gone()
		fileSays(t, folder+"/short", "closed")
		before := s.openFiles()
		w = s.dial()
		for range 50 {
			w.get("/?kind=real&name=many")
			w.answer().is(t, all)
		}
		w.Close()
		eventually(t, "all files are closed", func() bool { return s.openFiles() <= before })
	})
}
