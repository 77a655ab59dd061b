package plan

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/checktest"
)

func TestApplicationIsFoundInTheDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"app.py": "app", "paths.py": "x = 1\nPATHS = []", "comment.py": "# my_PATHS",
		"config.py": "# no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS",
		"import.py": "from a import (b,\r\n\tPATHS)", "old.py": "#\rPATHS=[]", "wsgi": "no suffix",
		"a.b/c.py":        "dotted",
		"pkg/__init__.py": "pkg", "pkg/mod.py": "pkg.mod", "other/far.py": "far", "folder/x.txt": "",
	} {
		checktest.Must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		checktest.Must(t, os.WriteFile(name, []byte(text), 0o644))
	}
	for _, tt := range []struct{ name, want string }{
		{"app.py", "imports script app.py: app"},
		{"./app.py:app.x", "imports script ./app.py, object app.x: app"},
		{"app", "imports module app: app"},
		{"app:app", "imports module app, object app: app"},
		{"app:make()", "imports module app, object make(): app"},
		{"wsgi", "imports script wsgi: no suffix"},
		{"a.b/c.py", "imports script a.b/c.py: dotted"},
		{"paths.py", "runs script paths.py: x = 1\nPATHS = []"},
		{"paths.py:app", "imports script paths.py, object app: x = 1\nPATHS = []"},
		{"--interface=wsgi paths.py", "imports script paths.py: x = 1\nPATHS = []"},
		{"--factory paths.py", "imports script paths.py: x = 1\nPATHS = []"},
		{"paths", "imports module paths: x = 1\nPATHS = []"},
		{"comment.py", "imports script comment.py: # my_PATHS"},
		{"config.py", "imports script config.py: # no PATHS\nx = s.PATHS or d['PATHS'] # or PATHS"},
		{"import.py", "runs script import.py: from a import (b,\r\n\tPATHS)"},
		{"old.py", "runs script old.py: #\rPATHS=[]"},
		{"pkg", "imports module pkg: pkg"},
		{"pkg.mod:f", "imports module pkg.mod, object f: pkg.mod"},
		{"far", "imports module far: "},
		{"--pythonpath=other far", "imports module far: far"},
		{"missing", "imports module missing: "},
		{"folder", "cannot read folder: is a directory"},
		{"missing.py", "cannot read missing.py: no such file or directory; correct the name, or create it"},
		{"not-a-name", "cannot read not-a-name: no such file or directory; correct the name, or create it"},
		{"app:make(", "cannot read app:make(: no such file or directory; app: must be followed by the name of an " +
			"object, not \"make(\""},
	} {
		cmd := checktest.Try(settings.ParseCommand(strings.Fields(tt.name), KeyDocs)).Must(t)
		set := checktest.Try(settings.New(cmd.Flags, func(string) (string, bool) { return "", false })).Must(t)
		conf, _ := set.Config()
		got := ""
		factory := ""
		if conf.Factory {
			factory = "--factory"
		}
		if a, err := findApplication(settings.WordRun, cmd.Script, "", factory, conf); err != nil {
			got = err.Error()
		} else {
			got = map[bool]string{true: "imports ", false: "runs "}[a.Import]
			if a.Script != "" {
				got += "script " + a.Script
			} else {
				got += "module " + a.Module
			}
			if a.Object != "" {
				got += ", object " + a.Object
			}
			got += ": " + string(a.Source)
		}
		checktest.Equalf(t, got, tt.want, "%s", tt.name)
	}
}

