package samples

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A console in a bundle works as outside of one: login over HTTPS, live values, upload, terminal. The data of the console
// that was bundled are left out, and its own are outside of the directory that an update replaces.
func TestConsoleWorksAsABundle(t *testing.T) {
	t.Parallel()
	if fapwstest.IsWheel(t) {
		t.Skip("a wheel writes no bundle")
	}
	dir, site := t.TempDir(), copySample(t, "console")
	for _, file := range []string{"users", "instance/users", "instance/settings.json", "instance/firmware.bin"} {
		fapwstest.Write(t, filepath.Join(site, file), "left:out\n")
	}
	bundle := dir + "/console.bin"
	env := []string{"CONSOLE_INSTALL=true"}
	out := fapwstest.Command{Dir: dir, Env: env, Flags: []string{"bundle", site, "-o", "console.bin"}}.Succeeds(t)
	fapwstest.Has(t, out, "left out: instance (the server writes there; --include takes it)\nleft out: users (")
	fapwstest.Lacks(t, fapwstest.Command{Flags: []string{"bundle", "--list", bundle}}.Succeeds(t), "app/instance")
	fapwstest.Must(t, os.RemoveAll(site))
	work, cache, state := dir+"/work", dir+"/cache", dir+"/state"
	fapwstest.Must(t, os.Mkdir(work, 0o700))
	s := fapwstest.Command{Program: bundle, Dir: work, Complains: true,
		Flags: []string{"-b", "127.0.0.1:0", "--tls", "auto", "--state-dir", state},
		Env: append(env, "FAPWS_CACHE_DIR="+cache, "CONSOLE_RUN="+dir+"/run", "CONSOLE_SHELL=/bin/sh",
			"CONSOLE_KEEP=1")}.Start(t)
	address := s.Says(`(?m)^  (https://\S+)/`)[1]
	code := s.Says(`log in with the code ([0-9A-Z-]+)`)[1]
	b := &box{t: t, dir: work}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM([]byte(fapwstest.Read(t, state+"/tls/ca.pem")))
	settings := &tls.Config{RootCAs: trusted}
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Timeout: fapwstest.Patience, Transport: &http.Transport{TLSClientConfig: settings}}
	_, form := b.ask(client, "GET", address+"/_fapws/login", nil)
	token := loginToken.FindStringSubmatch(form)
	fapwstest.Needf(t, token != nil, "no form: %s", form)
	status, text := b.ask(client, "POST", address+"/_fapws/login", map[string][]string{"token": {token[1]}, "code": {code},
		"name": {"admin"}, "password": {"correct horse"}, "again": {"correct horse"}, "next": {"/terminal"}})
	fapwstest.Needf(t, status == 200 && strings.Contains(text, "<h1>Terminal</h1>"), "%d %s", status, text)
	fapwstest.Has(t, fapwstest.Read(t, work+"/instance/users"), "admin:")

	values := fapwstest.Try(client.Get(address + "/values")).Must(t)
	defer values.Body.Close()
	awaitText(t, `id="CPU-number"`, func() (string, error) {
		piece := make([]byte, 4096)
		n, err := values.Body.Read(piece)
		return string(piece[:n]), err
	})
	image := fapwstest.Try(client.Post(address+"/firmware-image", "application/octet-stream", strings.NewReader("firmware"))).Must(t)
	defer image.Body.Close()
	text = string(fapwstest.Try(io.ReadAll(image.Body)).Must(t))
	fapwstest.Has(t, text, fmt.Sprintf("%x", sha256.Sum256([]byte("firmware"))))
	fapwstest.Equal(t, fapwstest.Read(t, work+"/instance/firmware.bin"), "firmware")
	written, _ := filepath.Glob(cache + "/*/app/instance")
	fapwstest.Equal(t, len(written), 0)

	cookies := ""
	request := fapwstest.Try(http.NewRequest("GET", address, nil)).Must(t)
	for _, cookie := range jar.Cookies(request.URL) {
		cookies += cookie.String() + ";"
	}
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Cookie": {cookies}}, Timeout: fapwstest.Patience, TLSConfig: settings}
	shell, _, _, err := dialer.Dial(context.Background(), strings.Replace(address, "http", "ws", 1)+"/terminal/shell?1")
	fapwstest.Needf(t, err == nil, "%v", err)
	defer shell.Close()
	fapwstest.Must(t, wsutil.WriteClientBinary(shell, []byte{255, 24, 80}))
	fapwstest.Must(t, wsutil.WriteClientText(shell, []byte("echo $((6*7))fold\n")))
	awaitText(t, "42fold", func() (string, error) {
		piece, _, err := wsutil.ReadServerData(shell)
		return string(piece), err
	})
	s.Stop()
}

// awaitText reads until the pieces contain a text.
func awaitText(t *testing.T, text string, read func() (string, error)) {
	t.Helper()
	for said := ""; !strings.Contains(said, text); {
		piece, err := read()
		said += piece
		fapwstest.Needf(t, err == nil || strings.Contains(said, text), "%v after %q", err, said)
	}
}
