package process_test

import (
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// asking is a script with handlers that ask the server to send a file, or to run a program. The sandbox hides the file
// from the application.
const asking = `
import os, socket, sys
from fapws.contrib.cgi import CGIApplication
from fapws.contrib.views import Staticfile

secret, data = sys.argv[1:]
def file(environ, start_response):
    return Staticfile(os.path.dirname(secret))(environ, start_response)
def program(environ, start_response):
    with open(data + "/x.cgi", "w") as f:
        f.write("#!/bin/sh\necho Content-Type: text/plain; echo; echo it ran\n")
    os.chmod(data + "/x.cgi", 0o755)
    return CGIApplication(data + "/x.cgi")(environ, start_response)
`

// confused is the script asking with more handlers. They send forged responses that name the hidden file, so that the
// server might send the file.
const confused = asking + `
def header(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), (environ["QUERY_STRING"], secret)])
    return [b""]
def raw(environ, start_response):
    for fd in range(3, 64):
        try:
            answer = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if answer.type == socket.SOCK_STREAM:
            answer.send((environ["QUERY_STRING"].replace("=", ": ") + secret + "\r\n\r\n").encode())
            answer.recv(1)
            os._exit(0)
def who(environ, start_response):
    return "%d" % os.getppid()
PATHS = [
    ("/file", file), ("/program", program), ("/header", header), ("/raw", raw), ("/who", who),
    ("/private", Staticfile(os.path.dirname(secret))),
]
`

// The loader is the process that loads the application and forks a child for each request. If the loader dies, a new
// loader replaces it, and its children are in the sandbox, too.
func TestSandboxOfForksDoesNotReadFilesThroughTheServer(t *testing.T) {
	for _, mode := range [][]string{nil, {"--sandbox=strict"}, {"--idle-stop=10m"}} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			x := newSandboxed(t, fapwstest.Forks, append(mode, "--x-sendfile", "/", "--x-accel", "/x=/")...)
			fapwstest.Write(t, x.app, confused)
			x.c.Args = []string{x.secret, x.data}
			s := x.c.Serve(t, fapwstest.Forks)
			for _, path := range []string{"/file/secret", "/program", "/header?X-Sendfile", "/header?X-Accel-Redirect",
				"/raw?X-Sendfile=", "/raw?Status=200%0D%0AX-Accel-Redirect=/x", "/raw?Location=/private/../private"} {
				a := s.Ask(fapwstest.Get(path))
				if a.Text == "secret" || regexp.MustCompile("it ran").MatchString(a.Text) || a.StatusCode == 404 {
					t.Errorf("%s: %d, %q", path, a.StatusCode, a.Text)
				}
			}
			old := s.Get("/who", 200).Number(t)
			fapwstest.Must(t, syscall.Kill(old, syscall.SIGKILL))
			s.Says(`replacing worker \d+: the loader of --fork was killed by signal 9`)
			fapwstest.Eventually(t, "another process answers", func() bool {
				a := s.Ask(fapwstest.Get("/who"))
				return a.StatusCode == 200 && a.Text != strconv.Itoa(old)
			})
			for _, pid := range s.Family()[1:] {
				everyThreadIsFiltered(t, pid)
			}
		})
	}
}
