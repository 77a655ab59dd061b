package settings

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"fapws/runtime/checktest"
)

func nowhereSet(string) (string, bool) { return "", false }

func read(t *testing.T, text string, flags ...string) (*Settings, error) {
	t.Helper()
	cmd := checktest.Try(ParseCommand(flags, nil)).Must(t)
	s := checktest.Try(New(cmd.Flags, nowhereSet)).Must(t)
	f := checktest.Try(ParseTOML("fapws.toml", "/etc/fapws", []byte(text), nil)).Must(t)
	return s, s.ReadFile(f, []string{"app", "host"})
}

// samples lists values as they appear in a configuration file. Each setting accepts at least one value.
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
	for one := range Texts(settingsText) {
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
		if !row.inFile() {
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
		"[127.0.0.1:80 unix:/etc/fapws/run/x.sock unix:@name]", 100<<20, 4096, 1500*time.Millisecond, 2*time.Minute, 5, 0o27,
		"/etc/fapws/logs/a", "[/private/=/etc/fapws/files /other/=/srv]", "[]", "/etc"))
	checktest.Equalf(t, s.Source("workers").String(), "flag --workers", "workers")
}

func TestFileHasPriorityBetweenEnvironmentAndScript(t *testing.T) {
	s := checktest.Try(New(Flags{}, func(name string) (string, bool) { return "7", name == "FAPWS_THREADS" })).Must(t)
	f := checktest.Try(ParseTOML("f", "/", []byte("threads = 2\nmax-queue = 3"), nil)).Must(t)
	checktest.Must(t, s.ReadFile(f, nil))
	script := map[string]any{"THREADS": int64(1), "MAX_QUEUE": int64(1), "BACKLOG": int64(9)}
	checktest.Must(t, s.ReadScript("app.py", script))
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

// The configuration file in serviceDir is used only if the command line names no application. All other configuration
// files are used with and without an application.
func TestConfigurationFileOfTheServiceIsForNoApplication(t *testing.T) {
	home, service := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Chdir(t.TempDir())
	defer func(dir string) { serviceDir = dir }(serviceDir)
	serviceDir = service
	set := checktest.Try(New(Flags{}, func(string) (string, bool) { return "", false })).Must(t)
	expect := func(appNamed bool, want string) {
		t.Helper()
		checktest.Equalf(t, FindFile(set, appNamed), want, "with an application %t", appNamed)
	}
	expect(false, "")
	expect(false, empty(t, filepath.Join(service, fileName)))
	expect(true, "")
	ofUser := empty(t, filepath.Join(home, "fapws", fileName))
	expect(false, ofUser)
	expect(true, ofUser)
	here := empty(t, fileName)
	expect(false, here)
	expect(true, here)
}

func empty(t *testing.T, name string) string {
	t.Helper()
	checktest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	checktest.Must(t, os.WriteFile(name, nil, 0o644))
	return name
}

func flat(t *TOMLTable, path string) (list []string) {
	for _, v := range t.Entries {
		list = append(list, flatValue(v, path+v.Key)...)
	}
	return list
}

func flatValue(v TOMLValue, path string) []string {
	list := []string{fmt.Sprintf("%s@%d", path, v.Line)}
	switch x := v.Any.(type) {
	case *TOMLTable:
		return append(list, flat(x, path+".")...)
	case []TOMLValue:
		for i, one := range x {
			list = append(list, flatValue(one, fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return list
}

func TestTOMLValuesHaveLineNumbers(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a = 1\nb = 2", "a@1 b@2"},
		{"\ufeff# x\n\na = 'b # c' # d\r\n  \"q\\u0041\" = \"\"\"1\n2\n3\"\"\"\nc = 1", "a@3 qA@4 c@7"},
		{"a = [\n 1, # x ] \n\n 2,\n]\nb = '''\n]'''\nc = 0", "a@1 a[0]@2 a[1]@4 b@6 c@8"},
		{"z = { y = 1, x = 2 }", "z@1 z.y@1 z.x@1"},
		{"a = { b = 1, c.d = '}' }\n'e.f' = 1", "a@1 a.b@1 a.c@1 a.c.d@1 e.f@2"},
		{"[[h]]\nn = 1\n[[h.r]]\np = 1\n[[h.r]]\np = 2\n[h.x]\ny = 1\n[[h]]\n[[h.r]]\n\np = 3\n[t]\nz = 1",
			"h@1 h[0]@1 h[0].n@2 h[0].r@3 h[0].r[0]@3 h[0].r[0].p@4 h[0].r[1]@5 h[0].r[1].p@6 h[0].x@7 h[0].x.y@8 " +
				"h[1]@9 h[1].r@10 h[1].r[0]@10 h[1].r[0].p@12 t@13 t.z@14"},
		{"a = \"\"\"x\\\n  \"\"\"\nb = \"\"\"\"q\"\"\"\"\"\nc = 1", "a@1 b@3 c@4"},
		{"a = [" + strings.Repeat("[1], ", 50) + "]", "a@1" + nested(50)},
		{"a = \"" + strings.Repeat("[", 50) + "\" # " + strings.Repeat("{", 50) + "\nb = \"\"\"\n" +
			strings.Repeat("[", 50) + "\"\"\"", "a@1 b@2"},
		{"d = 2020-01-01T00:00:00Z # x\na.b.c = 1", "d@1 a@2 a.b@2 a.b.c@2"},
	} {
		f, err := ParseTOML("f", "/", []byte(tt.text), nil)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		checktest.Equalf(t, strings.Join(flat(f.Top, ""), " "), tt.want, "%q", tt.text)
	}
}

func nested(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf(" a[%d]@1 a[%d][0]@1", i, i)
	}
	return s
}

func TestTOMLSyntaxErrorsAreReportedWithPosition(t *testing.T) {
	for text, want := range cases(t, "syntax-errors.txt") {
		_, err := ParseTOML("f.toml", "/", []byte(text), nil)
		checktest.Truef(t, err != nil && err.Error() == "f.toml:"+want, "%q: %v, want f.toml:%s", text, err, want)
	}
}

// FuzzParse checks that every key in a valid file has a line number. For an invalid file, it checks that the error is
// one line with the position of the mistake.
func FuzzParse(f *testing.F) {
	f.Add("a = 1\n[[h]]\nn = ['x', \"y\"]\n[h.t]\nq = { a.b = 1 }\n")
	f.Add("a = \"\"\"\n\"\"\"\"\n'b' = '''x'''''\n\"\\u0041\" = [[1], [{x = 1}]]")
	f.Add("a = 1979-05-27 07:32:00\nb = [1, # ]\n]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ParseTOML("f", "/", []byte(text), nil)
		if err != nil {
			var line, col int
			n, _ := fmt.Sscanf(err.Error(), "f:%d:%d: ", &line, &col)
			checktest.Needf(t, n == 2 && !strings.ContainsAny(err.Error(), "\r\n"), "%q: %q", text, err)
			return
		}
		lines := strings.Count(text, "\n") + 1
		last := 0
		for _, v := range file.Top.Entries {
			checktest.Needf(t, v.Line >= max(last, 1) && v.Line <= lines, "%q: %s on line %d of %d", text, v.Key, v.Line, lines)
			last = v.Line
		}
	})
}

// The reference shows the default that applies, also if only the explanation has it, and which settings a reload keeps.
func TestReferenceShowsEffectiveDefaults(t *testing.T) {
	var out bytes.Buffer
	writeMarkdown(&out)
	for _, row := range []string{
		"[`--state-dir`](#--state-dir) | Directory for what fapws keeps | `STATE_DIRECTORY` of systemd, `/var/lib/fapws` for root",
		"| a quarter of the memory |", "a script with PATHS: 0.0.0.0:8888", "- takes effect: after a restart, not a reload",
	} {
		checktest.Has(t, out.String(), row)
	}
}
