package process_test

import (
	"strings"
	"testing"

	"fapws/cmd/fapws/acceptance/fapwstest"
)

// Old versions of Docker reject the system call clone3. If the C library starts threads by another system call, there
// is no message.
func TestContainerThatRejectsClone3IsReported(t *testing.T) {
	t.Parallel()
	c := fapwstest.Command{Flags: []string{"--version"}, Shell: fapwstest.Refusing(t, "435=1")} // EPERM
	switch code, stdout, stderr := c.Run(t); {
	case code == 3 && strings.Contains(stderr, "refuses clone3") && strings.HasSuffix(stderr, "seccomp=unconfined\n"):
		fapwstest.OneLine(t, stderr, "fapws: cannot start threads")
	case code != 0 || !strings.HasPrefix(stdout, "fapws "):
		t.Errorf("code %d\n%s%s", code, stdout, stderr)
	}
	c.Shell = fapwstest.Refusing(t, "435=38") // ENOSYS, as before Linux 5.3
	c.Succeeds(t)
}
