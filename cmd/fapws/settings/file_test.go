package settings

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func nowhereSet(string) (string, bool) { return "", false }

func read(t *testing.T, text string, flags ...string) (*Settings, error) {
	t.Helper()
	cmd, err := ParseCommand(flags)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cmd.Flags, nowhereSet)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseTOML("fapws.toml", "/etc/fapws", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s, s.ReadFile(f, []string{"app", "host"})
}

// samples lists values as they appear in a configuration file. Each setting accepts at least one of them.
var samples = []string{"true", "5", "100000", "1.5", `"text"`, `"027"`, `["a.test", "b.test"]`,
	`["127.0.0.1:80", "unix:x"]`, `["10.0.0.0/8", "unix"]`,
	`["/a=b", "/c=/d"]`, `["*.css=30d", "*=1h"]`, `"/app"`, `"::1"`, `"redis://a.test"`, `"https://a.test"`}

func sample(t *testing.T, row *Setting) string {
	if v := row.value(&Config{}); v.kind&isText != 0 && v.words != nil {
		return fmt.Sprintf("%q", v.words[0])
	}
	for _, one := range samples {
		if s, err := read(t, row.Name+" = "+one); err == nil && s.from[row.Name].String() != "default" {
			return one
		}
	}
	t.Errorf("%s takes none of the samples", row.Name)
	return `""`
}

// examples.toml contains all settings that a configuration file can set, with valid values, in the order of the tables.
func TestEachExampleCanBeSet(t *testing.T) {
	var want, have []string
	for _, row := range table() {
		if row.inFile() {
			want = append(want, row.Name)
		}
	}
	for line := range strings.Lines(examples) {
		key, _, found := strings.Cut(line, " = ")
		if !found {
			continue
		}
		have = append(have, key)
		if _, err := read(t, line); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("examples.toml has\n%q, not\n%q", have, want)
	}
}

func TestEveryFlagIsAKeyOfTheFile(t *testing.T) {
	n := 0
	for _, row := range table() {
		if row.Name == "config" { // this key would name the file itself
			continue
		}
		for _, one := range row.names() {
			value := sample(t, row)
			switch {
			case one.fixed != "":
				value = "true"
			case one.prefix == "fd://":
				value = `"3"`
			case one.prefix != "":
				value = `"x"`
			}
			line := one.name + " = " + value
			s, err := read(t, "\n"+line)
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if got := s.from[row.Name].String(); got != "file fapws.toml:2" {
				t.Errorf("%s: %s comes from %s", line, row.Name, got)
			}
			n++
		}
	}
	if n < 70 {
		t.Errorf("only %d names", n)
	}
}

func TestFileSetsValues(t *testing.T) {
	s, err := read(t, `
bind = ["127.0.0.1:80", "unix:run/x.sock", "unix:@name"]
max-body-size = "100M"
limit-request-line = 4096
keep-alive = 1.5
timeout = "2m"
workers = 3
reload = false
umask = "027"
access-log = "logs/a"
x-accel = ["/private/=files", "/other/=/srv"]
pythonpath = []
app = "x"
chdir = ".."
`, "--workers", "5")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Config()
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintln(c.Bind, c.Server.Sites.MaxBodySize, c.Server.Sites.Limits.RequestLine,
		c.Server.Sites.KeepAlive, c.Server.Timeout, c.Workers, c.Umask, c.AccessLog, c.Server.AccelRoots, c.PythonPath,
		c.Chdir); got != fmt.Sprintln(
		"[127.0.0.1:80 unix:/etc/fapws/run/x.sock unix:@name]", 100<<20, 4096, 1500*time.Millisecond, 2*time.Minute, 5,
		0o27,
		"/etc/fapws/logs/a", "[/private/=/etc/fapws/files /other/=/srv]", "[]", "/etc") {
		t.Error(got)
	}
	if got := s.Source("workers").String(); got != "flag --workers" {
		t.Errorf("workers: %s", got)
	}
}

