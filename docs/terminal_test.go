package docs

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"fapws/cmd/fapws/acceptance/fapwstest"
	"fapws/runtime/checktest"
)

const emergency = 2 * time.Minute

// terminal runs the commands of one page in a directory with the files of the page, and keeps track of running servers.
type terminal struct {
	t      *testing.T
	folder string // working directory at the beginning of the page
	// Directory for the state between commands: working directory and variables.
	state           string
	environ         []string
	ports           map[string]string
	servers, beside []*process
}

func newTerminal(t *testing.T) *terminal {
	program := fapwstest.Binary(t)
	home := t.TempDir()
	term := &terminal{t: t, folder: filepath.Join(home, "site"), state: t.TempDir(), ports: make(map[string]string)}
	for _, folder := range []string{term.folder, filepath.Join(home, "run"), filepath.Join(home, "bin")} {
		checktest.Must(t, os.Mkdir(folder, 0o700))
	}
	// Put the Python that fapws was built for first on PATH, because it has the frameworks.
	checktest.Must(t, os.Symlink(fapwstest.Python, filepath.Join(home, "bin", "python3")))
	// As on a terminal, curl shows no table of received bytes.
	checktest.Must(t, os.WriteFile(filepath.Join(home, ".curlrc"), []byte("no-progress-meter\n"), 0o644))
	term.environ = []string{
		"HOME=" + home, "XDG_RUNTIME_DIR=" + filepath.Join(home, "run"), "LANG=C.UTF-8", "FAPWS_ALLOW_ROOT=1",
		"FAPWS_CTL_SOCKET=" + filepath.Join(home, "run", "ctl"), "PYTHONDONTWRITEBYTECODE=1",
		"STATE_DIRECTORY=" + filepath.Join(home, ".local/state/fapws"), // otherwise root would use a system directory
		"PATH=" + filepath.Dir(program) + ":" + filepath.Join(home, "bin") + ":" + os.Getenv("PATH"),
	}
	t.Cleanup(term.stop)
	return term
}

func (term *terminal) activate(venv string) {
	term.environ = append(term.environ, "VIRTUAL_ENV="+venv)
	for i, variable := range term.environ {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			term.environ[i] = "PATH=" + venv + "/bin:" + path
		}
	}
}

var portOfPage = regexp.MustCompile(`\b(8888|8000|8080|8443|8001|9000)\b`)

func (term *terminal) toFree(text string) string {
	return portOfPage.ReplaceAllStringFunc(text, func(port string) string {
		if term.ports[port] == "" {
			term.ports[port] = fapwstest.FreePort(term.t)
		}
		return term.ports[port]
	})
}

func (term *terminal) toPage(text string) string {
	for port, free := range term.ports {
		text = regexp.MustCompile(`\b`+free+`\b`).ReplaceAllString(text, port)
	}
	return text
}

func (term *terminal) write(b block) {
	mode := os.FileMode(0o644)
	if strings.HasPrefix(b.text, "#!") {
		mode = 0o755
	}
	checktest.Must(term.t, os.Chmod(fapwstest.Write(term.t, filepath.Join(term.folder, b.file), term.toFree(b.text)),
		mode))
}

type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error

	mu      sync.Mutex
	written bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written.Write(b)
}

// notServing matches arguments that make fapws do something other than serve.
var notServing = regexp.MustCompile(`^(check|routes|shell|ctl|import|hash-password|user|new|bundle|-V|--version|-h|` +
	`--help|--print-config)$`)

func serves(typed string) bool {
	words := strings.Fields(typed)
	for len(words) > 0 && (strings.Contains(words[0], "=") || words[0] == "sudo") {
		words = words[1:]
	}
	if len(words) == 0 || filepath.Base(words[0]) != "fapws" || strings.Contains(typed, "|") {
		return false
	}
	return !slices.ContainsFunc(words[1:], notServing.MatchString)
}

func isCheck(typed string) bool { return strings.HasPrefix(typed, "fapws check") }

// typed runs a command and compares its output with the output on the page. A server without "&" runs until the page
// starts another server or ends. A command with "&" continues until the end of the page. While such a command runs,
// each later command is repeated until its output equals the output on the page. A command without output on the page
// must write nothing. If the page does not show the beginning of the output, the exit status of the command counts.
func (term *terminal) typed(c command) {
	term.t.Helper()
	text, stays := strings.CutSuffix(strings.TrimSpace(c.typed), "&")
	server := serves(text)
	switch {
	case server:
		if !stays {
			term.stop()
		}
		term.serve(c, text)
	case stays:
		p, _ := term.start(text, false)
		term.beside = append(term.beside, p)
	default:
		for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			problem := term.carryOut(c, text)
			if problem == "" {
				return
			}
			if len(term.beside) == 0 || time.Since(start) > emergency {
				term.t.Errorf("%s: %s: %s", c.at, c.typed, problem)
				return
			}
		}
	}
}

