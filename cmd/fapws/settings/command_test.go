package settings

import (
	"fmt"
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

func TestCommandLineIsParsed(t *testing.T) {
	for line, want := range cases(t, "commands.txt") {
		cmd, err := ParseCommand(strings.Fields(line), nil)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got := fmt.Sprint(cmd.Word, " ", cmd.Topic, cmd.Script, " ", cmd.Args, " ", cmd.Flags)
		got = strings.Replace(got, "  ", " ", 1)
		checktest.Equalf(t, got, want, "%s", line)
	}
}

func TestSettingsPageBeginsWithFlagsThatCanBeTyped(t *testing.T) {
	for _, f := range first {
		cmd, err := ParseCommand(strings.Fields(strings.ReplaceAll(f.flags, "'", "")+" app.py"), nil)
		checktest.Mustf(t, err, "%s", f.flags)
		_, err = checktest.Try(New(cmd.Flags, nowhereSet)).Must(t).Config()
		checktest.Truef(t, err == nil && cmd.Script == "app.py", "%s: %v", f.flags, err)
	}
}

func TestCommandLineErrorsNameTheFlagAndAdvice(t *testing.T) {
	for line, want := range cases(t, "command-errors.txt") {
		cmd, err := ParseCommand(strings.Fields(line), nil)
		if err == nil {
			var set *Settings
			if set, err = New(cmd.Flags, nowhereSet); err == nil {
				_, err = set.Config()
			}
		}
		checktest.Truef(t, err != nil && err.Error() == want, "%s:\n got %v\nwant %s", line, err, want)
	}
}

// cases iterates over the entries of a file in testdata: an input, which may be a literal of Go, and what is wanted.
func cases(t *testing.T, file string) iter.Seq2[string, string] {
	t.Helper()
	text := checktest.Try(os.ReadFile("testdata/" + file)).Must(t)
	return func(yield func(input, want string) bool) {
		for one := range Texts(string(text)) {
			input, err := strconv.Unquote(one.Head)
			if err != nil {
				input = one.Head
			}
			if !yield(input, strings.ReplaceAll(one.Text, `\n`, "\n")) {
				return
			}
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
		name := (&CommandLine{Script: tt.app}).ScriptName()
		checktest.Truef(t, place == tt.place && object == tt.object && name == tt.name,
			"SplitApp(%q) = %q, %q; called %q", tt.app, place, object, name)
	}
}

// foreign.txt contains advice for flags of other servers. If fapws has a flag with the same name, the row must
// have a condition for the value (when).
func TestForeignFlagsAreAnsweredWithFlagsThatExist(t *testing.T) {
	ours := map[string]bool{"--": true, "--json": true, "--system": true}
	for _, row := range append(commands, table()...) {
		for _, one := range row.names() {
			ours["--"+one.name] = true
			checktest.Equalf(t, foreignAnswer("--"+one.name, "12345"), "", "--%s", one.name)
		}
		if row.Short != "" {
			ours["-"+row.Short] = true
		}
		if row.Arg == "" {
			ours["--no-"+row.Name] = true
		}
	}
	seen := map[string]bool{}
	for f := range Texts(foreignText) {
		names, when, _ := strings.Cut(f.Head, " ~ ")
		_, err := regexp.Compile(when)
		checktest.Equal(t, err, nil)
		for name := range strings.FieldsSeq(names) {
			checktest.Truef(t, (!ours[name] || when != "") && !seen[name+" "+when] && !seen[name+" "],
				"%s is a flag of fapws, or its row is never reached", name)
			seen[name+" "+when] = true
		}
		if strings.HasPrefix(names, "-") {
			for _, word := range strings.Fields(f.Text) {
				word = strings.TrimRight(word, ",;.:)")
				if name, _, _ := strings.Cut(word, "="); strings.HasPrefix(name, "-") && name != "-" && !ours[name] {
					t.Errorf("%s: the answer names %s, which is not a flag", names, name)
				}
			}
		}
	}
}

// The file flags.txt lists the flags of other servers, as their --help shows them.
func TestEachFlagOfAnotherServerIsTakenOrAnswered(t *testing.T) {
	for line := range strings.Lines(string(checktest.Try(os.ReadFile("testdata/flags.txt")).Must(t))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, flag := range strings.Fields(line) {
			_, err := ParseCommand([]string{flag + "=1", "app.py"}, nil)
			checktest.Truef(t, err == nil ||
				!strings.Contains(err.Error(), "lists the flags") && !strings.Contains(err.Error(), "did you mean"), "%v", err)
		}
	}
}

func TestEachDirectiveOfNginxIsAnswered(t *testing.T) {
	for line := range strings.Lines(string(checktest.Try(os.ReadFile("testdata/nginx.txt")).Must(t))) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, directive := range strings.Fields(line) {
			checktest.Truef(t, foreignKey(directive) != "", "%s", directive)
		}
	}
}

func TestWordsOfDjangoAreAnswered(t *testing.T) {
	for typed, want := range map[[2]string]string{
		{"runserver", "0.0.0.0:8000"}: "to serve a Django site, type fapws -b 0.0.0.0:8000 PROJECT.wsgi",
		{"runserver", "8000"}:         "to serve a Django site, type fapws -b 8000 PROJECT.wsgi",
		{"runserver", ""}:             "to serve, type fapws APP",
		{"migrate", ""}:               "a command of Django, type it after python manage.py",
	} {
		checktest.Equal(t, UnknownWord(typed[0], typed[1]), want)
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
		"unknown variable FAPWS_WORKER_CLASS in the environment: not needed, remove it; fapws has one kind of worker, " +
			"for WSGI and ASGI; --threads sets its threads, 0 runs handlers inline",
		"unknown variable FAPWS_XYZZY in the environment; fapws --help all lists the settings",
	}
	checktest.Equal(t, got, want)
}
