package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fapws/cmd/fapws/settings"
	"fapws/pybridge"
	"fapws/runtime/checktest"
)

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
		p, err := Read(&settings.Command{}, set)
		checktest.Needf(t, err == nil && p.Mistakes == nil, "%v %v", err, p.Mistakes)
		conf := checktest.Try(set.Config()).Must(t)
		checktest.Equalf(t, p.IsOpen(&conf, nil), want, "%q: open", text)
		for logins, without := range map[string]bool{"": true, "yes": false, "yes yes": false, "yes no": true} {
			contents := &pybridge.Contents{Apps: []pybridge.Content{{}}}
			for _, login := range strings.Fields(logins) {
				contents.Apps[0].Table = append(contents.Apps[0].Table,
					pybridge.Mount{Login: strings.TrimPrefix(login, "no")})
			}
			checktest.Equalf(t, p.IsOpen(&conf, contents), want && without, "%q, entries with a login: %q: open", text, logins)
		}
	}
}