// carryOut runs a command that is not a server. It returns a description of the failure, or "".
func (term *terminal) carryOut(c command, text string) (problem string) {
	p, _ := term.start(text, false)
	if isCheck(text) {
		<-p.ended
		if strings.Contains(strings.Join(term.output(p), "\n"), "address already in use") {
			term.stop() // a reader has ended the server of the page before
			p, _ = term.start(text, false)
		}
	}
	select {
	case <-p.ended:
	case <-time.After(emergency):
		term.end(p)
		return "it does not end\n" + strings.Join(term.output(p), "\n")
	}
	output := term.output(p)
	switch {
	case !matches(c.output, output):
		return fmt.Sprintf("it writes\n%s\nnot\n%s", strings.Join(output, "\n"), strings.Join(c.output, "\n"))
	case p.err != nil && (len(c.output) == 0 || c.output[0] == "…"):
		return fmt.Sprintf("%v\n%s", p.err, strings.Join(output, "\n"))
	}
	return ""
}

// serve starts a server. It waits until the server is ready and has written the output on the page, or until the server
// has ended with this output.
func (term *terminal) serve(c command, text string) {
	term.t.Helper()
	p, ready := term.start(text, true)
	term.servers = append(term.servers, p)
	deadline := time.After(emergency)
	select {
	case <-p.ended:
	case <-ready:
	case <-deadline:
	}
	for {
		over := false
		select {
		case <-p.ended:
			over = true
		case <-deadline:
			over = true
		case <-time.After(10 * time.Millisecond):
		}
		switch output := term.output(p); {
		case len(c.output) > 0 && matches(c.output, output) || len(c.output) == 0 && !over:
			return
		case over:
			term.t.Errorf("%s: %s: the server writes\n%s\nnot\n%s", c.at, c.typed, strings.Join(output, "\n"),
				strings.Join(c.output, "\n"))
			return
		}
	}
}

func (term *terminal) output(p *process) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.TrimSuffix(p.written.String(), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(term.toPage(text), "\n")
}

func (term *terminal) start(typed string, server bool) (p *process, ready chan struct{}) {
	term.t.Helper()
	variables := ""
	if isCheck(typed) {
		variables = "FAPWS_CTL_SOCKET=$STATE/check " // each server of a reader has a control socket of its own
		if !term.saysWhere(typed) {
			variables += "FAPWS_PORT=" + term.toFree("8888") + " "
		}
	}
	script := fmt.Sprintf("cd %q\n", term.folder) + `
[[ -e $STATE/variables ]] && source $STATE/variables && cd "$PWD"
` + variables + term.toFree(typed) + `
status=$?
export -p | grep -vE '^declare -x (STATE|NOTIFY_SOCKET|FAPWS_PORT|SHLVL)' > $STATE/variables.$$
mv $STATE/variables.$$ $STATE/variables # a server may end while another command reads it
exit $status`
	p = &process{cmd: exec.Command("bash", "-c", script), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"STATE=" + term.state}, term.environ...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // a child may keep the pipe open
	ready = make(chan struct{})
	if server {
		p.cmd.Env = append(p.cmd.Env, "NOTIFY_SOCKET="+term.awaitReady(ready))
		if !term.saysWhere(typed) {
			p.cmd.Env = append(p.cmd.Env, "FAPWS_PORT="+term.toFree("8888"))
		}
	}
	checktest.Must(term.t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, ready
}

// saysWhere reports whether flags, a configuration file or a script of the page set the address of a server.
func (term *terminal) saysWhere(typed string) bool {
	if regexp.MustCompile(`(^|\s)(-b|-p|--bind|--port|fd://|--config|-c)\b`).MatchString(typed) {
		return true
	}
	for _, name := range checktest.Try(filepath.Glob(filepath.Join(term.folder, "*"))).Must(term.t) {
		text, _ := os.ReadFile(name)
		if base := filepath.Base(name); (base == "fapws.toml" || strings.Contains(typed, base)) &&
			regexp.MustCompile(`(?m)^(SERVER|bind) *=`).Match(text) {
			return true
		}
	}
	return false
}

// awaitReady returns a socket like systemd's, to which a server sends a message when it is ready.
func (term *terminal) awaitReady(ready chan struct{}) string {
	name := filepath.Join(term.t.TempDir(), "notify")
	socket := checktest.Try(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})).Must(term.t)
	term.t.Cleanup(func() { socket.Close() })
	go func() {
		said := make([]byte, 4096)
		for {
			n, err := socket.Read(said)
			if err != nil {
				return
			}
			if bytes.Contains(said[:n], []byte("READY=1")) {
				close(ready)
				return
			}
		}
	}()
	return name
}

func (term *terminal) stop() {
	for _, p := range append(term.beside, term.servers...) {
		term.end(p)
	}
	term.servers, term.beside = nil, nil
}

func (term *terminal) end(p *process) {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(emergency):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		term.t.Errorf("%s does not end\n%s", p.cmd, strings.Join(term.output(p), "\n"))
	}
}
