package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	fapws "fapws/runtime"
	"fapws/runtime/runtimetest"
	"fapws/runtime/source/proxy"
	"fapws/runtime/waittest"
)

// tunnel opens one to a server that is given its end of it, and returns the client's.
func tunnel(t *testing.T, o proxy.Options, serve func(c *net.TCPConn, r *bufio.Reader)) (c *net.TCPConn, r *bufio.Reader, logged func() string) {
	t.Helper()
	return tunnelOf(t, o, runtimetest.Config(), serve)
}

// tunnelOf is tunnel with a Config of the server.
func tunnelOf(t *testing.T, o proxy.Options, cfg fapws.Config, serve func(c *net.TCPConn, r *bufio.Reader)) (c *net.TCPConn, r *bufio.Reader, logged func() string) {
	t.Helper()
	var address string
	o.Target, _ = server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		io.WriteString(c, accepted(key)+"\r\n")
		serve(c, r)
	})
	address, logged = frontOf(t, "/", o, cfg)
	c, r = client(t, address, handshake+"\r\n")
	status(t, r, 101)
	return c, r, logged
}

// Many bytes go both ways at the same time, and arrive as they were.
func TestTunnelCarries(t *testing.T) {
	const size = 20 << 20
	sums := make(chan [32]byte, 2)
	flood := func(w io.Writer, seed uint64) {
		source, sum := rand.NewChaCha8([32]byte{byte(seed)}), sha256.New()
		buf := make([]byte, 100_000)
		for left := size; left > 0; {
			n := min(left, 1+int(source.Uint64()%uint64(len(buf))))
			source.Read(buf[:n])
			sum.Write(buf[:n])
			if _, err := w.Write(buf[:n]); err != nil {
				t.Error(err)
			}
			left -= n
		}
		w.(*net.TCPConn).CloseWrite()
		sums <- [32]byte(sum.Sum(nil))
	}
	there := make(chan [32]byte, 1)
	c, r, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
		var sent sync.WaitGroup
		sent.Go(func() { flood(c, 1) })
		sum := sha256.New()
		n, err := io.Copy(sum, r)
		if n != size || err != nil {
			t.Errorf("the server got %d bytes, %v", n, err)
		}
		there <- [32]byte(sum.Sum(nil))
		sent.Wait()
	})
	go flood(c, 2)
	sum := sha256.New()
	if n, err := io.Copy(sum, r); n != size || err != nil {
		t.Errorf("the client got %d bytes, %v", n, err)
	}
	want := map[[32]byte]bool{<-sums: true, <-sums: true}
	if here, there := [32]byte(sum.Sum(nil)), <-there; !want[here] || !want[there] || here == there {
		t.Error("other bytes arrived")
	}
}

// A side that reads nothing stops the other from writing, and the bytes held between them are bounded.
func TestTunnelHoldsBack(t *testing.T) {
	block := make([]byte, 64<<10)
	fill := func(c *net.TCPConn) (n int) {
		for {
			c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			k, err := c.Write(block)
			if n += k; err != nil {
				return n
			}
		}
	}
	small := func(c *net.TCPConn) { // whatever the settings of the system
		c.SetReadBuffer(32 << 10)
		c.SetWriteBuffer(32 << 10)
	}
	filled, drain, empty := make(chan int, 1), make(chan bool), make(chan int64, 1)
	c, r, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
		small(c)
		n := fill(c)
		c.CloseWrite()
		filled <- n
		<-drain
		got, _ := io.Copy(io.Discard, r)
		empty <- got
	})
	small(c)
	up := fill(c)
	c.CloseWrite()
	down := <-filled
	// The kernel holds some megabytes in the sockets of the server.
	if up > 32<<20 || down > 32<<20 {
		t.Errorf("%d bytes were taken from the client and %d from the server", up, down)
	}
	waittest.Eventually(t, "at most 32 MiB of memory", func() bool {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc <= 32<<20
	})
	close(drain)
	if n, err := io.Copy(io.Discard, r); n != int64(down) || err != nil {
		t.Errorf("%d bytes of %d came, %v", n, down, err)
	}
	if n := <-empty; n != int64(up) {
		t.Errorf("%d bytes of %d came to the server", n, up)
	}
}

