package ctl

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fapws/runtime/checktest"
)

const pathVariable = "CTL_TEST_SERVER"

// TestServer runs in a second process, as the server of TestClientDoesNotWaitForAServerThatHasEnded. TestServer exits
// while a client waits for its response. A child process inherits the listener and the connection and keeps both open,
// as a child of an application might.
func TestServer(t *testing.T) {
	path := os.Getenv(pathVariable)
	if path == "" {
		return
	}
	ln := checktest.Try(net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})).Must(t)
	fmt.Println("listening")
	c := checktest.Try(ln.AcceptUnix()).Must(t)
	heir := exec.Command("sleep", "1000")
	for _, file := range []interface{ File() (*os.File, error) }{ln, c} {
		f := checktest.Try(file.File()).Must(t)
		heir.ExtraFiles = append(heir.ExtraFiles, f)
	}
	checktest.Must(t, heir.Start())
	fmt.Println(heir.Process.Pid)
	os.Exit(0)
}

func TestClientDoesNotWaitForAServerThatHasEnded(t *testing.T) {
	path := filepath.Join(use(t), "..", "7.sock")
	server := exec.Command(os.Args[0], "-test.run=^TestServer$")
	server.Env = append(os.Environ(), pathVariable+"="+path)
	out, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	checktest.Must(t, err)
	t.Cleanup(func() { _ = server.Process.Kill() })
	lines := bufio.NewScanner(out)
	lines.Scan()
	_, err = run("--socket " + path + " reload")
	checktest.Truef(t, err != nil && strings.HasSuffix(err.Error(), "did not respond: the server has ended"),
		"reload: %v", err)
	var heir int
	lines.Scan()
	checktest.Try(fmt.Sscan(lines.Text(), &heir)).Must(t)
	t.Cleanup(func() {
		if p, err := os.FindProcess(heir); err == nil {
			_ = p.Kill()
		}
	})
	_, err = run("--socket " + path + " status")
	checktest.Truef(t, err != nil && strings.HasPrefix(err.Error(), "no server listens on "+path+"; "), "status: %v", err)
	checktest.Truef(t, !answers(path), "it is taken for a server")
}
