package sites_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func basicAuth(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\n"
}

// 40 clients of one address send wrong passwords as fast as they can: some wait for the response, half of them send
// several requests at once, most disconnect.
func TestRightPasswordsAreAnsweredDuringAFloodOfWrongOnes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var text strings.Builder
	const honest = 3
	for i := range honest {
		hash := fapwstest.Try(bcrypt.GenerateFromPassword(fmt.Appendf(nil, "right password %d", i), bcrypt.MinCost)).Must(t)
		fmt.Fprintf(&text, "user%d:%s\n", i, hash)
	}
	users := fapwstest.Write(t, filepath.Join(dir, "users"), text.String())
	config := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"),
		fmt.Sprintf("[[host]]\n[[host.route]]\nprefix = \"/basic\"\nstatus = 200\ntext = \"basic\"\nauth = { users = "+
			"%q }\n[[host.route]]\nprefix = \"/\"\nstatus = 200\ntext = \"form\"\nlogin = %q\n", users, users))
	s := fapwstest.Command{Flags: []string{"-c", config, "--state-dir", dir + "/state"}}.Serve(t, fapwstest.Threads)

	var flood sync.WaitGroup
	var wrong atomic.Int64
	var over atomic.Bool
	for i := range 40 {
		flood.Go(func() {
			for n := 0; !over.Load(); n++ {
				c, err := net.Dial("tcp", s.Address)
				if err != nil {
					continue
				}
				for k := range 1 + 31*(i%2) {
					fmt.Fprintf(c, "GET /basic HTTP/1.1\r\nHost: x\r\n%s\r\n", basicAuth(fmt.Sprint("user", k%honest),
						fmt.Sprintf("wrong %d %d %d", i, n, k)))
				}
				if i%8 < 2 {
					_ = c.SetReadDeadline(time.Now().Add(time.Second))
					_, _ = c.Read(make([]byte, 1000))
				} else {
					c.(*net.TCPConn).CloseWrite()
				}
				wrong.Add(1)
				c.Close()
			}
		})
	}
	fapwstest.Eventually(t, "the flood", func() bool { return wrong.Load() > 1000 })
	for i := range honest {
		name, password := fmt.Sprint("user", i), fmt.Sprint("right password ", i)
		s.Ask("GET /basic HTTP/1.0\r\n"+basicAuth(name, password)+"\r\n").Want(t, 200)
		if i == 0 {
			v := visit(t, s.URL)
			v.logIn(name, password, "/x").want(t, 303, "Location: /x")
			v.get("/x").want(t, 200, "form")
		}
	}
	over.Store(true)
	flood.Wait()
}

// With HTTP/2, eight requests of one connection have traces of their own, but share the limit of the connection.
func TestFormChecksOnePasswordOfAConnectionAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hash := fapwstest.Try(bcrypt.GenerateFromPassword([]byte("right password"), 12)).Must(t)
	users := fapwstest.Write(t, filepath.Join(dir, "users"), fmt.Sprintf("admin:%s\n", hash))
	config := fapwstest.Write(t, filepath.Join(dir, "fapws.toml"),
		fmt.Sprintf("trace = true\nh2c = true\n[[host]]\n[[host.route]]\nprefix = \"/\"\nstatus = 200\nlogin = %q\n", users))
	s := fapwstest.Command{Flags: []string{"-c", config, "--state-dir", dir + "/state"}}.Serve(t, fapwstest.Threads)
	v := visit(t, s.URL)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	v.client.Transport = transport
	defer transport.CloseIdleConnections()
	token := tokenOf.FindStringSubmatch(v.get("/_fapws/login").body)[1]
	var busy atomic.Int64
	fapwstest.AtOnce(8, func(i int) {
		form := url.Values{"token": {token}, "name": {"admin"}, "password": {fmt.Sprint("wrong ", i)}}
		a, err := v.client.PostForm(s.URL+"/_fapws/login", form)
		if err != nil {
			t.Error(err)
			return
		}
		a.Body.Close()
		if a.StatusCode == 503 {
			busy.Add(1)
		}
	})
	fapwstest.Truef(t, busy.Load() != 0, "all passwords were checked")
}
