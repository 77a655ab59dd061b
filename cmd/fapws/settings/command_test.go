package settings

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Command
	}{
		{"app.py", Command{Word: WordRun, Script: "app.py"}},
		{"run app.py", Command{Word: WordRun, Script: "app.py"}},
		{"./run", Command{Word: WordRun, Script: "./run"}},
		{"-- app.py", Command{Word: WordRun, Script: "app.py"}},
		{"app.py -b :1 --help x", Command{Word: WordRun, Script: "app.py", Args: []string{"-b", ":1", "--help", "x"}}},
		{"check -b :1 app.py a", Command{Word: WordCheck, Script: "app.py", Args: []string{"a"},
			Flags: Flags{"bind": {"--bind", ":1"}}}},
		{"-b :1 check --bind=:2 app.py", Command{Word: WordCheck, Script: "app.py",
			Flags: Flags{"bind": {"--bind", ":1,:2"}}}},
		{"-t4 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"threads": {"--threads", "4"}}}},
		{"-t 1 -t 2 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"threads": {"--threads", "2"}}}},
		{"--listen :1 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"bind": {"--listen", ":1"}}}},
		{"--uds /a --uds /b app.py", Command{Word: WordRun, Script: "app.py",
			Flags: Flags{"bind": {"--uds", "unix:/a,unix:/b"}}}},
		{"--no-access-log app.py", Command{Word: WordRun, Script: "app.py",
			Flags: Flags{"access-log": {"--no-access-log", "off"}}}},
		{"--limit-request-field_size 9K app.py", Command{Word: WordRun, Script: "app.py",
			Flags: Flags{"limit-request-field-size": {"--limit-request-field-size", "9K"}}}},
		{"--print-config", Command{Word: WordPrintConfig}},
		{"", Command{Word: WordRun}},
		{"check", Command{Word: WordCheck}},
		{"--check-config app.py", Command{Word: WordCheck, Script: "app.py"}},
		{"--print-config app.py", Command{Word: WordPrintConfig, Script: "app.py"}},
		{"-h", Command{Word: WordHelp}},
		{"--help", Command{Word: WordHelp}},
		{"--help all", Command{Word: WordHelp, Topic: "all"}},
		{"--help=all", Command{Word: WordHelp, Topic: "all"}},
		{"help all", Command{Word: WordHelp, Topic: "all"}},
		{"check --help", Command{Word: WordHelp}},
		{"-V", Command{Word: WordVersion}},
		{"version", Command{Word: WordVersion}},
		{"internal man", Command{Word: WordInternal, Topic: "man"}},
		{"ctl --pid 3 stack", Command{Word: WordCtl, Args: []string{"--pid", "3", "stack"}}},
		{"ctl --help", Command{Word: WordCtl, Args: []string{"--help"}}},
	} {
		got, err := ParseCommand(Table(Machine{}), strings.Fields(tt.line))
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		if tt.want.Flags == nil {
			tt.want.Flags = Flags{}
		}
		if len(got.Args) == 0 {
			got.Args = nil
		}
		if !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.line, *got, tt.want)
		}
	}
}

func TestParseCommandRefuses(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"--thread 4 app.py", "unknown flag --thread, did you mean --threads?"},
		{"--keepalive 4 app.py", "unknown flag --keepalive, did you mean --keep-alive?"},
		{"--graceful 4 app.py", "unknown flag --graceful, did you mean --graceful-timeout?"},
		{"--bnid :80 app.py", "unknown flag --bnid, did you mean --bind?"},
		{"--zzzzzz app.py", "unknown flag --zzzzzz; fapws --help all lists the flags"},
		{"-q app.py", "unknown flag -q; fapws --help lists the flags"},
		{"--bind", "--bind needs a value: --bind ADDR"},
		{"-t", "--threads needs a value: --threads N"},
		{"--version=3", `--version takes no value, not "3"`},
		{"internal nonsense", "internal: must be one of man, completion, settings, keys"},
	} {
		_, err := ParseCommand(Table(Machine{}), strings.Fields(tt.line))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.line, err, tt.want)
		}
	}
}

func TestSplitApp(t *testing.T) {
	for _, tt := range []struct{ app, place, object, name string }{
		{"app.py", "app.py", "", "app.py"},
		{"dir/app.py:app", "dir/app.py", "app", "app.py"},
		{"pkg.mod:app.wsgi_app", "pkg.mod", "app.wsgi_app", "pkg.mod"},
		{"app:make()", "app", "make()", "app"},
		{"größe:färbe", "größe", "färbe", "größe"},
		{"c:/x/app.py", "c:/x/app.py", "", "app.py"},
		{"app:", "app:", "", "app:"},
		{"app:1x", "app:1x", "", "app:1x"},
		{":app", ":app", "", ":app"},
		{"a:b:c", "a:b", "c", "a:b"},
	} {
		place, object := SplitApp(tt.app)
		name := (&Command{Script: tt.app}).ScriptName()
		if place != tt.place || object != tt.object || name != tt.name {
			t.Errorf("SplitApp(%q) = %q, %q; called %q", tt.app, place, object, name)
		}
	}
}
