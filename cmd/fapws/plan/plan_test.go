package plan

import (
	"os"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/settings"
)

// TestOpen: a trusted proxy, auth, allow and deny restrict clients.
func TestOpen(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                   true,
		"forwarded-allow-ips = '10.0.0.1'\n": false,
		"[[host]]\nroot = '.'\n":             true,
		"[[host]]\nroot = '.'\nallow = ['10.0.0.0/8']\n":                                      false,
		"[[host]]\nroot = '.'\n[[host.route]]\nprefix = '/a'\nstatus = 404\ndeny = ['all']\n": false,
		"[[host]]\nroot = '.'\nauth = { realm = 'x', users = 'y' }\n":                         false,
	} {
		name := filepath.Join(t.TempDir(), "fapws.toml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := settings.New(settings.Table(settings.Machine{}), settings.Flags{}, func(key string) (string, bool) {
			return name, key == "FAPWS_CONFIG"
		})
		if err != nil {
			t.Fatal(err)
		}
		p, err := read(&settings.Command{}, set)
		if err != nil || p.Mistakes != nil {
			t.Fatal(err, p.Mistakes)
		}
		conf, err := set.Config()
		if err != nil {
			t.Fatal(err)
		}
		if got := p.IsOpen(&conf); got != want {
			t.Errorf("%q: open is %v", text, got)
		}
	}
}
