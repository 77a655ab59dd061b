package settings

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestCommandLineIsParsed(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Command
	}{
		{"app.py", Command{Word: WordRun, Script: "app.py"}},
		{"run app.py", Command{Word: WordRun, Script: "app.py"}},
		{"./run", Command{Word: WordRun, Script: "./run"}},
		{"-- a -b", Command{Word: WordRun, Args: []string{"a", "-b"}}},
		{"-w 2 -- a", Command{Word: WordRun, Args: []string{"a"}, Flags: Flags{"workers": {"--workers", "2"}}}},
		{"app.py -b :1 -w2", Command{Word: WordRun, Script: "app.py",
			Flags: Flags{"bind": {"--bind", ":1"}, "workers": {"--workers", "2"}}}},
		{"app.py -b :1 -- -w 3 -- x", Command{Word: WordRun, Script: "app.py", Args: []string{"-w", "3", "--", "x"},
			Flags: Flags{"bind": {"--bind", ":1"}}}},
		{"app.py --", Command{Word: WordRun, Script: "app.py"}},
		{"app.py --help", Command{Word: WordHelp, Topic: "run"}},
		{"app.py -- --help", Command{Word: WordRun, Script: "app.py", Args: []string{"--help"}}},
		{"check -b :1 app.py -- a", Command{Word: WordCheck, Script: "app.py", Args: []string{"a"},
			Flags: Flags{"bind": {"--bind", ":1"}}}},
		{"check app.py -t 3", Command{Word: WordCheck, Script: "app.py", Flags: Flags{"timeout": {"--timeout", "3"}}}},
		{"-p 8000 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"port": {"--port", "8000"}}}},
		{"app.py --debug", Command{Word: WordRun, Script: "app.py", Flags: Flags{"debug": {"--debug", "1"}}}},
		{"--debug app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"debug": {"--debug", "1"}}}},
		{"--debug 2 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"debug": {"--debug", "2"}}}},
		{"--debug true app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"debug": {"--debug", "true"}}}},
		{"--debug --reload app.py -- --debug", Command{Word: WordRun, Script: "app.py", Args: []string{"--debug"},
			Flags: Flags{"debug": {"--debug", "1"}, "reload": {"--reload", "yes"}}}},
		{"--no-compress app.py", Command{Word: WordRun, Script: "app.py",
			Flags: Flags{"compress": {"--no-compress", "no"}}}},
		{"--fd 3 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"bind": {"--fd", "fd://3"}}}},
		{"main:app --app-dir src", Command{Word: WordRun, Script: "main:app",
			Flags: Flags{"pythonpath": {"--app-dir", "src"}}}},
		{"-b :1 check --bind=:2 app.py", Command{Word: WordCheck, Script: "app.py",
			Flags: Flags{"bind": {"--bind", ":1,:2"}}}},
		{"-t4 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"timeout": {"--timeout", "4"}}}},
		{"-w 1 -w 2 app.py", Command{Word: WordRun, Script: "app.py", Flags: Flags{"workers": {"--workers", "2"}}}},
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
		{"-h", Command{Word: WordHelp, Topic: "run"}},
		{"--help", Command{Word: WordHelp, Topic: "run"}},
		{"help ctl", Command{Word: WordHelp, Topic: "ctl"}},
		{"app.py --log-level critical", Command{Word: WordRun, Script: "app.py",
			Flags: Flags{"log-level": {"--log-level", "critical"}}}},
		{"--help all", Command{Word: WordHelp, Topic: "all"}},
		{"--help=all", Command{Word: WordHelp, Topic: "all"}},
		{"help all", Command{Word: WordHelp, Topic: "all"}},
		{"check --help", Command{Word: WordHelp, Topic: "check"}},
		{"-V", Command{Word: WordVersion}},
		{"version", Command{Word: WordVersion}},
		{"internal man", Command{Word: WordInternal, Topic: "man"}},
		{"ctl --pid 3 stack", Command{Word: WordCtl, Args: []string{"--pid", "3", "stack"}}},
		{"ctl --help", Command{Word: WordCtl, Args: []string{"--help"}}},
	} {
		got, err := ParseCommand(strings.Fields(tt.line))
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

func TestCommandLineErrorsNameTheFlagAndAdvice(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"--thread 4 app.py", "unknown flag --thread, did you mean --threads?"},
		{"--keepalive 4 app.py", "unknown flag --keepalive, did you mean --keep-alive?"},
		{"--graceful 4 app.py", "unknown flag --graceful, did you mean --graceful-timeout?"},
		{"--bnid :80 app.py", "unknown flag --bnid, did you mean --bind?"},
		{"--maxbody 4 app.py", "unknown flag --maxbody, did you mean --max-body-size?"},
		{"--BodySize 4 app.py", "unknown flag --BodySize, did you mean --max-body-size?"},
		{"--clients 4 app.py", "unknown flag --clients, did you mean --max-clients?"},
		{"--size-max-body 4 app.py", "unknown flag --size-max-body, did you mean --max-body-size?"},
		{"--zzzzzz app.py", "unknown flag --zzzzzz; fapws --help all lists the flags"},
		{"--foo app.py", "unknown flag --foo; fapws --help all lists the flags"},
		{"-q app.py", "unknown flag -q: use --log-level error"},
		{"check --thread 4 app.py --zz=1 -xy --zz --bind=:80 --threadz 5 -- --foo",
			"unknown flag --thread, did you mean --threads?\nunknown flag --zz; fapws --help all lists the flags\n" +
				"unknown flag -x; fapws --help all lists the flags\nunknown flag -y; fapws --help all lists the " +
				"flags\nunknown flag --threadz, did you mean --threads?"},
		{"-x app.py", "unknown flag -x; fapws --help all lists the flags"},
		{"-é app.py", "unknown flag -é; fapws --help all lists the flags"},
		{"—workers 2 app.py", "—workers begins with another dash than the minus sign of the keyboard; type --workers"},
		{"-–workers 2 app.py", "-–workers begins with another dash than the minus sign of the keyboard; type --workers"},
		{"-workers 2 app.py", "-workers has one dash only; type --workers"},
		{"app.py -max_body_size=5M", "-max_body_size=5M has one dash only; type --max_body_size=5M"},
		{"app.py –w 2", "–w begins with another dash than the minus sign of the keyboard; type -w"},
		{"help --all", "unknown flag --all: every flag is listed by fapws --help all"},
		{"--inline app.py", "unknown flag --inline: use --threads 0"},
		{"app.py --foo", "unknown flag --foo; arguments of the application follow --: fapws app.py -- --foo"},
		{"app.py -x", "unknown flag -x; arguments of the application follow --: fapws app.py -- -x"},
		{"app.py --thread 4", "unknown flag --thread, did you mean --threads? Arguments of the application follow " +
			"--: fapws app.py -- --thread"},
		{"-k gthread app:app", "unknown flag -k: fapws has one kind of worker, for WSGI and ASGI; --threads sets its " +
			"threads, 0 runs handlers inline"},
		{"app:app --worker_class=gevent",
			"unknown flag --worker_class: fapws has one kind of worker, for WSGI and ASGI; --threads sets its " +
				"threads, 0 runs handlers inline"},
		{"app.py foo bar", "unexpected word foo after app.py; arguments of the application follow --: fapws " +
			"app.py -- foo bar"},
		{"app.py 8000", "unexpected word 8000 after app.py: for a port use -p 8000"},
		{"uvicorn main:app", "unknown command uvicorn: fapws replaces this command; type fapws main:app"},
		{"flask run", "unknown command flask: fapws replaces this command; type fapws APP, such as main:app or app.py"},
		{"app.py :8000", "unexpected word :8000 after app.py: for an address use -b :8000"},
		{"main 127.0.0.1:8000", "unexpected word 127.0.0.1:8000 after main: for an address use -b 127.0.0.1:8000"},
		{"app.py check", "unexpected word check after app.py: a command precedes the application, fapws check app.py"},
		{"chekc app.py", "unknown command chekc: did you mean fapws check app.py?"},
		{"hash-pasword ada", "unknown command hash-pasword: did you mean fapws hash-password?"},
		{"serve app.py", "unknown command serve: to serve, type fapws app.py"},
		{"main:app --ws-per-message-deflate false",
			"unexpected word false: --ws-per-message-deflate takes a value only with =, " +
				"--ws-per-message-deflate=false"},
		{"8000", "8000 is a port, not an application: type fapws -p 8000 APP"},
		{"localhost:8000 -w 2", "localhost:8000 is an address, not an application: type fapws -b localhost:8000 APP"},
		{"http://127.0.0.1:8000/ app.py",
			"127.0.0.1:8000 is an address, not an application: type fapws -b 127.0.0.1:8000 app.py"},
		{"--reload true app.py", "unexpected word true: --reload takes a value only with =, --reload=true"},
		{"--worker 2 app.py", "unknown flag --worker, did you mean --workers?"},
		{"run app.py -h 0.0.0.0", "-h shows the help; for an address use --host 0.0.0.0"},
		{"-h 127.0.0.1 app.py", "-h shows the help; for an address use --host 127.0.0.1"},
		{"--no-access-log=1 app.py", `--no-access-log takes no value, not "1"`},
		{"--bind", "--bind needs a value: --bind ADDR"},
		{"-C", "--chdir needs a value: --chdir DIR"},
		{"-p /run/x.pid", "-p /run/x.pid: -p is the port; a pid file is --pid FILE"},
		{"--version=3", `--version takes no value, not "3"`},
		{"internal nonsense", "internal: must be one of man, completion, settings, keys"},
	} {
		_, err := ParseCommand(strings.Fields(tt.line))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.line, err, tt.want)
		}
	}
}

func TestAppIsSplitIntoPlaceObjectAndName(t *testing.T) {
	for _, tt := range []struct{ app, place, object, name string }{
		{"app.py", "app.py", "", "app.py"},
		{"dir/app.py:app", "dir/app.py", "app", "app.py"},
		{"pkg.mod:app.wsgi_app", "pkg.mod", "app.wsgi_app", "pkg.mod"},
		{"app:make()", "app", "make()", "app"},
		{"dir/app.py:make('redis://h:1/(2)', a=1)", "dir/app.py", "make('redis://h:1/(2)', a=1)", "app.py"},
		{"dir (1)/app.py:app", "dir (1)/app.py", "app", "app.py"},
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

// The table foreign contains advice for flags of other servers. If fapws has a flag with the same name, the row must
// have a condition for the value (when).
func TestForeignFlagsAreAnsweredWithFlagsThatExist(t *testing.T) {
	ours := map[string]bool{"--": true, "--json": true, "--system": true}
	for _, row := range append(commands, table()...) {
		for _, one := range row.names() {
			ours["--"+one.name] = true
			if answer := foreignAnswer("--"+one.name, "12345"); answer != "" {
				t.Errorf("--%s: %s", one.name, answer)
			}
		}
		if row.Short != "" {
			ours["-"+row.Short] = true
		}
		if row.Arg == "" {
			ours["--no-"+row.Name] = true
		}
	}
	seen := map[string]bool{}
	for _, f := range foreign {
		if _, err := regexp.Compile(f.when); err != nil {
			t.Error(err)
		}
		for _, name := range strings.Fields(f.names) {
			if ours[name] && f.when == "" || seen[name+" "+f.when] || seen[name+" "] {
				t.Errorf("%s is a flag of fapws, or its row is never reached", name)
			}
			seen[name+" "+f.when] = true
		}
		if strings.HasPrefix(f.names, "-") {
			for _, word := range strings.Fields(f.answer) {
				word = strings.TrimRight(word, ",;.:)")
				if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "-") && name != "-" && !ours[name] {
					t.Errorf("%s: the answer names %s, which is not a flag", f.names, name)
				}
			}
		}
	}
}

// The file flags.txt lists the flags of other servers, as their --help shows them.
func TestEachFlagOfAnotherServerIsTakenOrAnswered(t *testing.T) {
	text, err := os.ReadFile("testdata/flags.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, flag := range strings.Fields(line) {
			_, err := ParseCommand([]string{flag + "=1", "app.py"})
			if err != nil && (strings.Contains(err.Error(), "lists the flags") ||
				strings.Contains(err.Error(), "did you mean")) {
				t.Error(err)
			}
		}
	}
}

func TestUnknownVariablesAreReportedWithAdvice(t *testing.T) {
	got := UnknownVariables([]string{
		"FAPWS_BIND=:80", "FAPWS_TIMEOT=3", "FAPWS_WORKER_CLASS=gevent", "_FAPWS_HANDOVER=4", "FAPWS_QUEU=3",
		"FAPWS_EMPTY=", "FAPWS_XYZZY=1", "PATH=/bin",
	})
	want := []string{
		"unknown variable FAPWS_QUEU in the environment, did you mean FAPWS_MAX_QUEUE?",
		"unknown variable FAPWS_TIMEOT in the environment, did you mean FAPWS_TIMEOUT?",
		"unknown variable FAPWS_WORKER_CLASS in the environment: fapws has one kind of worker, for WSGI and ASGI; " +
			"--threads sets its threads, 0 runs handlers inline",
		"unknown variable FAPWS_XYZZY in the environment; fapws --help all lists the settings",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
