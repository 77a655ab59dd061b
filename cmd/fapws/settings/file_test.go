package settings

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func nowhereSet(string) (string, bool) { return "", false }

func read(t *testing.T, text string, flags ...string) (*Settings, error) {
	t.Helper()
	cmd := checktest.Try(ParseCommand(flags)).Must(t)
	s := checktest.Try(New(cmd.Flags, nowhereSet)).Must(t)
	f := checktest.Try(ParseTOML("fapws.toml", "/etc/fapws", []byte(text))).Must(t)
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
		_, err := read(t, one.Head)
		checktest.Equal(t, err, nil)
	}
	checktest.Equalf(t, have, want, "settings.txt")
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
			checktest.Equalf(t, s.from[row.Name].String(), "file fapws.toml:2", "%s: source of %s", line, row.Name)
			n++
		}
	}
	checktest.Truef(t, n >= 70, "only %d names", n)
}

func TestFileSetsValues(t *testing.T) {
	s := checktest.Try(read(t, `
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
`, "--workers", "5")).Must(t)
	c := checktest.Try(s.Config()).Must(t)
	checktest.Equal(t, fmt.Sprintln(c.Bind, c.Server.Sites.MaxBodySize, c.Server.Sites.Limits.RequestLine,
		c.Server.Sites.KeepAlive, c.Server.Timeout, c.Workers, c.Umask, c.AccessLog, c.Server.AccelRoots, c.PythonPath,
		c.Chdir), fmt.Sprintln(
		"[127.0.0.1:80 unix:/etc/fapws/run/x.sock unix:@name]", 100<<20, 4096, 1500*time.Millisecond, 2*time.Minute, 5,
		0o27,
		"/etc/fapws/logs/a", "[/private/=/etc/fapws/files /other/=/srv]", "[]", "/etc"))
	checktest.Equalf(t, s.Source("workers").String(), "flag --workers", "workers")
}

func TestFileHasPriorityBetweenEnvironmentAndScript(t *testing.T) {
	s := checktest.Try(New(Flags{}, func(name string) (string, bool) { return "7", name == "FAPWS_THREADS" })).Must(t)
	f := checktest.Try(ParseTOML("f", "/", []byte("threads = 2\nmax-queue = 3"))).Must(t)
	checktest.Must(t, s.ReadFile(f, nil))
	script := map[string]any{"THREADS": int64(1), "MAX_QUEUE": int64(1), "BACKLOG": int64(9)}
	err := s.ReadScript("app.py", script)
	checktest.Must(t, err)
	c, _ := s.Config()
	checktest.Truef(t, c.Threads == 7 && c.MaxQueue == 3 && c.Backlog == 9,
		"threads %d, queue %d, backlog %d", c.Threads, c.MaxQueue, c.Backlog)
}

func TestFileErrorsNameLineKeyAndCause(t *testing.T) {
	for text, want := range cases(t, "file-errors.txt") {
		_, err := read(t, text)
		checktest.Equalf(t, fmt.Sprint(err), want, "%q", text)
	}
}

func TestReloadKeepsSettingsThatNeedARestart(t *testing.T) {
	before := checktest.Try(read(t, "workers = 1\nbind = ':1'\ntimeout = 1")).Must(t)
	after := checktest.Try(read(t, "workers = 2\nbind = ':1'\ntimeout = 2\nuser = 'nobody'\nsandbox = "+
		"true\nsandbox-connect = [80]")).Must(t)
	checktest.Equal(t, fmt.Sprint(before.Kept(after)), "[workers user sandbox]")
}

// In the tables of settings, each setting that is a path is marked as a path.
func TestPathSettingsAreRelativeToTheFile(t *testing.T) {
	for _, row := range table() {
		names := strings.HasSuffix(row.Arg, "FILE") || strings.HasSuffix(row.Arg, "FILES") ||
			strings.HasSuffix(row.Arg, "DIR") || strings.HasSuffix(row.Arg, "DIRS")
		within := row.Name == "config" || row.Name == "spa"
		checktest.Truef(t, (!names || within || row.path) && (!row.path || names),
			"%s %s: path is %v", row.Name, row.Arg, row.path)
	}
}
