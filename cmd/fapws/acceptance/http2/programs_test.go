package http2_test

import (
	"os/exec"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// With TLS, the programs select HTTP/2 by ALPN.
func TestCommonProgramsUseHTTP2(t *testing.T) {
	t.Parallel()
	plain, secure := serve(t, fapwstest.Threads, "app.py"), serveTLS(t, fapwstest.Threads, "app.py")
	for _, c := range []struct {
		command string
		want    string
	}{
		{"curl -sS --http2-prior-knowledge " + plain.URL + "/show", `"SERVER_PROTOCOL": "HTTP/2.0"`},
		{"curl -sS -k --http2 " + secure.URL + "/show", `"SERVER_PROTOCOL": "HTTP/2.0"`},
		{"curl -sS -k --http1.1 " + secure.URL + "/show", `"SERVER_PROTOCOL": "HTTP/1.1"`},
		{"curl -sS -k --http2 -I " + secure.URL + "/show", "HTTP/2 200"},
		{"curl -sS -k --http2 -H Expect:100-continue --data-binary @main_test.go " + secure.URL + "/digest", " "},
		{"h2load -n 3000 -c 3 -m 40 " + plain.URL + "/show", "3000 succeeded, 0 failed"},
		{"h2load -n 3000 -c 3 -m 40 " + secure.URL + "/show", "3000 succeeded, 0 failed"},
		{"h2load -n 60 -c 2 -m 10 " + secure.URL + "/large?1000000", "60 succeeded, 0 failed"},
		{"h2load -n 60 -c 2 -m 10 -w 14 -W 14 " + plain.URL + "/large?1000000", "60 succeeded, 0 failed"},
		{"nghttp -c 0 -c 64K -m 2 " + plain.URL + "/show", `"SERVER_PROTOCOL": "HTTP/2.0"`},
	} {
		words := strings.Fields(c.command)
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		fapwstest.Truef(t, err == nil && strings.Contains(string(out), c.want), "%s: %v\n%s", c.command, err, out)
	}
}
