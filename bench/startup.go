package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

const pythonPass = "python3 -c pass"

const startsPerRound = 5

func (b *bench) measureStartup(w *workload) (servers []string, err error) {
	if !w.early {
		servers = append(servers, pythonPass)
	}
	for _, s := range b.servers {
		if w.servedBy(s) {
			servers = append(servers, s.name)
		}
	}
	for range startsPerRound * b.rounds {
		if !w.early {
			taken, err := timePython()
			if err != nil {
				return nil, err
			}
			b.add(w, pythonPass, taken)
		}
		for _, s := range b.servers {
			if !w.servedBy(s) {
				continue
			}
			p, err := start(s, w, &b.settings)
			if err != nil {
				return nil, err
			}
			took, err := p.firstAnswer(w.path)
			taken := sample{took: took, memory: p.memory()}
			p.stop()
			if err != nil {
				return nil, err
			}
			b.add(w, s.name, taken)
		}
	}
	return servers, nil
}

func timePython() (sample, error) {
	begin := time.Now()
	pass := exec.Command(inVenv("python3"), "-c", "pass")
	if err := startOn(pass, serverCPU); err != nil {
		return sample{}, err
	}
	err := pass.Wait()
	return sample{took: time.Since(begin)}, err
}

// firstAnswer waits for the first response, without pauses between its attempts.
func (p *process) firstAnswer(path string) (time.Duration, error) {
	request := []byte("GET " + path + " HTTP/1.0\r\nHost: localhost\r\n\r\n")
	for {
		err := askOnce(p.port, request)
		took := time.Since(p.begun)
		if err == nil {
			return took, nil
		}
		if err != unix.ECONNREFUSED || took > time.Minute {
			return 0, fmt.Errorf("first answer of %s: %w, see %s.log", p.server.name, err, p.server.name)
		}
		select {
		case <-p.gone:
			return 0, fmt.Errorf("%s ended before it answered, see %s.log", p.server.name, p.server.name)
		default:
		}
	}
}

func askOnce(port int, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// Connect from a different address than the server's. Otherwise, the kernel could give the server's port to one of
	// the many attempts, which would then connect to itself.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 2}}); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 60}); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, request); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, err := unix.Read(fd, answer)
	for err == unix.EINTR { // Retry after EINTR, which signals of Go's runtime cause.
		n, err = unix.Read(fd, answer)
	}
	if err != nil {
		return err
	}
	if _, status, _ := bytes.Cut(answer[:n], []byte(" ")); !bytes.HasPrefix(status, []byte("200 ")) {
		return fmt.Errorf("it answers %.100q", answer[:n])
	}
	return nil
}
