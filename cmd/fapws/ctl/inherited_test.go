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
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening")
	c, err := ln.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	heir := exec.Command("sleep", "1000")
	for _, file := range []interface{ File() (*os.File, error) }{ln, c} {
		f, err := file.File()
		if err != nil {
			t.Fatal(err)
		}
		heir.ExtraFiles = append(heir.ExtraFiles, f)
	}
	if err := heir.Start(); err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill() })
	lines := bufio.NewScanner(out)
	lines.Scan()
	_, err = run("--socket " + path + " reload")
	if err == nil || !strings.HasSuffix(err.Error(), "did not respond: the server has ended") {
		t.Errorf("reload: %v", err)
	}
	var heir int
	lines.Scan()
	if _, err := fmt.Sscan(lines.Text(), &heir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p, err := os.FindProcess(heir); err == nil {
			_ = p.Kill()
		}
	})
	if _, err := run("--socket " + path + " status"); err == nil ||
		!strings.HasPrefix(err.Error(), "no server listens on "+path+"; ") {
		t.Errorf("status: %v", err)
	}
	if answers(path) {
		t.Error("it is taken for a server")
	}
}
