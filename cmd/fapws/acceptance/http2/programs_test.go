package http2_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// With TLS, the programs select HTTP/2 by ALPN.
func TestCommonProgramsUseHTTP2(t *testing.T) {
	t.Parallel()
	plain, secure := serve(t, fapwstest.Threads, "app.py"), serveTLS(t, fapwstest.Threads, "app.py")
	for _, c := range []struct {
		command, want string
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

func TestBrowserUsesHTTP2ForPagesUploadsEventsAndWebSockets(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, fapwstest.Mode{}, "page.py")
	// IgnoreCertErrors: the certificate is from a test authority.
	ctx := fapwstest.Browser(t, chromedp.IgnoreCertErrors)
	var heard, said string
	fapwstest.Must(t, chromedp.Run(ctx,
		chromedp.Navigate(s.URL+"/"),
		fapwstest.Shows(`document.getElementById("heard").textContent != "nothing"`),
		chromedp.Text("#heard", &heard, chromedp.ByQuery),
		fapwstest.Shows(`document.getElementById("said").textContent != "nothing"`),
		chromedp.Text("#said", &said, chromedp.ByQuery),
	))
	fapwstest.Equal(t, heard, "heard 300000 h2")
	fapwstest.Equal(t, strings.TrimSpace(said),
		"300000 bytes by HTTP/2.0 GET; /talk 3000 ; own socket by HTTP/2.0; /own 3000")
}

func TestBrowserLoadsWhatEarlyHintsNameBeforeThePage(t *testing.T) {
	t.Parallel()
	s := serveTLS(t, fapwstest.Mode{}, "hintedpage.py")
	c := fapwstest.Try(tls.Dial("tcp", s.Address, &tls.Config{InsecureSkipVerify: true})).Must(t)
	key := sha256.Sum256(c.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	c.Close()
	// With IgnoreCertErrors, Chromium would discard files that it loads because of early hints.
	ctx := fapwstest.Browser(t, chromedp.Flag("ignore-certificate-errors-spki-list",
		base64.StdEncoding.EncodeToString(key[:])))
	var how string
	fapwstest.Must(t, chromedp.Run(ctx,
		chromedp.Navigate(s.URL+"/"),
		fapwstest.Shows(`!["early", undefined].includes(document.getElementById("how")?.textContent)`),
		chromedp.Text("#how", &how, chromedp.ByQuery),
	))
	fapwstest.Equal(t, how, "early-hints")
}

type report struct {
	Suites []struct {
		Name  string `xml:"name,attr"`
		Cases []struct {
			Name    string  `xml:"classname,attr"`
			Package string  `xml:"package,attr"`
			Failure *string `xml:"failure"`
			Error   *string `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// mayFail contains the cases of h2spec that a server without TLS cannot pass if it supports HTTP/1 and HTTP/2 on one
// port. The server treats a connection as HTTP/1 if the first bytes are not the HTTP/2 preface.
var mayFail = map[string]bool{"Sends invalid connection preface": true}

func TestServerPassesH2spec(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "h2spec")
	// h2spec has its own go.mod file, so that its dependencies are not dependencies of fapws.
	build := exec.Command("go", "build", "-mod=mod", "-modfile=cmd/fapws/acceptance/http2/testdata/h2spec.mod", "-o",
		program, "github.com/summerwind/h2spec/cmd/h2spec")
	build.Dir = fapwstest.Repository
	out, err := build.CombinedOutput()
	fapwstest.Needf(t, err == nil, "building h2spec: %v\n%s", err, out)
	run(t, program, serve(t, fapwstest.Threads, "app.py"), mayFail)
	run(t, program, serveTLS(t, fapwstest.Threads, "app.py"), nil, "-t", "-k")
}

func run(t *testing.T, program string, s *fapwstest.Server, mayFail map[string]bool, flags ...string) {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Address)
	fapwstest.Must(t, err)
	file := filepath.Join(t.TempDir(), "report.xml")
	// Ignore the exit status, which is 1 if a case has failed.
	out, _ := exec.Command(program, append(flags, "-h", host, "-p", port, "-P", "/show", "-o", "20", "-j", file)...).
		CombinedOutput()
	text, err := os.ReadFile(file)
	fapwstest.Needf(t, err == nil, "%v\n%s", err, out)
	var r report
	fapwstest.Must(t, xml.Unmarshal(text, &r))
	cases := 0
	for _, suite := range r.Suites {
		for _, c := range suite.Cases {
			cases++
			fapwstest.Truef(t, (c.Failure == nil && c.Error == nil) || mayFail[c.Name], "%s %s", suite.Name, c.Name)
		}
	}
	fapwstest.Truef(t, cases == 145 && !t.Failed(), "%d cases\n%s", cases, out)
}
