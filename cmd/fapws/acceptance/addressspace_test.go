package acceptance

import (
	"strings"
	"testing"
)

// An address space limit that Go's runtime could only crash with is one line.
func TestLowAddressSpace(t *testing.T) {
	t.Parallel()
	for _, kib := range []string{"150000", "500000", "1500000"} {
		code, _, said := command{script: "slow.py", shell: "ulimit -v " + kib}.run(t)
		if code != 3 || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "fapws: address space limit of "+kib+" KiB is too low") {
			t.Errorf("%s KiB: code %d, %.300q", kib, code, said)
		}
	}
}
