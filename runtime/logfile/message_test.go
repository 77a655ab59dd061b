package logfile

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func TestNameOfAClientHasTheWholeRequest(t *testing.T) {
	about := About{Client: "[::1]:4711", Trace: "4bf9", Path: "/a request b", Exception: Exception{Traceback: "a\nb\n"}}
	if got := AboutOf(about.Name()); got != about {
		t.Errorf("%+v", got)
	}
	if got := (About{Client: "192.0.2.7:4711"}).Name(); got != "192.0.2.7:4711" {
		t.Errorf("%q", got)
	}
	forged := About{Client: "a", Path: "/\x00forged"}
	if got := AboutOf(forged.Name()); got.Path != "/\ufffdforged" || got.Handler != "" {
		t.Errorf("%+v", got)
	}
}

func TestObjectsAreBoundedLinesOfJSON(t *testing.T) {
	for _, text := range []string{"", "plain", "\"\\\n\r\x00\x1b\x7f\u2028\u202eé\U0001f600", "\xff\xc0\xaf\xed\xa0\x80",
		"{}", strings.Repeat("\x00", 1<<20), strings.Repeat("é", 1<<20), strings.Repeat("\x80", 1<<20)} {
		m := Message{Time: time.Unix(1, 0), Level: Warning, Text: text, About: About{Client: text, Path: text,
			Host: "LocalHost.:80", Exception: Exception{Message: text, Traceback: text + "end\n"}}}
		line := Object.Append([]byte("before"), &m)[len("before"):]
		var o struct {
			Level, Message, Host string
			Client               *string
			Exception            Exception
			PID                  int
		}
		if err := json.Unmarshal(line, &o); err != nil {
			t.Fatalf("%v in %.100q", err, line)
		}
		want := strings.ToValidUTF8(text, "\ufffd")
		if len(text) > 1000 {
			if len(o.Message) > longestText || len(o.Exception.Traceback) > longestText+3 || len(*o.Client) > longestName ||
				len(line) > 2<<20 {
				t.Errorf("%.10q: %d bytes", text, len(line))
			}
			want = o.Message
		} else if text == "\xff\xc0\xaf\xed\xa0\x80" {
			want = strings.Repeat("\ufffd", len(text))
		}
		if o.Level != "warning" || o.Host != "localhost" || o.PID == 0 || o.Message != want ||
			!strings.HasSuffix(o.Exception.Traceback, "end") || (o.Client == nil) != (text == "") ||
			strings.Count(string(line), "\n") != 1 {
			t.Errorf("%.300q", line)
		}
		if got, ok := ParseObject(string(line)); !ok || got.Text != o.Message || got.Exception != o.Exception {
			t.Errorf("%+v", got)
		}
	}
	for _, line := range []string{"", "text", "{}", `{"message":"a"}`, `{"time":"","message":"a","pid":1,"more":2}`} {
		if _, ok := ParseObject(line); ok {
			t.Errorf("%q is an object", line)
		}
	}
}

func TestComplaintAboutAnErrorLogOfObjectsIsAnObject(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer func(before *os.File) { os.Stderr = before }(os.Stderr)
	os.Stderr = out
	Options{Look: Object}.withDefaults().Report("error log: not rotated")
	out.Close()
	line, _ := io.ReadAll(in)
	if m, ok := ParseObject(string(line)); !ok || m.Text != "error log: not rotated" {
		t.Errorf("%q", line)
	}
}
