package http2_test

import (
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

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
// port. Such a server treats a connection as HTTP/1 if its first bytes are not the HTTP/2 preface.
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
