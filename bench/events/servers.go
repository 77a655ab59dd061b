package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A kind is a server that is measured.
type kind struct {
	name      string
	program   string
	command   func(port, broker int, folder string) ([]string, error)
	subscribe func(channel string) string              // target of the stream of a channel
	publish   func(channel, data string) (text string) // the request
}

// beside returns the path of a program that build.sh has put beside this one.
func beside(name string) string {
	self, _ := os.Executable() // an error leads to a path without a program
	return filepath.Join(filepath.Dir(self), name)
}

var kinds = []kind{
	{
		name: "fapws", program: os.Getenv("FAPWS_BIN"),
		command: func(port, broker int, folder string) ([]string, error) {
			return []string{"-b", address(port), "--workers", "1", "--channels", "redis://" + address(broker),
				os.Getenv("FAPWS_APPS") + "/events.py"}, nil
		},
		subscribe: func(channel string) string { return "/" + channel },
		publish:   func(channel, data string) string { return post("/publish?"+channel, data) },
	},
	{
		name: "centrifugo", program: beside("centrifugo"),
		command: func(port, broker int, folder string) ([]string, error) {
			config := filepath.Join(folder, fmt.Sprintf("centrifugo-%d.json", port))
			return []string{"--config", config}, os.WriteFile(config, fmt.Appendf(nil, `{
				"http_server": {"address": "127.0.0.1", "port": %d},
				"client": {"insecure": true, "allowed_origins": ["*"]},
				"http_api": {"insecure": true},
				"uni_sse": {"enabled": true},
				"engine": {"type": "redis", "redis": {"address": "redis://%s"}},
				"channel": {"without_namespace": {"history_size": 1000, "history_ttl": "60s"}},
				"log": {"level": "error"}
			}`, port, address(broker)), 0o600)
		},
		subscribe: func(channel string) string {
			return `/connection/uni_sse?cf_connect=%7B%22subs%22%3A%7B%22` + channel + `%22%3A%7B%7D%7D%7D`
		},
		publish: func(channel, data string) string {
			return post("/api/publish", fmt.Sprintf(`{"channel": %q, "data": %q}`, channel, data))
		},
	},
	{
		name: "channels_redis", program: os.Getenv("FAPWS_PEERS") + "/bin/uvicorn",
		command: func(port, broker int, folder string) ([]string, error) {
			// launch passes the environment of this process on
			return []string{"--port", strconv.Itoa(port), "--no-access-log", "--log-level", "error", "--lifespan", "off",
				"--app-dir", os.Getenv("FAPWS_APPS"), "events_channels:app"}, os.Setenv("BROKER", "redis://"+address(broker))
		},
		subscribe: func(channel string) string { return "/" + channel },
		publish:   func(channel, data string) string { return post("/publish?"+channel, data) },
	},
}

func (k kind) missing() bool {
	_, err := os.Stat(k.program)
	return err != nil
}

func post(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target,
		len(body), body)
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// launch starts a program, and waits until it accepts connections on the port.
func launch(port int, log, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "FAPWS_ALLOW_ROOT=1")
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	for range 1000 {
		if c, err := net.Dial("tcp", address(port)); err == nil {
			c.Close()
			return cmd, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop(cmd)
	text, _ := os.ReadFile(log)
	return nil, fmt.Errorf("%s does not listen: %s", name, text)
}

func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(os.Interrupt)
	late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	late.Stop()
}

// cpu returns the CPU time of a process and its children that run (schedstat).
func cpu(pid int) (used time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid)) // the pattern is valid
	for _, thread := range threads {
		text, _ := os.ReadFile(thread + "/schedstat")
		nanoseconds, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.Atoi(nanoseconds) // an error means that the thread has ended
		used += time.Duration(n)
		children, _ := os.ReadFile(thread + "/children")
		for _, child := range strings.Fields(string(children)) {
			if pid, err := strconv.Atoi(child); err == nil {
				used += cpu(pid)
			}
		}
	}
	return used
}