func TestEnvFileIsParsed(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/home/me", "DIR": `C:\new ${A}`}[name]
		return v, ok
	}
	got, err := parseEnvFile(".env", "\ufeff# comment\r\nA=1\r\n export B = two words  # comment\nC='a $HOME "+
		"${HOME} \\n'\n"+
		"D=\"${HOME}/${A}\\n\\\"x\\\" \\${A}\" # comment\nE=\nF=\"first\nsecond\"\nG=a#b\nH=${NOTHING}x\nA=again\n"+
		"I=${NOTHING:-a b}/${E:-c}/${A:-d}\nJ=\"${E-e}${NOTHING-f:-g}${HOME:-}${NOTHING:-}\"\nK='${A:-d}'\n"+
		"L=${A:+set}/${E:+set}/${E+empty}/${NOTHING+set}${NOTHING:+set}\n"+
		"M=${NOTHING:-${A}}/${NOTHING:-a${E:-${NOTHING-b}}c}/${HOME:+<${A:+${HOME}>}}/${A:-${\n"+
		"N=\"${NOTHING:-\\${A\\}\\n${DIR}}\"\nO=${NOTHING:-${A}\n", lookup)
	want := map[string]string{
		"A": "again", "B": "two words", "C": `a $HOME ${HOME} \n`, "D": "/home/me/1\n\"x\" ${A}", "E": "",
		"F": "first\nsecond", "G": "a#b", "H": "x",
		"I": "a b/c/again", "J": "f:-g/home/me", "K": "${A:-d}",
		"L": "set//empty/", "M": "again/abc/</home/me>/${A:-${", "N": "${A}\nC:\\new ${A}", "O": "${NOTHING:-again",
	}
	checktest.Truef(t, err == nil && reflect.DeepEqual(got, want), "%q, %v; want %q", got, err, want)
	for text, want := range map[string]string{
		"A=1\n\nnonsense":          ".env:3: expected NAME=value",
		"A=\"1\n2\"\nB-C=1":        ".env:3: expected NAME=value",
		"A='1\n2":                  ".env:1: the quoted value of A is not closed",
		"A=\"1\" x":                ".env:1: the quoted value of A is not closed",
		"threads = 4\n[host]\nx=1": ".env:2: expected NAME=value",
		"A=\x00":                   ".env:1: expected NAME=value",
		"A=1\nB=" + strings.Repeat("${X:-", 12) +
			strings.Repeat("}", 12): ".env:2: the value of B nests ${ } more than 10 deep",
	} {
		_, err := parseEnvFile(".env", text, lookup)
		checktest.Truef(t, err != nil && err.Error() == want, "%q: %v, want %s", text, err, want)
	}
}

// A server is not open if it has a trusted proxy, or if a key auth, allow or deny restricts clients. A server is also
// not open if all entries of PATHS require a login.
func TestServerIsOpenWithoutRestrictionsOfClients(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                   true,
		"forwarded-allow-ips = '10.0.0.1'\n": false,
		"[[host]]\nroot = '.'\n":             true,
		"[[host]]\nroot = '.'\nallow = ['10.0.0.0/8']\n":                                      false,
		"[[host]]\nroot = '.'\n[[host.route]]\nprefix = '/a'\nstatus = 404\ndeny = ['all']\n": false,
		"[[host]]\nroot = '.'\nauth = { realm = 'x', users = 'y' }\n":                         false,
	} {
		name := filepath.Join(t.TempDir(), "fapws.toml")
		checktest.Must(t, os.WriteFile(name, []byte(text), 0o600))
		set := checktest.Try(settings.New(settings.Flags{}, func(key string) (string, bool) {
			return name, key == "FAPWS_CONFIG"
		})).Must(t)
		p, err := Read(&settings.CommandLine{}, set)
		checktest.Needf(t, err == nil && p.Mistakes == nil, "%v %v", err, p.Mistakes)
		conf := checktest.Try(set.Config()).Must(t)
		checktest.Equalf(t, p.IsOpen(&conf, nil), want, "%q: open", text)
		for logins, without := range map[string]bool{"": true, "yes": false, "yes yes": false, "yes no": true} {
			contents := &pybridge.Contents{Apps: []pybridge.Content{{}}}
			for _, login := range strings.Fields(logins) {
				contents.Apps[0].Table = append(contents.Apps[0].Table, pybridge.Mount{Login: strings.TrimPrefix(login, "no")})
			}
			checktest.Equalf(t, p.IsOpen(&conf, contents), want && without, "%q, entries with a login: %q: open", text, logins)
		}
	}
}

func TestOnlyAnApplicationThatStaysAtALineGetsAdvice(t *testing.T) {
	const serves, line = "app.py:7 <module>, in selectors.py:415 select", "the application is still loading after 10s"
	for _, c := range []struct{ first, second, want string }{
		{serves, serves, line + ": it executes " + serves +
			"; if this does not end, remove calls that wait or serve, such as app.run(), from its top level"},
		{"", serves, line + ": its modules are imported slowly; now it executes " + serves},
		{"app.py:1 <module>, in sql.py:3 <module>", "app.py:1 <module>, in sql.py:9 <module>",
			line + ": its modules are imported slowly; now it executes app.py:1 <module>, in sql.py:9 <module>"},
		{serves, "", line},
		{"", "", line},
	} {
		checktest.Equal(t, stillLoading(c.first, c.second), c.want)
	}
}
