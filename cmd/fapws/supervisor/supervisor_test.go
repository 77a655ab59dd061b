package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/pool"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// TestMain makes the test binary act as the process that reads keys.
func TestMain(m *testing.M) {
	if KeyReaderWanted() {
		if err := RunKeyReader(); err != nil {
			panic(err)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKeyReaderReadsOnlyTheNamedFiles(t *testing.T) {
	dir := t.TempDir()
	key, other := filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	put := func(name, text string) {
		t.Helper()
		checktest.Must(t, os.WriteFile(name, []byte(text), 0o640))
	}
	put(key, "one")
	put(other, "secret")
	long := make([]string, 1000)
	for i := range long {
		long[i] = filepath.Join(dir, strings.Repeat("x", 100))
	}
	r := checktest.Try(StartKeyReader(append(long, key, dir))).Must(t)
	want := func(name, text, wrong string) {
		t.Helper()
		data, mode, err := r.Read(name)
		switch {
		case wrong != "":
			checktest.Truef(t, err != nil && strings.Contains(err.Error(), wrong), "%s: %q, %v, want %s", name, data, err, wrong)
		case err != nil || string(data) != text || mode != 0o640:
			t.Errorf("%s: %q, mode %o, %v, want %q", name, data, mode, err, text)
		}
	}
	want(key, "one", "")
	put(key, "two")
	want(key, "two", "")
	want(other, "", "was not named")
	want(dir, "", "is a directory")
	want(long[0], "", "no such file")
	f := os.NewFile(uintptr(checktest.Try(pool.Duplicate(r.channel)).Must(t)), "channel")
	r = checktest.Try(TakeKeyReader(f)).Must(t)
	f.Close()
	want(key, "two", "")
	r.channel.Close()
	for range 2 {
		_, _, err := r.Read(key)
		checktest.Truef(t, errors.Is(err, fs.ErrPermission), "after its end: %v", err)
	}
}

func TestFailureNoticeShowsTheTracebackEscaped(t *testing.T) {
	const traceback = `Traceback (most recent call last):
  File "app.py", line 1, in <module>
    x = "<b>" + 1
TypeError: can only concatenate str (not "int") to str
`
	const remedy = `app.py:1: TypeError: can only concatenate str (not "int") to str; convert it`
	objects := logfile.Object.Append(nil, &logfile.Message{About: logfile.About{Exception: logfile.Exception{
		Type: "TypeError", Traceback: traceback}}, Text: "uncaught exception"})
	objects = logfile.Object.Append(objects, &logfile.Message{Text: remedy})
	for _, tt := range []struct {
		name, said string
		has, hasNo []string
	}{
		{"a traceback", traceback, []string{
			"<title>TypeError: can only concatenate str (not &#34;int&#34;) to str</title>",
			"    x = &#34;&lt;b&gt;&#34; + 1\n",
			"app.py failed to load: worker 7 exited with status 1",
			`<meta http-equiv="refresh" content="1">`,
		}, []string{"<b>"}},
		{"a line of ours", "fapws: app.py has no PATHS\n", []string{"<h1>app.py has no PATHS</h1>"}, []string{"<pre>"}},
		{"a line with a remedy", traceback + "fapws: " + remedy, []string{"<p>Convert it.</p>", "to str</pre>"},
			[]string{"fapws: app.py:1"}},
		{"objects", "x\n" + string(objects), []string{"<p>Convert it.</p>", "<pre>x\nTraceback", "to str</pre>"},
			[]string{"fapws: app.py:1", "pid"}},
		{"nothing", "", []string{"<h1>worker 7 exited with status 1</h1>"}, nil},
		{"colours", "\x1b[1;35mValueError\x1b[0m: \x1b[35mno\x1b[0m\x07\n", []string{"<h1>ValueError: no</h1>"},
			[]string{"\x1b", "\x07"}},
		{"an error of a library", "x\nsqlalchemy.exc.NoSuchThing: no\n",
			[]string{"<h1>sqlalchemy.exc.NoSuchThing: no</h1>"}, nil},
		{"bytes", "\xff\xfe\n", []string{"\uFFFD"}, []string{"\xff"}},
		{"much", "oldest\n" + strings.Repeat("a line that is repeated\n", 10000), []string{"a line"}, []string{"oldest"}},
	} {
		notice := failureNotice("app.py", "worker 7 exited with status 1", []byte(tt.said))
		page := string(notice.Raw)
		for _, want := range tt.has {
			checktest.Truef(t, strings.Contains(page, want), "%s: no %q in %.1500s", tt.name, want, page)
		}
		for _, bad := range tt.hasNo {
			checktest.Truef(t, !strings.Contains(page, bad), "%s: %q in %.1500s", tt.name, bad, page)
		}
		checktest.Truef(t, strings.HasPrefix(notice.Text, "app.py failed to load: ") &&
			!strings.Contains(notice.Text, "\x1b"), "%s: the text is %.1500s", tt.name, notice.Text)
		checktest.Truef(t, len(page) <= 2*pageText && len(notice.Text) <= 2*pageText, "%s: %d bytes", tt.name, len(page))
	}
}
