package cli_test

import (
	"os/exec"
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// A sample that does not fit on the disk leaves an empty directory, so that the same command works once there is room. Root
// gets a command with --user, without which root may not serve.
func TestNewOnAFullDiskLeavesNothing(t *testing.T) {
	t.Parallel()
	// in a user namespace, every user is root
	run := exec.Command("unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=64k none "$0" && ! "$1" new console "$0" && `+
		`ls -A "$0" && exec "$1" new hello "$0"`, t.TempDir(), fapwstest.Binary(t))
	out, err := run.CombinedOutput()
	failed, hello, _ := strings.Cut(string(out), "\n")
	fapwstest.Truef(t, err == nil && strings.HasPrefix(failed, "fapws: new: ") && strings.HasSuffix(failed, ": no space left on device"),
		"%v, %s", err, out)
	fapwstest.Truef(t, strings.HasSuffix(hello, "\n  fapws --user NAME hello.py\n") && strings.Count(hello, "\n") == 3, "%s", hello)
}