func TestFileHasPriorityBetweenEnvironmentAndScript(t *testing.T) {
	s, err := New(Flags{}, func(name string) (string, bool) { return "7", name == "FAPWS_THREADS" })
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseTOML("f", "/", []byte("threads = 2\nmax-queue = 3"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ReadFile(f, nil); err != nil {
		t.Fatal(err)
	}
	script := map[string]any{"THREADS": int64(1), "MAX_QUEUE": int64(1), "BACKLOG": int64(9)}
	err = s.ReadScript("app.py", script)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := s.Config()
	if c.Threads != 7 || c.MaxQueue != 3 || c.Backlog != 9 {
		t.Errorf("threads %d, queue %d, backlog %d", c.Threads, c.MaxQueue, c.Backlog)
	}
}

func TestFileErrorsNameLineKeyAndCause(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"workres = 2", "fapws.toml:1: unknown key workres, did you mean workers?"},
		{"MAX_BODY_SIZE = 2", "fapws.toml:1: unknown key MAX_BODY_SIZE, did you mean max-body-size?"},
		{"max_body_size = 2", "fapws.toml:1: unknown key max_body_size, did you mean max-body-size?"},
		{"config = 'x'", "fapws.toml:1: unknown key config"},
		{"help = true", "fapws.toml:1: unknown key help"},
		{"\nworkers = 'two'", `fapws.toml:2: workers = "two", a string: must be an integer from 0 to 512`},
		{"workers = 513", "fapws.toml:1: workers = 513, an integer: must be an integer from 0 to 512"},
		{"workers = true", "fapws.toml:1: workers = true, a boolean: must be an integer from 0 to 512"},
		{"workers = 1.5", "fapws.toml:1: workers = 1.5, a float: must be an integer from 0 to 512"},
		{"reload = 'yes'", `fapws.toml:1: reload = "yes", a string: must be true or false`},
		{"umask = 27", `fapws.toml:1: umask = 27, an integer: must be an octal number in quotes, such as "027"`},
		{"bind = 80", "fapws.toml:1: bind = 80, an integer: must be a string or an array of strings"},
		{"bind = []", "fapws.toml:1: bind = [], an array: must be at least one string"},
		{"bind = ['a b']",
			`fapws.toml:1: bind = ["a b"], an array: must be an address whose host is an IP address or ` +
				`a name, not "a b"`},
		{"pythonpath = [1]", "fapws.toml:1: pythonpath = [1], an array: must be a string or an array of strings"},
		{"pythonpath = ['a,b']", `fapws.toml:1: pythonpath = ["a,b"], an array: must be strings without commas`},
		{"user = ['a']", `fapws.toml:1: user = ["a"], an array: must be a string`},
		{"user = 33", "fapws.toml:1: user = 33, an integer: must be a string"},
		{"log-level = 'loud'",
			`fapws.toml:1: log-level = "loud", a string: must be one of debug, info, warning, error`},
		{"http2-connection-window = '1K'",
			`fapws.toml:1: http2-connection-window = "1K", a string: must be a number of bytes, or one with K, ` +
				`M or G, from 64K to 1G`},
		{"max-body-size = '10X'",
			`fapws.toml:1: max-body-size = "10X", a string: must be a number of bytes, or one with K, ` +
				`M or G, from 1 to 1024T`},
		{"timeout = 2020-01-01", "fapws.toml:1: timeout = 2020-01-01, a date or time: must be " +
			"seconds, or a time such as 500ms, 30s, 5m, 1h or 7d, from 0s to a year"},
		{"[timeout]\nx = 1", "fapws.toml:1: timeout = { x = 1 }: must be seconds, or a time such as 500ms, 30s, 5m, " +
			"1h or 7d, from 0s to a year"},
		{"bind = ':1'\nlisten = ':2'", "fapws.toml:2: listen is an alias of bind, which line 1 already sets"},
		{"no-access-log = false", "fapws.toml:1: no-access-log = false, a boolean: must be true, or omitted"},
		{"a = 1\nport = 99999\nb = 1", "fapws.toml:1: unknown key a\nfapws.toml:2: port = 99999, an integer: must be " +
			"an integer from 0 to 65535\nfapws.toml:3: unknown key b"},
	} {
		_, err := read(t, tt.text)
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", strings.ReplaceAll(tt.text, "\n", "; "), got, tt.want)
		}
	}
}

func TestReloadKeepsSettingsThatNeedARestart(t *testing.T) {
	before, err := read(t, "workers = 1\nbind = ':1'\ntimeout = 1")
	if err != nil {
		t.Fatal(err)
	}
	after, err := read(t, "workers = 2\nbind = ':1'\ntimeout = 2\nuser = 'nobody'\nsandbox = "+
		"true\nsandbox-connect = [80]")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(before.Kept(after)); got != "[workers user sandbox]" {
		t.Error(got)
	}
}

// In the tables of settings, each setting that is a path is marked as a path.
func TestPathSettingsAreRelativeToTheFile(t *testing.T) {
	for _, row := range table() {
		names := strings.HasSuffix(row.Arg, "FILE") || strings.HasSuffix(row.Arg, "FILES") ||
			strings.HasSuffix(row.Arg, "DIR") || strings.HasSuffix(row.Arg, "DIRS")
		within := row.Name == "config" || row.Name == "spa"
		if names && !within && !row.path || row.path && !names {
			t.Errorf("%s %s: path is %v", row.Name, row.Arg, row.path)
		}
	}
}
