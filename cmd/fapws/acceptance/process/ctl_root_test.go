package process_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

func TestCtlOfRootAsksWhichUsersServerIsMeant(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("only root controls servers of other users")
		return
	}
	folder := fapwstest.PublicFolder(t)
	script := fapwstest.Write(t, folder+"/service.py", fapwstest.Source(t, "service.py"))
	var lines []string
	for _, flags := range [][]string{{"--workers", "1"}, {"--workers", "1", "--user", "daemon"}} {
		c := fapwstest.Command{Script: script, Flags: append([]string{"--ctl-socket", "auto"}, flags...), Dir: folder}
		s := c.ForOtherUsers(t).Serve(t, fapwstest.Mode{})
		lines = append(lines, "fapws:   --pid "+strconv.Itoa(s.Cmd.Process.Pid)+"  ")
	}
	code, _, said := fapwstest.Command{Flags: []string{"ctl", "status"}}.Run(t)
	if code != 1 || !strings.Contains(said, lines[0]) || !strings.Contains(said, lines[1]) ||
		!strings.Contains(said, "  user daemon") {
		t.Errorf("code %d, %s; want %q", code, said, lines)
	}
}
