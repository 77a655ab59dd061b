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
	if v := row.value; v.kind&isText != 0 && v.words != nil {
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

// settings.txt contains all settings that a configuration file can set, with valid values, in the order of the tables.
func TestEachExampleCanBeSet(t *testing.T) {
	var want, have []string
	for _, row := range table() {
		if row.inFile() {
			want = append(want, row.Name)
		}
	}
	for _, one := range ReadTexts(settingsText) {
		key, _, found := strings.Cut(one.Head, " = ")
		if !found {
			continue
		}
		have = append(have, key)
		if _, err := read(t, one.Head); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("settings.txt has\n%q, not\n%q", have, want)
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
	for text, want := range cases(t, "file-errors.txt") {
		_, err := read(t, text)
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
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
