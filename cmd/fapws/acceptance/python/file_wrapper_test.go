package python_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestFileWrapperSendsTheRestOfAFileAndClosesIt(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	all := string(data)
	cases := []struct {
		name, query string
		body        string
		length      int64 // announced length, or -1 if there is none
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
		{"blocks with less than their length", "kind=noted&length=70000", all[:70_000], 70_000,
			"closed, read by [65536]\n"},
		{"after write()", "kind=real&write=before,", "before," + all, -1, "closed\n"},
	}
	fapwstest.InEach(t, []fapwstest.Mode{fapwstest.Threads, fapwstest.Inline, fapwstest.Forks},
		func(t *testing.T, m fapwstest.Mode) {
			folder := t.TempDir()
			s := fapwstest.Command{Script: "filewrapper.py", Args: []string{folder}, Complains: true}.Serve(t, m)
			w := s.Dial()
			methods := []string{"GET", "HEAD"}
			if m.Forks() {
				methods = methods[:1]
			}
			for i, c := range cases {
				for _, method := range methods {
					name := fmt.Sprint(method, i)
					w.Send(fapwstest.Request(method, "/?"+c.query+"&name="+name, "", "Range: bytes=5-9"))
					a := w.AnswerTo(method).Want(t, 200).Field(t, "Content-Type", "text/x-own").Field(t,
						"Content-Range", "")
					unsaid := method == "HEAD" && c.length == 0 && a.ContentLength < 0
					if method == "GET" && a.Text != c.body || a.ContentLength != c.length && !unsaid {
						t.Errorf("%s: %s has %d bytes, announced %d", c.name, method, len(a.Text), a.ContentLength)
					}
					if c.closed != "" {
						fapwstest.FileSays(t, folder+"/"+name, "closed")
						if said, _ := os.ReadFile(folder + "/" + name); method == "GET" && string(said) != c.closed {
							t.Errorf("%s: %q", c.name, said)
						}
					}
				}
			}
			w.Fetch("/?kind=subclass").Is(t, strings.ReplaceAll(all, "\x00", "\xff"))
			fapwstest.FileSays(t, folder+"/subclass", "closed")
			for _, status := range []int{204, 304} {
				w.Fetch(fmt.Sprint("/?kind=real&status=", status, "&name=bodyless", status)).Want(t, status)
				fapwstest.FileSays(t, fmt.Sprint(folder, "/bodyless", status), "closed")
			}
			w.Fetch("/?kind=unreadable").Want(t, 500)
			s.Says("OSError: cannot read")
			fapwstest.FileSays(t, folder+"/unreadable", "closed")

			if a := w.Fetch("/?kind=real&length=300001&name=short"); a.Err == nil || a.Text != all {
				t.Errorf("longer than the file: %d bytes, %v", len(a.Text), a.Err)
			}
			w.Gone()
			fapwstest.FileSays(t, folder+"/short", "closed")
			if m.Forks() {
				return
			}
			before := s.OpenFiles()
			w = s.Dial()
			for range 20 {
				w.Fetch("/?kind=real&name=many").Is(t, all)
			}
			w.Close()
			fapwstest.Eventually(t, "all files are closed", func() bool { return s.OpenFiles() <= before })
		})
}
