package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var tlsServers = []string{"threads", "inline", "nginx", "caddy", "nethttp"}

// tlsClient trusts the certificate of this run. It offers one group for the key exchange, which all servers implement
// in assembly. By default, crypto/tls would use ML-KEM with fapws, but a cheaper group with servers on an older
// OpenSSL.
var tlsClient = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13,
	CurvePreferences: []tls.CurveID{tls.CurveP256}}

func (s *settings) certificate() string { return filepath.Join(s.work, "cert.pem") }
func (s *settings) key() string         { return filepath.Join(s.work, "key.pem") }

func (s *settings) prepareCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), BasicConstraintsValid: true, IsCA: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	tlsClient.RootCAs.AppendCertsFromPEM(text)
	if err := os.WriteFile(s.certificate(), text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(s.key(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600)
}

// handshakesOf sends one request on each of many connections. If w.resumed is set, connections resume a TLS session
// (RFC 8446 §2.2).
func (p *process) handshakesOf(w *workload, length time.Duration) (sample, error) {
	var done, failed atomic.Int64
	var clients sync.WaitGroup
	before, begin := p.cpu(), time.Now()
	for range w.connections {
		clients.Go(func() {
			config := tlsClient.Clone()
			if w.resumed {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				if _, err := p.handshake(config, w.path); err != nil {
					failed.Add(1)
					return
				}
			}
			for time.Since(begin) < length {
				if resumed, err := p.handshake(config, w.path); err != nil || resumed != w.resumed {
					failed.Add(1)
				}
				done.Add(1)
			}
		})
	}
	clients.Wait()
	took, used := time.Since(begin), p.cpu()-before
	time.Sleep(settle)
	s := sample{requests: int(done.Load()), errors: int(failed.Load()), memory: p.memory()}
	if s.requests > 0 {
		s.rate, s.cpu = float64(s.requests)/took.Seconds(), used/time.Duration(s.requests)
	}
	return s, nil
}

func (p *process) handshake(config *tls.Config, path string) (resumed bool, err error) {
	c, err := tls.Dial("tcp", address(p.port), config)
	if err != nil {
		return false, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", path); err != nil {
		return false, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return c.ConnectionState().DidResume, err
}

var (
	h2Rate  = regexp.MustCompile(`finished in [^,]+, ([\d.]+) req/s`)
	h2Count = regexp.MustCompile(`(\d+) done, (\d+) succeeded`)
)

func (p *process) http2Of(w *workload, length time.Duration) (sample, error) {
	if err := h2load.need(); err != nil {
		return sample{}, err
	}
	cmd := exec.Command(h2load.file, "--clients", strconv.Itoa(w.connections), "--max-concurrent-streams",
		strconv.Itoa(w.streams), "--threads", "1", "--duration", strconv.Itoa(int(length.Seconds())), p.url(w.path))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	before := p.cpu()
	if err := startOn(cmd, clientCPU); err != nil {
		return sample{}, err
	}
	if err := cmd.Wait(); err != nil {
		return sample{}, fmt.Errorf("h2load: %w\n%s", err, out.String())
	}
	used := p.cpu() - before
	rate, count := h2Rate.FindStringSubmatch(out.String()), h2Count.FindStringSubmatch(out.String())
	if rate == nil || count == nil {
		return sample{}, fmt.Errorf("h2load printed no result:\n%s", out.String())
	}
	time.Sleep(settle)
	s := sample{memory: p.memory()}
	s.rate, _ = strconv.ParseFloat(rate[1], 64)
	s.requests, _ = strconv.Atoi(count[1])
	good, _ := strconv.Atoi(count[2])
	if s.errors = s.requests - good; s.requests > 0 {
		s.cpu = used / time.Duration(s.requests)
	}
	return s, nil
}
