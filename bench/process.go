package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type process struct {
	server *server
	port   int
	cmd    *exec.Cmd
	begun  time.Time
	gone   chan struct{}

	modified string
	tls      bool
}

// running contains the processes to stop if bench is interrupted.
var running struct {
	sync.Mutex
	processes map[*process]bool
}

func start(s *server, w *workload, set *settings) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	command := s.command(port, w, set)
	if w.memory > 0 {
		if command, err = limitMemory(command, w.memory); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = s.environment(set)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	log, err := os.Create(filepath.Join(set.work, s.name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	begun := time.Now()
	cpus := []int{serverCPU}
	if s.beside {
		cpus = []int{clientCPU}
	}
	if w.workers > 0 {
		cpus = append(cpus, clientCPU)
	}
	if err := startOn(cmd, cpus...); err != nil {
		return nil, err
	}
	p := &process{server: s, port: port, cmd: cmd, begun: begun, gone: make(chan struct{}), tls: w.tls}
	go func() {
		_ = cmd.Wait()
		close(p.gone)
	}()
	running.Lock()
	defer running.Unlock()
	if running.processes == nil {
		running.processes = map[*process]bool{}
	}
	running.processes[p] = true
	return p, nil
}

// startOn sets the affinity of its own thread while it starts cmd, because cmd inherits this affinity.
func startOn(cmd *exec.Cmd, cpus ...int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, wanted unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, cpu := range cpus {
		wanted.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &wanted); err != nil {
		return fmt.Errorf("cannot use the CPUs %v: %w", cpus, err)
	}
	defer unix.SchedSetaffinity(0, &before)
	return cmd.Start()
}

func pinSelf(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		id, _ := strconv.Atoi(task.Name())
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (p *process) stop() {
	group := -p.cmd.Process.Pid
	tree := p.tree()
	defer func() {
		for _, id := range tree {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", id)); strings.TrimSpace(string(name)) == phpProgram {
				_ = syscall.Kill(id, syscall.SIGKILL)
			}
		}
	}()
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(3 * time.Second):
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-p.gone
	running.Lock()
	delete(running.processes, p)
	running.Unlock()
}

func stopAll() {
	running.Lock()
	var left []*process
	for p := range running.processes {
		left = append(left, p)
	}
	running.Unlock()
	for _, p := range left {
		p.stop()
	}
}

func (p *process) tree() []int {
	children := map[int][]int{}
	folders, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range folders {
		fields := statFields(file)
		if len(fields) < 2 {
			continue
		}
		id, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], id)
	}
	found := []int{p.cmd.Process.Pid}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// statFields begins with the third field, because the second field, the name of the program, may contain spaces
// (proc(5)).
func statFields(file string) []string {
	text, _ := os.ReadFile(file)
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

func (p *process) cpu() time.Duration { return p.cpuOf("") }

// cpuOf returns the CPU time of the processes named program, or of all processes of the tree if program is "".
func (p *process) cpuOf(program string) time.Duration {
	ticks := 0
	for _, id := range p.tree() {
		if program != "" {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", id)); strings.TrimSpace(string(name)) != program {
				continue
			}
		}
		if fields := statFields(fmt.Sprintf("/proc/%d/stat", id)); len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			ticks += user + system
		}
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 for Go on Linux
}

// memory returns the anonymous and shared memory of the tree of processes in bytes, with shared pages divided among
// processes (proc(5), smaps_rollup). Pages of executables and libraries do not count, because the kernel can drop them.
func (p *process) memory() int64 {
	var kib int64
	for _, id := range p.tree() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", id))
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) == 3 && (fields[0] == "Pss_Anon:" ||
				fields[0] == "Pss_Shmem:") {
				n, _ := strconv.ParseInt(fields[1], 10, 64)
				kib += n
			}
		}
	}
	return kib << 10
}

func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	// Set the limit explicitly. Otherwise, Go restores the original limit for child processes.
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}
