package cli_test

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func readAll(r *http.Response) string {
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func TestSilentControlClientsDelayNoOtherClient(t *testing.T) {
	t.Parallel()
	path := filepath.Join(fapwstest.PublicFolder(t), "ctl")
	s := fapwstest.Command{Script: "metrics.py", Flags: []string{"--ctl-socket", path}}.Serve(t, fapwstest.Workers)
	slow, err := net.Dial("unix", path)
	fapwstest.Must(t, err)
	defer slow.Close()
	flood := exec.Command(fapwstest.Python, "-c",
		"import socket, sys\nall = [socket.socket(socket.AF_UNIX) for i in range(100)]\n"+
			"for s in all: s.connect(sys.argv[1])\nprint('connected', flush=True); sys.stdin.read()", path)
	held, _ := flood.StdinPipe()
	defer flood.Wait()
	defer held.Close()
	connected, _ := flood.StdoutPipe()
	fapwstest.Must(t, flood.Start())
	_, err = io.ReadFull(connected, make([]byte, len("connected")))
	fapwstest.Must(t, err)
	command := exec.Command(fapwstest.Binary(t), "ctl", "--socket", path, "status")
	begin := time.Now()
	out, err := command.CombinedOutput()
	fapwstest.Truef(t, err == nil && strings.Contains(string(out), strconv.Itoa(s.Cmd.Process.Pid)), "%v after %v: %s",
		err, time.Since(begin), out)
	io.WriteString(slow, `{"command":"status"}`+"\n")
	answer, err := io.ReadAll(slow)
	fapwstest.Truef(t, err == nil && strings.Contains(string(answer), strconv.Itoa(s.Cmd.Process.Pid)),
		"the slow client: %v, %s", err, answer)
}
