package redistest

import (
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

// Server is a redis-server of the Debian package, which stores nothing on disk and ends with the test.
type Server struct {
	Address string

	t     *testing.T
	flags []string
	cmd   *exec.Cmd
}

func Start(t *testing.T, flags ...string) *Server {
	t.Helper()
	address := FreeAddress(t)
	return Run(t, address, append([]string{"--port", PortOf(address)}, flags...)...)
}

// Run starts a server. The flags must make the server listen at address.
func Run(t *testing.T, address string, flags ...string) *Server {
	t.Helper()
	s := &Server{Address: address, t: t, flags: append(flags, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
		"--appendonly", "no")}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart starts a server that was killed, without its data, and waits until it accepts connections.
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", s.flags...)
	checktest.Must(s.t, s.cmd.Start())
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", s.Address)
		if err == nil {
			c.Close()
			return
		}
		checktest.Needf(s.t, !time.Now().After(end), "%v", err)
	}
}

func (s *Server) Kill() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill() // the process may have ended
		_ = s.cmd.Wait()
	}
}

// Signal sends a signal, such as SIGSTOP, to a server that runs.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	checktest.Must(s.t, s.cmd.Process.Signal(sig))
}

func FreeAddress(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", fapwstest.FreePort(t))
}

func PortOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}