// Either side may shut down its half and still hear the other.
func TestTunnelHalves(t *testing.T) {
	t.Run("client first", func(t *testing.T) {
		c, r, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
			all, _ := io.ReadAll(r)
			time.Sleep(20 * time.Millisecond)
			io.WriteString(c, "you said "+string(all))
		})
		io.WriteString(c, "goodbye")
		c.CloseWrite()
		if all, err := io.ReadAll(r); string(all) != "you said goodbye" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
	})
	t.Run("server first", func(t *testing.T) {
		heard := make(chan string, 1)
		text := strings.Repeat("and another thing. ", 200_000)
		c, r, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
			io.WriteString(c, "last word")
			c.CloseWrite()
			time.Sleep(50 * time.Millisecond) // so that much is under way when both sides are shut down
			all, _ := io.ReadAll(r)
			heard <- string(all)
		})
		if all, err := io.ReadAll(r); string(all) != "last word" || err != nil {
			t.Errorf("%q, %v", all, err)
		}
		io.WriteString(c, text)
		c.CloseWrite()
		if got := <-heard; got != text {
			t.Errorf("%d bytes of %d came", len(got), len(text))
		}
	})
	t.Run("server closes", func(t *testing.T) {
		c, r, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
			io.WriteString(c, "the reason")
		})
		go func() { // unread data must not destroy the reason
			for range 100 {
				io.WriteString(c, "more")
				time.Sleep(time.Millisecond)
			}
			c.CloseWrite()
		}()
		if all, _ := io.ReadAll(r); string(all) != "the reason" {
			t.Errorf("%q", all)
		}
	})
}

// A side that breaks ends the other, also one that is held back.
func TestTunnelBreaks(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(map[bool]string{false: "client", true: "client, held back"}[held], func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			c, _, _ := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
				if held {
					time.Sleep(100 * time.Millisecond)
				}
				_, err := io.Copy(io.Discard, r)
				ended <- err
			})
			if held {
				c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
				c.Write(make([]byte, 64<<20))
			}
			c.SetLinger(0)
			c.Close()
			<-ended
		})
	}
	t.Run("client, before the answer", func(t *testing.T) {
		asked, ended := make(chan bool), make(chan bool)
		url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
			close(asked)
			io.Copy(io.Discard, r)
			close(ended)
		})
		address, logged := front(t, "/", proxy.Options{Target: url})
		c, _ := client(t, address, handshake+"\r\n")
		<-asked
		c.SetLinger(0)
		c.Close()
		<-ended
		if said := logged(); said != "" {
			t.Errorf("it is the fault of nobody: %s", said)
		}
	})
	t.Run("server", func(t *testing.T) {
		_, r, logged := tunnel(t, proxy.Options{}, func(c *net.TCPConn, r *bufio.Reader) {
			time.Sleep(20 * time.Millisecond)
			c.SetLinger(0)
		})
		if all, _ := io.ReadAll(r); len(all) > 0 {
			t.Errorf("%q", all)
		}
		waittest.Eventually(t, "a line in the log", func() bool { return strings.Contains(logged(), "WebSocket closed: the upstream broke off") })
	})
}

// A tunnel may be silent for TunnelTimeout, and a side that takes nothing is cut off after WriteTimeout.
func TestTunnelTimeouts(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			ended := make(chan bool)
			c, r, logged := tunnel(t, proxy.Options{TunnelTimeout: timeout}, func(c *net.TCPConn, r *bufio.Reader) {
				io.Copy(c, r)
				close(ended)
			})
			for range 6 { // any byte counts
				time.Sleep(timeout / 4)
				io.WriteString(c, "x")
				if b, err := r.ReadByte(); err != nil || b != 'x' {
					return fmt.Sprint(b, err)
				}
			}
			if all, err := io.ReadAll(r); len(all) > 0 || err != nil {
				t.Errorf("%q, %v", all, err)
			}
			<-ended
			waittest.Eventually(t, "a line in the log", func() bool { return strings.Contains(logged(), "idle timeout of "+timeout.String()) })
			return ""
		})
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
			io.WriteString(c, accepted(key)+"\r\n")
			io.Copy(c, r)
		})
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) { // the timeout is that of the handshake
			address, _ := front(t, "/", proxy.Options{Target: url, TunnelTimeout: -1, Timeout: timeout})
			c, r := client(t, address, handshake+"\r\n")
			if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != 101 {
				return fmt.Sprint(response, err)
			}
			time.Sleep(timeout + time.Second)
			io.WriteString(c, "still there")
			reads(t, r, "still there")
			return ""
		})
	})
	t.Run("slow client", func(t *testing.T) {
		t.Parallel()
		waittest.InItsTime(t, func(timeout time.Duration) (wrong string) {
			ended := make(chan bool)
			cfg := runtimetest.Config()
			cfg.WriteTimeout = timeout
			c, r, _ := tunnelOf(t, proxy.Options{}, cfg, func(c *net.TCPConn, r *bufio.Reader) {
				for block := make([]byte, 1<<20); ; {
					if _, err := c.Write(block); err != nil {
						close(ended)
						return
					}
				}
			})
			for range 20 { // it takes something now and then
				time.Sleep(timeout / 15)
				if _, err := io.CopyN(io.Discard, r, 1<<20); err != nil {
					return err.Error()
				}
			}
			<-ended
			c.SetDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, r); err == nil {
				t.Error("it looks like the end of what there was")
			}
			return ""
		})
	})
}

