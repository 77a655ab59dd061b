package settings

import (
	"strings"
	"testing"
)

func TestDevBindsLoopbackAndReloads(t *testing.T) {
	for _, tt := range []struct {
		line, env, server string
		bind              string
		reload            bool
		debug, loop       int
	}{
		{line: "app.py", bind: "0.0.0.0:8888"},
		{line: "--dev app.py", bind: "127.0.0.1:8888", reload: true, debug: 1},
		{line: "app.py", env: "FAPWS_DEV=yes", bind: "127.0.0.1:8888", reload: true, debug: 1},
		{line: "--dev --port 9000 app.py", bind: "127.0.0.1:9000", reload: true, debug: 1},
		{line: "--dev --port 9000 app.py", server: "unix:/x", bind: "127.0.0.1:9000", reload: true, debug: 1},
		{line: "--dev --host ::1 app.py", bind: "[::1]:8888", reload: true, debug: 1},
		{line: "--dev --bind localhost:80 app.py", bind: "localhost:80", reload: true, debug: 1},
		{line: "--dev --bind 127.1.2.3:80,unix:/x app.py", bind: "127.1.2.3:80,unix:/x", reload: true, debug: 1},
		{line: "--dev --debug 0 app.py", bind: "127.0.0.1:8888", reload: true},
		{line: "--dev --debug 2 app.py", bind: "127.0.0.1:8888", reload: true, debug: 2, loop: 2},
		{line: "--dev app.py", server: "127.0.0.1:1", bind: "127.0.0.1:1", reload: true, debug: 1},
		{line: "--dev --dev-anywhere app.py", bind: "127.0.0.1:8888", reload: true, debug: 1},
		{line: "--dev --dev-anywhere --bind :80 app.py", bind: ":80", reload: true, debug: 1},
		{line: "--dev-anywhere app.py", bind: "0.0.0.0:8888"},
	} {
		c, err := settled(t, tt.line, tt.env, tt.server)
		if err != nil {
			t.Errorf("%s %s: %v", tt.env, tt.line, err)
			continue
		}
		if got := strings.Join(c.Bind, ","); got != tt.bind {
			t.Errorf("%s %s: bind %s, want %s", tt.env, tt.line, got, tt.bind)
		}
		if c.Reload != tt.reload || c.Debug != tt.debug || c.Server.Debug != tt.loop {
			t.Errorf("%s %s: reload %v, debug %d, of the loop %d, want %v, %d, %d",
				tt.env, tt.line, c.Reload, c.Debug, c.Server.Debug, tt.reload, tt.debug, tt.loop)
		}
	}
}

func TestDevRejectsAddressesOfVariablesAndScriptsThatOthersCanReach(t *testing.T) {
	for _, tt := range []struct{ env, server, want string }{
		{"FAPWS_BIND=10.0.0.1", "", "10.0.0.1:8888 (environment FAPWS_BIND)"},
		{"", "0.0.0.0:8888", "0.0.0.0:8888 (script app.py (SERVER))"},
	} {
		_, err := settled(t, "--dev app.py", tt.env, tt.server)
		if err == nil || !strings.Contains(err.Error(), "but "+tt.want+" is reachable from others") {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func settled(t *testing.T, line, env, server string) (Config, error) {
	t.Helper()
	cmd, err := ParseCommand(strings.Fields(line))
	if err != nil {
		t.Fatal(err)
	}
	set, err := New(cmd.Flags, func(name string) (string, bool) {
		key, value, _ := strings.Cut(env, "=")
		return value, name == key
	})
	if err != nil {
		t.Fatal(err)
	}
	if server != "" {
		if err := set.ReadScript("app.py", map[string]any{"SERVER": server}); err != nil {
			t.Fatal(err)
		}
	}
	return set.Config()
}
