package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

var fileServers = []string{"threads", "nginx", "caddy", "lighttpd", "apache"}

// slowClients clients request the file of 1 GiB. Each client reads slowPiece bytes ten times a second.
const (
	slowClients = 200
	slowPiece   = 100_000
)

func prepareFolder(folder string) error {
	text := strings.Repeat("<p>All happy families are alike; each unhappy family is unhappy in its own way.</p>\n", 600)
	files := map[string][]byte{
		"1k.bin": make([]byte, 1<<10), "100k.bin": make([]byte, 100<<10), "1m.bin": make([]byte, 1<<20),
		"page.html": []byte(text), "packed.html": []byte(text), "packed.html.gz": nil,
	}
	packed, err := gzipped([]byte(text))
	if err != nil {
		return err
	}
	files["packed.html.gz"] = packed
	for i := range 100 {
		files[fmt.Sprintf("many/file-%03d.txt", i)] = make([]byte, 100*i)
	}
	for name, content := range files {
		name = filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	large, err := os.Create(filepath.Join(folder, "1g.bin"))
	if err != nil {
		return err
	}
	defer large.Close()
	return large.Truncate(1 << 30)
}

func (b *bench) measureSlow(w *workload) (servers []string, err error) {
	var processes []*process
	for _, s := range b.servers {
		if !w.servedBy(s) {
			continue
		}
		p, err := start(s, w, &b.settings)
		if err != nil {
			return nil, err
		}
		defer p.stop()
		if _, err := p.waitReady("/1k.bin"); err != nil {
			b.leave(err.Error())
			continue
		}
		processes, servers = append(processes, p), append(servers, s.name)
	}
	for range b.rounds {
		for _, p := range processes {
			taken, err := p.slowly(w, b.length)
			if err != nil {
				return nil, err
			}
			b.add(w, p.server.name, taken)
		}
	}
	return servers, nil
}

func (p *process) slowly(w *workload, length time.Duration) (sample, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: -1, ReadBufferSize: slowPiece}}
	var mu sync.Mutex
	var total int64
	var failed int
	var clients sync.WaitGroup
	begin := make(chan struct{})
	end := time.Now().Add(length + time.Second)
	for range slowClients {
		clients.Go(func() {
			answer, err := client.Get(p.url(w.path))
			if err != nil || answer.StatusCode != http.StatusOK || answer.ContentLength != w.length {
				mu.Lock()
				failed++
				mu.Unlock()
				return
			}
			defer answer.Body.Close()
			<-begin
			for time.Now().Before(end) {
				n, err := io.CopyN(io.Discard, answer.Body, slowPiece)
				mu.Lock()
				total += n
				if err != nil {
					failed++
				}
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	time.Sleep(time.Second)
	before, beginCPU := p.memory(), p.ran()
	close(begin)
	started := time.Now()
	time.Sleep(time.Until(end))
	after, used := p.memory(), p.ran()-beginCPU
	clients.Wait()
	s := sample{requests: int(total >> 20), errors: failed, memory: after, grown: after - before}
	if s.requests > 0 {
		s.rate = float64(total) / (1 << 20) / time.Since(started).Seconds()
		s.cpu = used / time.Duration(s.requests)
	}
	return s, nil
}

// ran returns the run time of all threads in a tree of processes. The scheduler's count is more precise than user and
// system time.
func (p *process) ran() (sum time.Duration) {
	for _, id := range p.tree() {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", id))
		for _, file := range files {
			text, _ := os.ReadFile(file)
			var nanoseconds int64
			if _, err := fmt.Sscan(string(text), &nanoseconds); err == nil {
				sum += time.Duration(nanoseconds)
			}
		}
	}
	return sum
}

func apacheConfig(port int, w *workload, s *settings) string {
	lines := []string{
		"Listen " + address(port), "ServerName localhost", "PidFile " + s.work + "/apache.pid",
		"ErrorLog " + s.work + "/apache-error.log", "LogLevel error", "DocumentRoot " + s.folder(),
		"StartServers 1", "ServerLimit 1", "ThreadsPerChild 64", "ThreadLimit 64", "MaxRequestWorkers 64",
		"AsyncRequestWorkerFactor 100",
		"KeepAlive On", "MaxKeepAliveRequests 0", "KeepAliveTimeout 60", "EnableSendfile On", "EnableMMAP On",
		"Timeout 600",
		"DefaultRuntimeDir " + s.work, "TypesConfig /etc/mime.types",
		"<Directory " + s.folder() + ">", "  Require all granted", "  Options Indexes", "  AllowOverride None",
		"</Directory>",
	}
	for _, module := range []string{"mpm_event", "authz_core", "mime", "dir", "autoindex", "filter", "deflate"} {
		lines = append([]string{"LoadModule " + module + "_module /usr/lib/apache2/modules/mod_" + module + ".so"},
			lines...)
	}
	if w.name == "gzip" {
		lines = append(lines, "AddOutputFilterByType DEFLATE text/html", "DeflateCompressionLevel 1")
	}
	return s.write("apache.conf", lines)
}

func (s *settings) folder() string { return filepath.Join(s.work, "documents", "folder") }

func (s *settings) write(name string, lines []string) string {
	file := filepath.Join(s.work, name)
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		panic(err)
	}
	return file
}

func gzipped(body []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err := w.Close()
	return out.Bytes(), err
}
