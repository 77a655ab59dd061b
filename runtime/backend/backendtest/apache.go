package backendtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"fapws/runtime/checktest"
)

// Apache starts an Apache server at an address with the given modules and configuration lines. The server ends at the
// end of the test, or when stop is called. The directory root must contain the file "types" with media types. Apache
// writes the error log "apache.error" to this directory, and the log is shown if the test fails.
func Apache(t testing.TB, root, address string, modules []string, lines string) (stop func()) {
	t.Helper()
	_, err := exec.LookPath("apache2")
	checktest.Mustf(t, err, "apache2 is missing; ./build.sh test installs it")
	var b strings.Builder
	for _, module := range modules {
		fmt.Fprintf(&b, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	fmt.Fprintf(&b, "ServerRoot %[1]s\nPidFile %[1]s/apache.pid\nErrorLog %[1]s/apache.error\nTypesConfig "+
		"%[1]s/types\n", root)
	fmt.Fprintf(&b, "Listen %s\nServerName localhost\nStartServers 1\n%s", address, lines)
	if os.Geteuid() == 0 {
		b.WriteString("User nobody\nGroup nogroup\n")
	}
	for name, text := range map[string]string{"types": "text/plain txt\ntext/html html\n", "apache.conf": b.String()} {
		checktest.Must(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o644))
	}
	cmd := exec.Command("apache2", "-f", filepath.Join(root, "apache.conf"), "-D", "FOREGROUND")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // when Apache ends, it sends a signal to its process group
	checktest.Must(t, cmd.Start())
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(root, "apache.error"))
			t.Logf("%s", text)
		}
	}
	t.Cleanup(stop)
	checktest.Eventually(t, "apache2 listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return stop
}
