package logfile

import (
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func TestNameOfAClientHasTheWholeRequest(t *testing.T) {
	about := About{Client: "[::1]:4711", Trace: "4bf9", Path: "/a request b", Exception: Exception{Traceback: "a\nb\n"}}
	checktest.Equal(t, AboutOf(about.Name()), about)
	checktest.Equal(t, (About{Client: "192.0.2.7:4711"}).Name(), "192.0.2.7:4711")
	got := AboutOf(About{Client: "a", Path: "/\x00forged"}.Name())
	checktest.Truef(t, got.Path == "/\ufffdforged" && got.Handler == "", "%+v", got)
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
		checktest.Mustf(t, json.Unmarshal(line, &o), "in %.100q", line)
		want := strings.ToValidUTF8(text, "\ufffd")
		if len(text) > 1000 {
			checktest.Truef(t, len(o.Message) <= longestText && len(o.Exception.Traceback) <= longestText+3 &&
				len(*o.Client) <= longestName && len(line) <= 2<<20, "%.10q: %d bytes", text, len(line))
			want = o.Message
		} else if text == "\xff\xc0\xaf\xed\xa0\x80" {
			want = strings.Repeat("\ufffd", len(text))
		}
		checktest.Truef(t, o.Level == "warning" && o.Host == "localhost" && o.PID != 0 && o.Message == want &&
			strings.HasSuffix(o.Exception.Traceback, "end") && (o.Client == nil) == (text == "") &&
			strings.Count(string(line), "\n") == 1, "%.300q", line)
		got, ok := ParseObject(string(line))
		checktest.Truef(t, ok && got.Text == o.Message && got.Exception == o.Exception, "%+v", got)
	}
	for _, line := range []string{"", "text", "{}", `{"message":"a"}`, `{"time":"","message":"a","pid":1,"more":2}`} {
		_, ok := ParseObject(line)
		checktest.Truef(t, !ok, "%q is an object", line)
	}
}

func TestComplaintAboutAnErrorLogOfObjectsIsAnObject(t *testing.T) {
	in, out, err := os.Pipe()
	checktest.Must(t, err)
	defer in.Close()
	defer func(before *os.File) { os.Stderr = before }(os.Stderr)
	os.Stderr = out
	Options{Look: Object}.withDefaults().Report("error log: not rotated")
	out.Close()
	line, _ := io.ReadAll(in)
	m, ok := ParseObject(string(line))
	checktest.Truef(t, ok && m.Text == "error log: not rotated", "%q", line)
}

func TestLevelsHaveColorsAndPriorities(t *testing.T) {
	const text = Stamp + "warning info text\nmore\n"
	for look, want := range map[Look]string{
		Plain:   text,
		Filed:   text,
		Colored: "\x1b[2m" + Stamp + "\x1b[0m\x1b[33mwarning\x1b[0m info text\nmore\n",
		Journal: "<4>warning info text\n<4>more\n",
	} {
		checktest.Equal(t, string(look.Dress([]byte(text), Warning)), want)
	}
	checktest.Equalf(t, string(Colored.Dress([]byte(Stamp+"GET / 200\n"), Info)), "\x1b[2m"+Stamp+"\x1b[0mGET / 200\n",
		"a request")
}
