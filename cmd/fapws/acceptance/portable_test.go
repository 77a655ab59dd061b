package acceptance

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestP16: all packages that need no Python compile for Linux on 32-bit and 64-bit x86 and ARM.
// fapws itself is for Linux: files are sent and looked up as Linux does it. Packages that know
// nothing of that, the event loop among them, compile for the BSDs and macOS, too.
// (With vet, which also checks the tests; the cgo packages need a compiler for each.)
func TestP16(t *testing.T) {
	t.Parallel()
	all := []string{"./cmd/fapws/settings", "./cmd/fapws/pool", "./cmd/fapws/ctl", "./cmd/fapws/watch",
		"./cmd/fapws/privilege", "./cmd/fapws/notify", "./cmd/fapws/pidfile"}
	list := exec.Command("go", "list", "-f", "{{.ImportPath}} {{.Deps}}", "./runtime/...")
	list.Dir = "../../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) { // what starts programs does so in C
		name, deps, _ := strings.Cut(line, " ")
		if name != "fapws/runtime/spawn" && !strings.Contains(deps, "fapws/runtime/spawn") {
			all = append(all, name)
		}
	}
	if len(all) < 14 {
		t.Errorf("only %v are looked at", all)
	}
	portable := []string{"./runtime/http1", "./runtime/exchange", "./runtime/compress", "./runtime/auth", "./runtime/cache", "./runtime/channel",
		"./runtime/eventloop", "./runtime/websocket", "./runtime/websocket/wstest", "./runtime/backend/backendtest", "./cmd/fapws/envfile",
		"./cmd/fapws/exit", "./cmd/fapws/memory", "./cmd/fapws/tomlfile", "./cmd/fapws/version", "./cmd/fapws/webconf"}
	for _, tt := range []struct {
		os, arch string
		packages []string
	}{
		{"linux", "amd64", all}, {"linux", "arm64", all}, {"linux", "arm", all}, {"linux", "386", all},
		{"freebsd", "amd64", portable}, {"openbsd", "amd64", portable}, {"netbsd", "amd64", portable}, {"darwin", "arm64", portable},
	} {
		cmd := exec.Command("go", append([]string{"vet"}, tt.packages...)...)
		cmd.Dir = "../../.."
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARM=7", "GOOS="+tt.os, "GOARCH="+tt.arch)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s/%s: %v\n%s", tt.os, tt.arch, err, strings.TrimSpace(string(out)))
		}
	}
}
