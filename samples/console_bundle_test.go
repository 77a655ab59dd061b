package samples

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A bundle of the console has a terminal, and its users are outside of the directory that an update replaces.
func TestConsoleWorksAsABundle(t *testing.T) {
	t.Parallel()
	if fapwstest.IsWheel(t) {
		t.Skip("a wheel writes no bundle")
	}
	dir, site := t.TempDir(), copySample(t, "console")
	for _, name := range []string{"users", "settings.json", "firmware.bin", "pending.json"} {
		fapwstest.Write(t, site+"/instance/"+name, "left:out\n")
	}
	fapwstest.Write(t, site+"/users", "left:out\n")
	bundle := dir + "/console.bin"
	out := fapwstest.Command{Flags: []string{"bundle", site, "-o", bundle}}.Succeeds(t)
	for _, name := range []string{"users", "settings.json", "firmware.bin", "pending.json"} {
		fapwstest.Has(t, out, "left out: instance/"+name)
	}
	fapwstest.Must(t, os.RemoveAll(site))
	work, cache, state := dir+"/work", dir+"/cache", dir+"/state"
	fapwstest.Must(t, os.Mkdir(work, 0o700))
	c := fapwstest.Command{Program: bundle, Dir: work, Complains: true,
		Flags: []string{"-b", "127.0.0.1:0", "--state-dir", state},
		Env:   []string{"FAPWS_CACHE_DIR=" + cache, "CONSOLE_RUN=" + dir + "/run", "CONSOLE_SHELL=/bin/sh", "CONSOLE_KEEP=1"}}
	s := c.Start(t)
	address := "http://" + s.Says(`(?m)^  http://(\S+)/`)[1]
	code := s.Says(`log in with the code ([0-9A-Z-]+)`)[1]
	b := &box{t: t, dir: work}
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: fapwstest.Patience}
	_, form := b.ask(client, "GET", address+"/_fapws/login", nil)
	token := loginToken.FindStringSubmatch(form)
	fapwstest.Needf(t, token != nil, "no form: %s", form)
	status, text := b.ask(client, "POST", address+"/_fapws/login", map[string][]string{"token": {token[1]}, "code": {code},
		"name": {"admin"}, "password": {"correct horse"}, "again": {"correct horse"}, "next": {"/terminal"}})
	fapwstest.Needf(t, status == 200 && strings.Contains(text, "<h1>Terminal</h1>"), "%d %s", status, text)
	fapwstest.Has(t, fapwstest.Read(t, work+"/instance/users"), "admin:")
	users, _ := filepath.Glob(cache + "/*/app/*users")
	fapwstest.Equal(t, len(users), 0)

	cookies := ""
	request := fapwstest.Try(http.NewRequest("GET", address, nil)).Must(t)
	for _, cookie := range client.Jar.Cookies(request.URL) {
		cookies += cookie.String() + ";"
	}
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Cookie": {cookies}}, Timeout: fapwstest.Patience}
	shell, _, _, err := dialer.Dial(context.Background(), strings.Replace(address, "http", "ws", 1)+"/terminal/shell?1")
	fapwstest.Needf(t, err == nil, "%v", err)
	defer shell.Close()
	fapwstest.Must(t, wsutil.WriteClientBinary(shell, []byte{255, 24, 80}))
	fapwstest.Must(t, wsutil.WriteClientText(shell, []byte("echo $((6*7))fold\n")))
	for said := ""; !regexp.MustCompile("42fold").MatchString(said); {
		piece, _, err := wsutil.ReadServerData(shell)
		fapwstest.Needf(t, err == nil, "%v after %q", err, said)
		said += string(piece)
	}
	s.Stop()
}