// openFiles returns how many descriptors this process has.
func openFiles(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// secureServer is server with TLS, and the file with its certificate.
func secureServer(t *testing.T, serve func(c *tls.Conn, r *bufio.Reader)) (url, ca string) {
	t.Helper()
	own, ca := certificate(t, "good.test", time.Now().Add(time.Hour))
	ln, port := listener(t)
	serveOn(t, ln, func(c net.Conn) {
		c.SetDeadline(time.Now().Add(patience))
		secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{own}})
		r := bufio.NewReader(secure)
		if _, err := http.ReadRequest(r); err == nil {
			io.WriteString(secure, accepted(key)+"\r\n")
			serve(secure, r)
		}
	})
	return "https://127.0.0.1:" + port, ca
}

// Tunnels do not count among the requests that are answered at a time. Each needs a descriptor for either side, and no
// goroutine, with TLS as without.
func TestManyTunnels(t *testing.T) {
	const many = 100 // the pool has 64 places
	plain, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, request *http.Request) {
		if request.URL.Path != "/ws" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			return
		}
		io.WriteString(c, accepted(key)+"\r\n")
		io.Copy(struct{ io.Writer }{c}, r) // not by splice, which opens descriptors
	})
	secure, ca := secureServer(t, func(c *tls.Conn, r *bufio.Reader) { io.Copy(c, r) })
	for name, o := range map[string]proxy.Options{"plain": {Target: plain}, "TLS": {Target: secure, CA: ca, TLSName: "good.test"}} {
		t.Run(name, func(t *testing.T) {
			address, _ := front(t, "/", o)
			if o.CA == "" {
				talk(t, address, "GET / HTTP/1.0\r\n\r\n") // for what is made once
			}
			goroutines, files := runtime.NumGoroutine(), openFiles(t)
			var clients []*net.TCPConn
			for range many {
				c, r := client(t, address, handshake+"\r\n")
				status(t, r, 101)
				clients = append(clients, c)
			}
			for _, c := range clients {
				io.WriteString(c, "hello")
				reads(t, c, "hello")
			}
			// The server of this test has a goroutine and a descriptor for each connection, its client a descriptor.
			waittest.Eventually(t, "no goroutine for a tunnel", func() bool { return runtime.NumGoroutine()-goroutines <= many+10 })
			if n := openFiles(t) - files; n > 4*many+10 {
				t.Errorf("%d descriptors for %d tunnels", n-2*many, many)
			}
			if o.CA == "" {
				if got := talk(t, address, "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "ok") {
					t.Errorf("%q", got)
				}
			}
			for i, c := range clients {
				if i%2 == 0 {
					c.SetLinger(0)
				}
				c.Close()
			}
			waittest.Eventually(t, "all goroutines ended", func() bool { return runtime.NumGoroutine() <= goroutines+10 })
			waittest.Eventually(t, "all descriptors closed", func() bool { return openFiles(t) <= files+10 })
		})
	}
}

// A tunnel to an upstream with TLS carries many bytes both ways, to slow readers, and ends by halves.
func TestTunnelOfTLS(t *testing.T) {
	data := make([]byte, 16<<20) // more than the sockets hold
	rand.NewChaCha8([32]byte{}).Read(data)
	read, got := make(chan bool), make(chan error, 1)
	target, ca := secureServer(t, func(c *tls.Conn, r *bufio.Reader) {
		<-read
		all := make([]byte, len(data))
		_, err := io.ReadFull(r, all)
		if err == nil && !bytes.Equal(all, data) {
			err = errors.New("other bytes arrived")
		}
		if rest, end := io.ReadAll(r); err == nil && (len(rest) > 0 || end != nil) {
			err = fmt.Errorf("%d bytes behind them, %v", len(rest), end)
		}
		got <- err
		c.Write(data)
		c.CloseWrite()
	})
	address, logged := front(t, "/", proxy.Options{Target: target, CA: ca, TLSName: "good.test"})
	c, r := client(t, address, handshake+"\r\n")
	status(t, r, 101)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		c.CloseWrite()
		sent <- err
	}()
	close(read)
	if err := <-got; err != nil {
		t.Errorf("the upstream: %v", err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if all, err := io.ReadAll(r); !bytes.Equal(all, data) || err != nil {
		t.Errorf("%d bytes of %d came, %v", len(all), len(data), err)
	}
	if text := logged(); text != "" {
		t.Error(text)
	}
}

// The order of bytes is kept where the first ones came with the head of the answer.
func TestTunnelAhead(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789"), 100_000)
	url, _ := server(t, func(c *net.TCPConn, r *bufio.Reader, _ *http.Request) {
		c.Write(append([]byte(accepted(key)+"\r\n"), want...))
	})
	address, _ := front(t, "/", proxy.Options{Target: url})
	_, r := client(t, address, handshake+"\r\n")
	status(t, r, 101)
	if got, err := io.ReadAll(r); !bytes.Equal(got, want) || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
